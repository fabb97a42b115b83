use std::time::Duration;

/// A layer whose state can be started anew: what a per-key layer multiplies.
///
/// A clone of a donjon layer shares the state of its original; `fresh` and `bypass` do not.
///
/// The services of such a layer forward `poll_ready`, or are always ready and make a clone of the inner service ready
/// inside of the call. A per-key layer relies on it: it lays the layer of the key around an inner service that has been
/// readied, and calls the result at once.
///
/// Layers in a tuple are `Fresh` together, the first one being the outermost, as they are one
/// [`Layer`](https://docs.rs/tower-layer) together.
///
/// # Example
///
/// A layer with a state of its own:
///
/// ```
/// use std::sync::{Arc, atomic::AtomicU64};
/// use donjon_core::Fresh;
///
/// #[derive(Clone, Debug)]
/// struct CountLayer {
///     /// `None` does not count.
///     calls: Option<Arc<AtomicU64>>,
/// }
///
/// impl Fresh for CountLayer {
///     fn fresh(&self) -> Self {
///         Self { calls: self.calls.as_ref().map(|_| Arc::default()) }
///     }
///     fn bypass(&self) -> Self {
///         Self { calls: None }
///     }
/// }
///
/// let pair = (CountLayer { calls: Some(Arc::default()) }, CountLayer { calls: None });
/// assert!(pair.bypass().0.calls.is_none());
/// ```
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

    /// Whether something outside of this value holds its state: a response body that keeps its permit, a handle, a clone.
    ///
    /// A per-key layer asks it before it forgets a key. It knows of its own calls, so only what outlives a call
    /// matters here: what a layer puts into a response. It is asked while a lock is held, and answers at once. False
    /// unless said.
    fn is_held(&self) -> bool {
        false
    }

    /// How long its state means something after its last use: for a rate limit, until all of its tokens are there again.
    ///
    /// A per-key layer keeps a key that is idle for at least as long, unless it is told for how long. Zero unless said.
    fn memory(&self) -> Duration {
        Duration::ZERO
    }
}

macro_rules! fresh_together {
    ($($layer:ident)*) => {
        impl<$($layer: Fresh),*> Fresh for ($($layer,)*) {
            #[expect(non_snake_case, reason = "each layer is named by its type")]
            fn fresh(&self) -> Self {
                let ($($layer,)*) = self;
                ($($layer.fresh(),)*)
            }

            #[expect(non_snake_case, reason = "each layer is named by its type")]
            fn bypass(&self) -> Self {
                let ($($layer,)*) = self;
                ($($layer.bypass(),)*)
            }

            #[expect(non_snake_case, reason = "each layer is named by its type")]
            fn is_held(&self) -> bool {
                let ($($layer,)*) = self;
                $($layer.is_held())||*
            }

            #[expect(non_snake_case, reason = "each layer is named by its type")]
            fn memory(&self) -> Duration {
                let ($($layer,)*) = self;
                Duration::ZERO$(.max($layer.memory()))*
            }
        }
    };
}

fresh_together! { A }
fresh_together! { A B }
fresh_together! { A B C }
fresh_together! { A B C D }
fresh_together! { A B C D E }
fresh_together! { A B C D E F }
fresh_together! { A B C D E F G }
fresh_together! { A B C D E F G H }
