//! Request bodies that can be sent again.
//!
//! [`ReplayLayer`] goes outside of a retry or a hedge and makes any body a [`ReplayBody`], so that the layers inside
//! can ask a request for a copy of itself.
//!
//! - **Lazy.** Nothing is read ahead: the recording is made while the first attempt is being sent. A copy that starts
//!   while an earlier one is still being read takes what was recorded and then goes on with the source. A copy that is
//!   alone is not recorded at all.
//! - **Capped.** At most [`DEFAULT_CAP`] bytes are kept, data and trailers together, unless said. A body that is larger
//!   is sent once: by the copy that came first to the cap. A body whose announced size is over the cap is not recorded.
//!   Chunks are kept as they came, without copying, and at most 64 and one for each 64 bytes of the cap: a body in more
//!   pieces than that counts as too large.
//! - **Two readers at once**, as a hedge has them, or a retry after an early response while the first request is still
//!   being sent: both get all bytes, each once. Whichever wants more than was recorded reads on from the source for
//!   both; when the source has more, both are woken. At the cap the one that is ahead goes on alone, and the other
//!   one's body fails with [`NotReplayable::TooLarge`]: its attempt ends with an error, and never with a request that
//!   is torn.
//!
//! An empty body costs no allocation. Any other body has a few for what its copies share: the state, the source itself,
//! who waits for it, and the list of chunks.

mod body;
mod error;
mod layer;
mod observe;
mod reader;
mod shared;
mod wakers;

pub use self::{
    body::ReplayBody,
    error::{NotReplayable, ReplayError},
    layer::{ReplayHandle, ReplayLayer, ReplayStats, Replayable},
};

/// How many bytes of a body are kept, unless said: 64 KiB.
pub const DEFAULT_CAP: usize = 64 * 1024;
