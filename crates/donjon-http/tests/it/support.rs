//! Bodies that play a script.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    /// Pending, and wakes at once.
    Yield,
    /// Pending until the [`Gate`] is opened.
    Wait,
    Fail,
    Panic,
}

/// Says that it has ended only by `None`, as a chunked body does; counts its polls.
pub(crate) struct Script {
    steps: VecDeque<Step>,
    gate: Gate,
    hint: SizeHint,
}

/// Opens a [`Step::Wait`]: one opening lets one of them pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    openings: usize,
    waker: Option<Waker>,
    polls: usize,
}

impl Gate {
    pub(crate) fn open(&self) {
        let waker = {
            let mut inner = self.0.lock().unwrap();
            inner.openings += 1;
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// How often the body was polled.
    pub(crate) fn polls(&self) -> usize {
        self.0.lock().unwrap().polls
    }
}

impl Script {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), gate: Gate::default(), hint: SizeHint::default() }
    }

    pub(crate) fn hint(mut self, hint: SizeHint) -> Self {
        self.hint = hint;
        self
    }

    pub(crate) fn gate(&self) -> Gate {
        self.gate.clone()
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.gate.0.lock().unwrap().polls += 1;
        match self.steps.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Step::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Some(Step::Fail) => Poll::Ready(Some(Err(io::Error::other("planned")))),
            Some(Step::Panic) => panic!("planned"),
            Some(Step::Yield) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Step::Wait) => {
                let mut inner = self.gate.0.lock().unwrap();
                if inner.openings > 0 {
                    inner.openings -= 1;
                    drop(inner);
                    return self.poll_frame(cx);
                }
                inner.waker = Some(cx.waker().clone());
                drop(inner);
                self.steps.push_front(Step::Wait);
                Poll::Pending
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

pub(crate) fn data(text: &'static str) -> Step {
    Step::Data(Bytes::from_static(text.as_bytes()))
}

pub(crate) fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("x-sum"), HeaderValue::from_static("7"))])
}
