//! The unreliable upstream: a JSON server on loopback whose replies fail by chance and that has an outage.
//!
//! It counts for itself, so that nothing the client says about its own load has to be believed.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
    time::Instant,
};

use crate::{
    counts::{Counted, Counts},
    fate::{Fates, Reply},
    reply_body::ReplyBody,
    socket::{ResetSwitch, Socket},
};

/// The header that carries the number of a call, the same on each of its attempts.
pub(crate) const CALL_ID: &str = "x-call-id";

/// The header that carries the number of an attempt; without it, it is the first.
pub(crate) const ATTEMPT: &str = "x-attempt";

/// When the upstream resets every connection, counted from [`Upstream::begin`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outage {
    pub(crate) at: Duration,
    /// Zero: no outage.
    pub(crate) length: Duration,
}

/// A running upstream. Dropping it ends it, and cuts the connections that are open.
#[derive(Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    fates: Fates,
    outage: Outage,
    began: Mutex<Option<Instant>>,
    counts: Arc<Counts>,
}

/// Why the server gives a connection up without an answer.
#[derive(Debug)]
struct Reset;

// ===== impl Upstream =====

impl Upstream {
    /// Starts on a free port of the loopback interface.
    pub(crate) async fn start(fates: Fates, outage: Outage) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { fates, outage, began: Mutex::new(None), counts: Arc::default() });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { address, shared, accepting })
    }

    /// `http://127.0.0.1:port`
    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The load starts at `at`: from then on the time until the outage runs.
    pub(crate) fn begin(&self, at: Instant) {
        *self.shared.began.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// What it has seen.
    pub(crate) fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.shared.counts)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

// ===== impl Shared =====

impl Shared {
    fn is_out(&self) -> bool {
        let began = *self.began.lock().unwrap_or_else(PoisonError::into_inner);
        began.is_some_and(|began| {
            let elapsed = began.elapsed();
            elapsed >= self.outage.at && elapsed - self.outage.at < self.outage.length
        })
    }

    /// Answers one call, or resets its connection.
    async fn answer(&self, request: Request<Incoming>, reset: &ResetSwitch) -> Result<Response<ReplyBody>, Reset> {
        let id = number(request.headers(), CALL_ID);
        let first = number(request.headers(), ATTEMPT).is_none_or(|attempt| attempt <= 1);
        let out = self.is_out();
        let Counted { nth, in_flight } = self.counts.call(id, first, out);
        if out {
            reset.on();
            return Err(Reset);
        }
        let fate = self.fates.of(id.unwrap_or(u64::MAX), nth);
        tokio::time::sleep(fate.latency).await;

        let (status, body) = match fate.reply {
            Reply::Good => (StatusCode::OK, ReplyBody::whole(item(request.uri().path()), in_flight)),
            Reply::Truncated => (StatusCode::OK, ReplyBody::truncated(item(request.uri().path()), in_flight)),
            Reply::Error => (StatusCode::INTERNAL_SERVER_ERROR, ReplyBody::whole(problem(500, "a fault"), in_flight)),
            Reply::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, ReplyBody::whole(problem(503, "overloaded"), in_flight))
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let json = if status == StatusCode::OK { "application/json" } else { "application/problem+json" };
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(json));
        if fate.reply == Reply::Unavailable {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        Ok(response)
    }
}

/// Accepts until it is aborted; the connections end with it.
async fn accept(listener: TcpListener, shared: Arc<Shared>) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    connections.spawn(serve(Socket::new(stream), Arc::clone(&shared)));
                }
                // Out of file descriptors, most likely: others have to be closed first.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one connection to its end.
async fn serve(socket: Socket, shared: Arc<Shared>) {
    let reset = socket.reset_switch();
    let service = service_fn(|request| shared.answer(request, &reset));
    // A connection that ends with an error is this server's ordinary business.
    let _ = http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(socket), service).await;
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn item(path: &str) -> Bytes {
    let id: u32 = path.rsplit('/').next().and_then(|id| id.parse().ok()).unwrap_or(0);
    let stock = id % 7 * 3;
    format!(r#"{{"id":{id},"name":"item {id}","price":{id}.95,"stock":{stock},"tags":["a","b"]}}"#).into()
}

fn problem(status: u16, title: &str) -> Bytes {
    format!(r#"{{"type":"about:blank","title":"{title}","status":{status}}}"#).into()
}

// ===== impl Reset =====

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is reset")
    }
}

impl std::error::Error for Reset {}
