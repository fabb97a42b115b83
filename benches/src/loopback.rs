//! A JSON server on loopback, on a thread and a runtime of its own, so that what it costs is not counted as the
//! client's.

use std::{convert::Infallible, net::SocketAddr, sync::mpsc, thread};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What every request is answered with.
pub const BODY: &str = r#"{"id":42,"name":"Ada Lovelace","tags":["first","programmer"]}"#;

/// What [`BODY`] says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct User {
    /// A number.
    pub id: u64,
    /// A string.
    pub name: String,
    /// A short list.
    pub tags: Vec<String>,
}

/// Starts the server, and says where it listens. It lives as long as the process.
#[must_use]
pub fn start() -> SocketAddr {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime for the server");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            send.send(listener.local_addr().expect("a bound address")).expect("the starter waits");
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let _ = stream.set_nodelay(true);
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
            }
        });
    });
    receive.recv().expect("the server says where it listens")
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(BODY.as_bytes())));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    Ok(response)
}
