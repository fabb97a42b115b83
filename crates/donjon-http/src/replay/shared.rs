use std::{
    error::Error,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::SizeHint;

use super::{NotReplayable, ReplayError, layer::Counters, wakers::Wakers};

/// What all copies of one body share.
pub(super) struct Shared<B> {
    pub(super) wakers: Arc<Wakers>,
    state: Mutex<State<B>>,
    counters: Option<Arc<Counters>>,
}

/// The recording, and where the rest comes from. No code of the source runs while it is locked.
pub(super) struct State<B> {
    pub(super) chunks: Vec<Bytes>,
    pub(super) trailers: Option<HeaderMap>,
    /// The bytes in `chunks`.
    pub(super) data: u64,
    /// The bytes that may still be recorded.
    room: usize,
    /// How many chunks may be recorded: a list of tiny ones takes more than what is in them.
    most_chunks: usize,
    pub(super) source: Source<B>,
    /// The one copy that may read on from the source, once the others cannot.
    owner: Option<u64>,
    refusal: Option<NotReplayable>,
    next_reader: u64,
    /// Whether somebody came for more while the source was being polled.
    pub(super) contended: bool,
}

pub(super) enum Source<B> {
    /// Here, with what it last said of its size.
    Idle(Pin<Box<B>>, SizeHint),
    /// Some copy is polling it.
    Polled(SizeHint),
    Ended,
    Failed(Arc<dyn Error + Send + Sync>),
    /// Its owner was dropped, and it went with the owner.
    Gone,
}

/// So many chunks of any size are recorded, and one more for each so many bytes of the cap.
const FREE_CHUNKS: usize = 64;
const BYTES_PER_CHUNK: usize = 64;

// ===== impl Shared =====

impl<B> Shared<B> {
    pub(super) fn new(body: B, hint: SizeHint, cap: usize, counters: Option<Arc<Counters>>) -> Self {
        let known_too_large = hint.lower() > cap as u64;
        let this = Self {
            wakers: Arc::default(),
            state: Mutex::new(State {
                chunks: Vec::new(),
                trailers: None,
                data: 0,
                room: cap,
                most_chunks: FREE_CHUNKS.saturating_add(cap / BYTES_PER_CHUNK),
                source: Source::Idle(Box::pin(body), hint),
                owner: None,
                refusal: None,
                next_reader: 1,
                contended: false,
            }),
            counters,
        };
        if known_too_large {
            this.refuse(&mut this.lock(), NotReplayable::TooLarge, 0);
        }
        this
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No copy can be made any more; `owner` goes on alone, if there is anything left to go on with.
    pub(super) fn refuse(&self, state: &mut State<B>, reason: NotReplayable, owner: u64) {
        self.note(state, reason);
        state.owner.get_or_insert(owner);
    }

    /// The source gives no more. What was recorded is still read by those who have begun.
    pub(super) fn fail(&self, state: &mut State<B>, cause: Arc<dyn Error + Send + Sync>) {
        self.note(state, NotReplayable::SourceFailed);
        state.source = Source::Failed(cause);
    }

    fn note(&self, state: &mut State<B>, reason: NotReplayable) {
        if state.refusal.is_some() {
            return;
        }
        state.refusal = Some(reason);
        if let Some(counters) = &self.counters {
            counters.refused(reason);
        }
    }

    pub(super) fn count_copy(&self) {
        if let Some(counters) = &self.counters {
            counters.copied();
        }
    }
}

// ===== impl State =====

impl<B> State<B> {
    pub(super) fn new_reader(&mut self) -> u64 {
        let id = self.next_reader;
        self.next_reader += 1;
        id
    }

    pub(super) const fn refusal(&self) -> Option<NotReplayable> {
        self.refusal
    }

    pub(super) const fn owner(&self) -> Option<u64> {
        self.owner
    }

    /// Why this reader cannot get what is left, if it cannot.
    pub(super) fn shut_out(&self, reader: u64) -> Option<ReplayError> {
        match (self.owner, self.refusal) {
            (Some(owner), Some(reason)) if owner != reader => Some(ReplayError::new(reason)),
            _ => None,
        }
    }

    /// Takes `bytes` from the room of the recording, if there is room.
    pub(super) fn reserve(&mut self, bytes: usize) -> bool {
        match self.room.checked_sub(bytes) {
            Some(room) if self.chunks.len() < self.most_chunks => {
                self.room = room;
                true
            }
            _ => false,
        }
    }

    /// What the source last said of its size.
    pub(super) fn source_hint(&self) -> SizeHint {
        match &self.source {
            Source::Idle(_, hint) | Source::Polled(hint) => *hint,
            Source::Ended | Source::Failed(_) | Source::Gone => SizeHint::with_exact(0),
        }
    }
}
