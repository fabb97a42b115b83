/// A layer whose state can be started anew: what a per-key layer multiplies.
///
/// A clone of a donjon layer shares the state of its original; `fresh` and `bypass` do not.
pub trait Fresh {
    /// A layer with the same settings and a state of its own: nothing in flight, nothing counted, nothing learned.
    #[must_use]
    fn fresh(&self) -> Self;

    /// A layer of the same type that lets everything through: what a request without a key gets, and how a form that
    /// changes a body type is switched off without changing the types of a stack.
    #[must_use]
    fn bypass(&self) -> Self;
}
