use std::{error::Error, fmt};

use crate::{Reject, Rejection, error_chain};

/// A boxed error, as tower's own layers have it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// An error of any type, that can carry a [`Rejection`]: donjon's box.
///
/// Like `anyhow::Error` it is not itself an [`Error`], so that any error can be made into one with `?` or
/// `.map_err(CallError::from)`. [`CallError::as_error`](Reject::as_error) gives the error inside, and
/// `Into<BoxError>` is there for tower's own layers around a donjon stack.
///
/// # Example
///
/// ```
/// use donjon_core::{CallError, Reject};
///
/// let error = CallError::from(std::io::Error::other("the disk is full"));
/// assert_eq!(error.to_string(), "the disk is full");
/// assert!(error.downcast_ref::<std::io::Error>().is_some());
/// assert!(error.as_rejection().is_none());
/// ```
pub struct CallError(BoxError);

// ===== impl CallError =====

impl CallError {
    /// Wraps whatever can be boxed: an error, a box, a string.
    pub fn new(error: impl Into<BoxError>) -> Self {
        Self(error.into())
    }

    /// The error inside, if it is an `E`. Looks at the outermost error alone.
    #[must_use]
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }

    /// The box inside.
    #[must_use]
    pub fn into_inner(self) -> BoxError {
        self.0
    }

    /// The first error of type `E` in the [chain](error_chain) that starts with the error inside.
    #[must_use]
    pub fn find<E: Error + 'static>(&self) -> Option<&E> {
        error_chain(&*self.0).find_map(|error| error.downcast_ref())
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for CallError {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl From<CallError> for BoxError {
    fn from(error: CallError) -> Self {
        error.0
    }
}

impl Reject for CallError {
    fn from_rejection(rejection: Rejection) -> Self {
        Self(Box::new(rejection))
    }

    fn as_rejection(&self) -> Option<&Rejection> {
        self.find()
    }

    fn as_error(&self) -> &(dyn Error + 'static) {
        &*self.0
    }
}

impl fmt::Debug for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
