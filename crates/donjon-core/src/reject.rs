use std::error::Error;

use crate::Rejection;

/// An error type that can carry a [`Rejection`] and give it back.
///
/// This is all that a donjon layer asks of the stack that it joins: the layer keeps the stack's error type and puts its
/// refusals into it. It is implemented for [`Rejection`] itself and for [`CallError`](crate::CallError), which holds
/// any error; implement it for an enum of your own in three short functions.
///
/// It is not implemented for `Box<dyn Error + Send + Sync>`: a concrete stack with that error does not compile inside
/// `tokio::spawn`. Put `.map_err(CallError::from)` (or `CallError::new` over a box) at the bottom of the stack.
///
/// # Example
///
/// ```
/// use std::{error::Error, fmt};
/// use donjon_core::{Reject, Rejection};
///
/// #[derive(Debug)]
/// enum AppError {
///     Refused(Rejection),
///     Db(std::io::Error),
/// }
///
/// impl Reject for AppError {
///     fn from_rejection(rejection: Rejection) -> Self {
///         Self::Refused(rejection)
///     }
///     fn as_rejection(&self) -> Option<&Rejection> {
///         match self {
///             Self::Refused(rejection) => Some(rejection),
///             Self::Db(_) => None,
///         }
///     }
///     fn as_error(&self) -> &(dyn Error + 'static) {
///         match self {
///             Self::Refused(rejection) => rejection,
///             Self::Db(error) => error,
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "the error type `{Self}` cannot carry a `Rejection`",
    label = "a donjon layer needs an error type that implements `Reject`",
    note = "in a client stack, put `.map_err(CallError::from)` at the bottom, under the donjon layers",
    note = "over `Box<dyn Error + Send + Sync>`, put `.map_err(CallError::new)` there",
    note = "in a server, wrap the layers in `donjon::respond(..)`: refusals become responses and the error stays `Infallible`"
)]
pub trait Reject: Sized {
    /// Puts a refusal into this error type.
    fn from_rejection(rejection: Rejection) -> Self;

    /// The refusal inside, if this error is or carries one.
    fn as_rejection(&self) -> Option<&Rejection>;

    /// The error as a trait object, so that classification can walk its chain of sources.
    fn as_error(&self) -> &(dyn Error + 'static);
}

impl Reject for Rejection {
    fn from_rejection(rejection: Rejection) -> Self {
        rejection
    }

    fn as_rejection(&self) -> Option<&Rejection> {
        Some(self)
    }

    fn as_error(&self) -> &(dyn Error + 'static) {
        self
    }
}
