//! An upstream in memory that plays a script: what it answers to each call in turn, and what it has seen.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use tokio::time::{Instant, sleep};

/// The body of an answer; it may fail midway.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// One answer.
#[derive(Clone, Debug)]
pub enum Step {
    /// 200 with this JSON.
    Json(&'static str),
    /// This status and no body.
    Status(u16),
    /// 503 that asks for this many seconds.
    RetryAfter(u64),
    /// 200 whose body breaks off.
    Truncated,
    /// The answer that follows, after this long.
    After(Duration, Box<Step>),
    /// No answer.
    Never,
    /// The connection is refused.
    Refused,
    /// The connection is reset after the request was sent.
    Reset,
}

/// What the upstream has seen of one call.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it came, from when the upstream was made.
    pub at: Duration,
    /// Its head.
    pub method: http::Method,
    /// Its path.
    pub path: String,
    /// Its body.
    pub body: Bytes,
}

#[derive(Debug)]
struct State {
    script: VecDeque<Step>,
    seen: Vec<Seen>,
}

/// The upstream. Clones are the same one; where the script has ended, its last step is repeated.
#[derive(Clone, Debug)]
pub struct Upstream {
    state: Arc<Mutex<State>>,
    started: Instant,
}

impl Upstream {
    /// Answers these in turn, and the last one for ever.
    #[must_use]
    pub fn new(script: impl IntoIterator<Item = Step>) -> Self {
        let state = State { script: script.into_iter().collect(), seen: Vec::new() };
        Self { state: Arc::new(Mutex::new(state)), started: Instant::now() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with the lock")
    }

    /// All calls that have come.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// How many calls have come.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.state().seen.len()
    }

    /// Takes a request.
    ///
    /// # Errors
    ///
    /// As the script says.
    pub async fn answer(self, request: Request<Full<Bytes>>) -> Result<Response<Body>, std::io::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.expect("it is in memory").to_bytes();
        let mut step = {
            let mut state = self.state();
            let at = self.started.elapsed();
            state.seen.push(Seen { at, method: head.method, path: head.uri.path().to_owned(), body });
            let next = if state.script.len() > 1 { state.script.pop_front() } else { state.script.front().cloned() };
            next.expect("a script has a step")
        };
        while let Step::After(time, next) = step {
            sleep(time).await;
            step = *next;
        }
        let response = Response::builder().header("content-type", "application/json");
        Ok(match step {
            Step::Json(text) => response.body(full(text)),
            Step::Status(status) => response.status(status).body(full("")),
            Step::RetryAfter(seconds) => response.status(503).header("retry-after", seconds).body(full("")),
            Step::Truncated => {
                let frames =
                    [Ok(Frame::data(Bytes::from_static(b"{\"na"))), Err(error(std::io::ErrorKind::UnexpectedEof))];
                response.body(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync())
            }
            Step::Never => std::future::pending().await,
            Step::Refused => return Err(error(std::io::ErrorKind::ConnectionRefused)),
            Step::Reset => return Err(error(std::io::ErrorKind::ConnectionReset)),
            Step::After(..) => unreachable!("it was waited for"),
        }
        .expect("a valid response"))
    }
}

fn full(text: &'static str) -> Body {
    Full::from(text).map_err(|never| match never {}).boxed_unsync()
}

fn error(kind: std::io::ErrorKind) -> std::io::Error {
    std::io::Error::from(kind)
}
