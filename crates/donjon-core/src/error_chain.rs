use std::{error::Error, io, iter};

/// A chain is short; the bound only keeps a source that points at itself from hanging a caller.
const LONGEST: usize = 64;

/// An error, its source, the source of that, and so on: where every classifier looks.
///
/// An `io::Error` that was made from another error gives that one's source as its own and so hides it; here it follows
/// like any other. At most 64 errors are given, so that a source that points at itself hangs nobody.
///
/// # Example
///
/// ```
/// use std::io;
/// use donjon_core::{Rejection, RejectionKind, error_chain};
///
/// let error = io::Error::other(Rejection::new(RejectionKind::Overloaded, "my-layer"));
/// let refusal = error_chain(&error).find_map(|error| error.downcast_ref::<Rejection>());
/// assert_eq!(refusal.expect("it is inside").kind(), RejectionKind::Overloaded);
/// ```
pub fn error_chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    iter::successors(Some(error), |&error| inside(error)).take(LONGEST)
}

fn inside<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}
