//! What a way of calling is: both are offered the same calls and asked the same questions.

use std::{borrow::Cow, future::Future};

use tokio::time::Instant;

/// One of the two ways to make the calls.
pub(crate) trait Way: Clone + Send + 'static {
    /// Makes the call `id` for the item `item` and reads the answer to its end. Its time runs from when it was due.
    fn call(&self, id: u64, item: usize, due: Instant) -> impl Future<Output = Done> + Send;
}

/// What became of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// Answered (2xx with its whole body), or the kind of the failure.
    pub(crate) result: Result<(), Kind>,
    /// How often it was sent.
    pub(crate) attempts: u32,
}

/// The kind of a failure: a short stable name.
pub(crate) type Kind = Cow<'static, str>;

/// The kind of an answer with this status.
pub(crate) fn status_kind(status: http::StatusCode) -> Kind {
    format!("status-{}", status.as_u16()).into()
}
