use std::{error::Error, fmt};

use crate::{Reject, Rejection};

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

    /// The first error of type `E` in the chain that starts with the error inside.
    #[must_use]
    pub fn find<E: Error + 'static>(&self) -> Option<&E> {
        let mut next: Option<&(dyn Error + 'static)> = Some(&*self.0);
        // A chain is short; the bound only keeps a source that points at itself from hanging a caller.
        for _ in 0..64 {
            let error = next?;
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            next = inside(error);
        }
        None
    }
}

/// The next error of a chain. An `io::Error` around another error gives that one's source as its own, and would hide it.
fn inside<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
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
