//! A server on loopback that counts its connections and answers by path.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    rt::{Read, Write},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinSet,
};

/// What the server has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) accepted: usize,
    pub(crate) open: usize,
    pub(crate) most_open: usize,
    /// Requests whose head has come.
    pub(crate) calls: usize,
}

/// Answers `/ok` with `ok`, `/echo` with the request body, `/version`, `/host` and `/length` with what they say, `/hold` once it
/// is released, `/redirect` with a redirect to `/ok`, and `/endless` with a body that never ends.
#[derive(Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    // Ends the server and all its connections.
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    counts: watch::Sender<Counts>,
    gate: Semaphore,
    close: watch::Sender<usize>,
}

struct Open(Arc<Shared>);

pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

impl Upstream {
    pub(crate) async fn start() -> Self {
        Self::serve(|io| async move { Some(io) }).await
    }

    /// Accepts each connection through `accept`, for TLS.
    pub(crate) async fn serve<A, F, T>(accept: A) -> Self
    where
        A: Fn(tokio::net::TcpStream) -> F + Send + Sync + 'static,
        F: Future<Output = Option<T>> + Send + 'static,
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            counts: watch::Sender::new(Counts::default()),
            gate: Semaphore::new(0),
            close: watch::Sender::new(0),
        });
        let mut tasks = JoinSet::new();
        let server = Arc::clone(&shared);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (io, _) = listener.accept().await.unwrap();
                let open = Open::new(Arc::clone(&server));
                let io = accept(io);
                let shared = Arc::clone(&server);
                connections.spawn(async move {
                    let _open = open;
                    if let Some(io) = io.await {
                        connection(TokioIo::new(io), shared).await;
                    }
                });
            }
        });
        Self { address, shared, _tasks: tasks }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.shared.counts.borrow()
    }

    /// Waits until the counts are so. Fails after 10 s.
    pub(crate) async fn until(&self, so: impl FnMut(&Counts) -> bool) -> Counts {
        let mut counts = self.shared.counts.subscribe();
        let counts = tokio::time::timeout(Duration::from_secs(10), counts.wait_for(so)).await;
        *counts.unwrap_or_else(|_| panic!("still {:?}", self.counts())).unwrap()
    }

    /// Lets this many calls of `/hold` through.
    pub(crate) fn release(&self, calls: usize) {
        self.shared.gate.add_permits(calls);
    }

    /// Closes all connections that are idle, and the others when they become so.
    pub(crate) fn close_connections(&self) {
        self.shared.close.send_modify(|n| *n += 1);
    }
}

async fn connection<T: Read + Write + Unpin + Send + 'static>(io: T, shared: Arc<Shared>) {
    let mut close = shared.close.subscribe();
    let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
    let server = auto::Builder::new(TokioExecutor::new());
    let mut connection = std::pin::pin!(server.serve_connection(io, service));
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = close.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>, Infallible> {
    shared.counts.send_modify(|counts| counts.calls += 1);
    let text = |text: String| Full::from(text).map_err(|never| match never {}).boxed();
    let body = match request.uri().path() {
        "/ok" => text("ok".to_owned()),
        "/echo" => request.into_body().map_err(std::io::Error::other).boxed(),
        "/version" => text(format!("{:?}", request.version())),
        "/host" => {
            let host = request.headers().get("host").map(|host| host.to_str().unwrap());
            text(host.or(request.uri().authority().map(|host| host.as_str())).unwrap().to_owned())
        }
        "/length" => text(format!("{:?} {:?}", request.method(), request.headers().get("content-length"))),
        "/hold" => {
            shared.gate.acquire().await.unwrap().forget();
            text("held".to_owned())
        }
        "/endless" => {
            let frame = Frame::data(Bytes::from_static(&[b'x'; 16 * 1024]));
            StreamBody::new(futures_util::stream::repeat_with(move || Ok(frame_again(&frame)))).boxed()
        }
        "/redirect" => {
            let response = Response::builder().status(StatusCode::FOUND).header("location", "/ok");
            return Ok(response.body(Empty::new().map_err(|never| match never {}).boxed()).unwrap());
        }
        other => unreachable!("no test asks for {other}"),
    };
    Ok(Response::new(body))
}

fn frame_again(frame: &Frame<Bytes>) -> Frame<Bytes> {
    Frame::data(frame.data_ref().unwrap().clone())
}

impl Open {
    fn new(shared: Arc<Shared>) -> Self {
        shared.counts.send_modify(|counts| {
            counts.accepted += 1;
            counts.open += 1;
            counts.most_open = counts.most_open.max(counts.open);
        });
        Self(shared)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.counts.send_modify(|counts| counts.open -= 1);
    }
}
