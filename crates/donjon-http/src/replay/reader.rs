use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use donjon_core::BoxError;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::{
    NotReplayable, ReplayError,
    shared::{Shared, Source, State},
};

type Next = Option<Result<Frame<Bytes>, ReplayError>>;

/// One copy of a body.
pub(super) struct Reader<B> {
    shared: Arc<Shared<B>>,
    cursor: Cursor,
}

/// Where a copy stands in the recording.
#[derive(Default)]
struct Cursor {
    id: u64,
    /// The next chunk.
    next: usize,
    /// The bytes of the recording that were read.
    read: u64,
    begun: bool,
    done: bool,
}

/// What a poll of the source gave.
enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    Failed(Arc<dyn Error + Send + Sync>),
}

/// The source while it is polled, outside of the lock. Left alone by a panic, it marks the body as failed.
struct Taken<'a, B> {
    shared: &'a Shared<B>,
    returned: bool,
}

/// The source panicked in its poll.
#[derive(Debug)]
struct Panicked;

// ===== impl Reader =====

impl<B> Reader<B> {
    pub(super) fn first(shared: Shared<B>) -> Self {
        Self { shared: Arc::new(shared), cursor: Cursor::default() }
    }

    pub(super) fn copy(&self) -> Option<Self> {
        let id = {
            let mut state = self.shared.lock();
            if state.refusal().is_some() {
                return None;
            }
            state.new_reader()
        };
        self.shared.count_copy();
        Some(Self { shared: Arc::clone(&self.shared), cursor: Cursor { id, ..Cursor::default() } })
    }

    pub(super) fn refusal(&self) -> Option<NotReplayable> {
        self.shared.lock().refusal()
    }

    pub(super) fn is_intact(&self) -> bool {
        let state = self.shared.lock();
        !self.cursor.begun && (state.refusal().is_none() || state.owner() == Some(self.cursor.id))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        if self.cursor.done {
            return true;
        }
        let state = self.shared.lock();
        state.shut_out(self.cursor.id).is_none()
            && self.cursor.next == state.chunks.len()
            && matches!(state.source, Source::Ended)
            && state.trailers.is_none()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        if self.cursor.done {
            return SizeHint::with_exact(0);
        }
        let state = self.shared.lock();
        if state.shut_out(self.cursor.id).is_some() || matches!(state.source, Source::Failed(_) | Source::Gone) {
            return SizeHint::default();
        }
        let recorded = state.data.saturating_sub(self.cursor.read);
        let rest = state.source_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(recorded));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(recorded)) {
            hint.set_upper(upper);
        }
        hint
    }
}

impl<B> Reader<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let Self { shared, cursor } = self;
        if cursor.done {
            return Poll::Ready(None);
        }
        cursor.begun = true;

        let mut state = shared.lock();
        let next = if let Some(error) = state.shut_out(cursor.id) {
            Some(Err(error))
        } else if let Some(chunk) = state.chunks.get(cursor.next) {
            let chunk = chunk.clone();
            cursor.pass(&chunk);
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        } else {
            match &state.source {
                Source::Idle(_, hint) => {
                    let polled = Source::Polled(*hint);
                    let Source::Idle(body, _) = std::mem::replace(&mut state.source, polled) else {
                        unreachable!("it was just looked at, under the lock");
                    };
                    shared.wakers.register(cursor.id, cx.waker());
                    drop(state);
                    return poll_source(shared, cursor, body);
                }
                Source::Polled(_) => {
                    state.contended = true;
                    shared.wakers.register(cursor.id, cx.waker());
                    return Poll::Pending;
                }
                Source::Ended => state.trailers.clone().map(|trailers| Ok(Frame::trailers(trailers))),
                Source::Failed(cause) => Some(Err(ReplayError::caused(Arc::clone(cause)))),
                Source::Gone => Some(Err(ReplayError::new(state.refusal().unwrap_or(NotReplayable::Consumed)))),
            }
        };
        drop(state);
        cursor.done = true;
        shared.wakers.remove(cursor.id);
        Poll::Ready(next)
    }
}

impl<B> Drop for Reader<B> {
    fn drop(&mut self) {
        self.shared.wakers.remove(self.cursor.id);
        let spent = {
            let mut state = self.shared.lock();
            // Nobody else may read on: the rest goes with its owner, though other copies are still kept.
            let owner = state.owner() == Some(self.cursor.id) && matches!(state.source, Source::Idle(..));
            owner.then(|| std::mem::replace(&mut state.source, Source::Gone))
        };
        drop(spent);
    }
}

// ===== Reading on from the source =====

fn poll_source<B>(shared: &Arc<Shared<B>>, cursor: &mut Cursor, mut body: Pin<Box<B>>) -> Poll<Next>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    let taken = Taken { shared, returned: false };
    let waker = Waker::from(Arc::clone(&shared.wakers));
    let piece = match body.as_mut().poll_frame(&mut Context::from_waker(&waker)) {
        Poll::Pending => None,
        Poll::Ready(None) => Some(Piece::End),
        Poll::Ready(Some(Ok(frame))) => Some(Piece::of(frame)),
        Poll::Ready(Some(Err(error))) => Some(Piece::Failed(Arc::from(error.into()))),
    };
    let ended = match piece {
        None => false,
        Some(Piece::Data(_)) => body.is_end_stream(),
        Some(_) => true,
    };
    let hint = body.size_hint();
    taken.give_back();

    // What may be dropped here is dropped after the lock: it is foreign code.
    let (source, spent) = if ended { (Source::Ended, Some(body)) } else { (Source::Idle(body, hint), None) };
    let mut freed = Vec::new();
    let mut state = shared.lock();
    state.source = source;
    let contended = std::mem::take(&mut state.contended);
    let next = match piece {
        None => {
            drop(state);
            if contended {
                // The source may have woken us before the others had registered: they see for themselves.
                shared.wakers.wake_others(cursor.id);
            }
            return Poll::Pending;
        }
        Some(Piece::Data(chunk)) => {
            // Nobody else is there, and only this copy, which is borrowed here, could make another one.
            if Arc::strong_count(shared) == 1 {
                shared.refuse(&mut state, NotReplayable::Consumed, cursor.id);
            }
            // An empty chunk says nothing, and a list of them would have no bound.
            if state.owner().is_none() && !chunk.is_empty() {
                if state.reserve(chunk.len()) {
                    cursor.pass(&chunk);
                    state.data += chunk.len() as u64;
                    state.chunks.push(chunk.clone());
                } else {
                    freed = cursor.go_on_alone(shared, &mut state);
                }
            }
            Some(Ok(Frame::data(chunk)))
        }
        Some(Piece::Trailers(trailers)) => {
            if Arc::strong_count(shared) == 1 {
                shared.refuse(&mut state, NotReplayable::Consumed, cursor.id);
            }
            if state.owner().is_none() {
                if state.reserve(size_of_fields(&trailers)) {
                    state.trailers = Some(trailers.clone());
                } else {
                    freed = cursor.go_on_alone(shared, &mut state);
                }
            }
            cursor.done = true;
            Some(Ok(Frame::trailers(trailers)))
        }
        Some(Piece::End) => {
            cursor.done = true;
            None
        }
        Some(Piece::Failed(cause)) => {
            shared.fail(&mut state, Arc::clone(&cause));
            cursor.done = true;
            Some(Err(ReplayError::caused(cause)))
        }
    };
    drop(state);
    drop((spent, freed));
    shared.wakers.remove(cursor.id);
    shared.wakers.wake_all();
    Poll::Ready(next)
}

fn size_of_fields(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

impl Cursor {
    fn pass(&mut self, chunk: &Bytes) {
        self.next += 1;
        self.read += chunk.len() as u64;
    }

    /// There is no more room: this copy reads on alone, and the recording is of no use to anybody.
    fn go_on_alone<B>(&mut self, shared: &Shared<B>, state: &mut State<B>) -> Vec<Bytes> {
        shared.refuse(state, NotReplayable::TooLarge, self.id);
        self.next = 0;
        state.data = 0;
        std::mem::take(&mut state.chunks)
    }
}

impl Piece {
    fn of<D: Buf>(frame: Frame<D>) -> Self {
        match frame.into_data() {
            Ok(mut data) => Self::Data(data.copy_to_bytes(data.remaining())),
            Err(frame) => match frame.into_trailers() {
                Ok(trailers) => Self::Trailers(trailers),
                // A frame is data or trailers; what else may come one day is nothing that a copy could repeat.
                Err(_) => Self::Data(Bytes::new()),
            },
        }
    }
}

// ===== impl Taken =====

impl<B> Taken<'_, B> {
    fn give_back(mut self) {
        self.returned = true;
    }
}

impl<B> Drop for Taken<'_, B> {
    fn drop(&mut self) {
        if !self.returned {
            self.shared.fail(&mut self.shared.lock(), Arc::new(Panicked));
            self.shared.wakers.wake_all();
        }
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body panicked")
    }
}

impl Error for Panicked {}
