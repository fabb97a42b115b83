/// A layer whose state can be started anew: what a per-key layer multiplies.
///
/// A clone of a donjon layer shares the state of its original; `fresh` and `bypass` do not.
#[diagnostic::on_unimplemented(
    message = "the layer `{Self}` cannot start a new scope of state",
    label = "one state for each key needs a layer that implements `Fresh`",
    note = "every layer of donjon does; for a layer of your own or of another crate, implement `Fresh`: the same settings, a state of its own"
)]
pub trait Fresh {
    /// A layer with the same settings and a state of its own: nothing in flight, nothing counted, nothing learned.
    #[must_use]
    fn fresh(&self) -> Self;

    /// A layer of the same type that lets everything through: what a request without a key gets, and how a form that
    /// changes a body type is switched off without changing the types of a stack.
    #[must_use]
    fn bypass(&self) -> Self;
}
