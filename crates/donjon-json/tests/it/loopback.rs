//! The client over a real transport, and servers that behave and that do not. The clock is the real one: the tests wait
//! for events.

use std::{convert::Infallible, error::Error as _, net::SocketAddr, time::Duration};

use bytes::Bytes;
use donjon_core::{Classify, Deadline, Outcome, Reject, RejectionKind, Sent};
use donjon_json::{BoxJsonClient, JsonClassify, JsonClient, JsonError, JsonErrorKind};
use donjon_transport::transport;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct User {
    id: u64,
    name: String,
}

/// A hyper server with a few routes.
async fn upstream() -> SocketAddr {
    async fn route(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let json =
            |body: Vec<u8>| Response::builder().header("content-type", "application/json").body(Full::from(body));
        let response = match (&parts.method, parts.uri.path()) {
            (&Method::GET, "/users/a%2Fb") => {
                json(serde_json::to_vec(&User { id: 1, name: parts.uri.query().unwrap_or("").into() }).unwrap())
            }
            (&Method::POST, "/users") => json(body.collect().await.unwrap().to_bytes().to_vec()),
            (&Method::DELETE, _) => Response::builder().status(204).body(Full::default()),
            (&Method::HEAD, _) => {
                Response::builder().header("content-length", 10_000_000_000_u64).body(Full::default())
            }
            (_, "/old") => {
                Response::builder().status(308).header("location", "/users/a%2Fb?x=y").body(Full::from("moved"))
            }
            _ => Response::builder().status(404).body(Full::from("nothing here")),
        };
        Ok(response.unwrap())
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((io, _)) = listener.accept().await {
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(io), service_fn(route));
            tokio::spawn(async move { drop(connection.await) });
        }
    });
    address
}

/// A server that reads a request head, writes these bytes, and then does as `after` says.
async fn script<F, Fut>(bytes: &'static [u8], after: F) -> BoxJsonClient
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut io, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = io.read_u8().await else { return };
                head.push(byte);
            }
            io.write_all(bytes).await.unwrap();
            tokio::spawn(after(io));
        }
    });
    client(address)
}

async fn close(io: TcpStream) {
    drop(io);
}

async fn stay(io: TcpStream) {
    let _io = io;
    std::future::pending().await
}

fn client(address: SocketAddr) -> BoxJsonClient {
    JsonClient::new(transport()).base(format!("http://{address}")).unwrap().boxed()
}

fn outcome(error: &JsonError) -> Outcome {
    JsonClassify::new().classify(Err::<&(), _>(error))
}

#[track_caller]
fn names_the_url(error: &JsonError) {
    assert!(error.to_string().starts_with("GET http://127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn calls_go_over_a_real_connection() {
    let api = client(upstream().await);
    let user: User = api.get("/users/{id}").path("id", "a/b").query_pair("q", "c d").send().await.unwrap();
    assert_eq!(user, User { id: 1, name: "q=c%20d".into() });
    let sent = User { id: 2, name: "\u{1f980}".into() };
    assert_eq!(api.post("/users").json(&sent).send::<User>().await.unwrap(), sent);
    api.delete("/users/1").send::<()>().await.unwrap();
    let reply = api.head("/users").send_full::<()>().await.unwrap();
    assert_eq!(reply.headers()["content-length"], "10000000000");
    let user: User = api.get("/old").follow_redirects(1).send().await.unwrap();
    assert_eq!(user.name, "x=y");
    let error = api.get("/none").send::<User>().await.unwrap_err();
    assert_eq!((error.status().unwrap().as_u16(), &error.body()[..]), (404, &b"nothing here"[..]));
    names_the_url(&error);
}

#[tokio::test]
async fn a_server_that_closes_inside_the_body_is_an_error_of_the_body() {
    let api = script(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\":1,", close).await;
    let error = api.get("/x").send::<User>().await.unwrap_err();
    names_the_url(&error);
    assert_eq!((error.kind(), &error.body()[..]), (JsonErrorKind::Body, &b"{\"id\":1,"[..]));
    assert!(error.source().is_some());
    assert_eq!(outcome(&error), Outcome::Transient { sent: Sent::Answered, retry_after: None });
    let api = script(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n[1,\r\n", close).await;
    assert_eq!(api.get("/x").send::<Vec<u8>>().await.unwrap_err().kind(), JsonErrorKind::Body);
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection_may_have_been_cut_off() {
    let api = script(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"id\":1,", close).await;
    let error = api.get("/x").send::<User>().await.unwrap_err();
    names_the_url(&error);
    assert_eq!(error.kind(), JsonErrorKind::Decode);
    assert!(error.to_string().contains("is JSON that was cut off"), "{error}");
    assert_eq!(outcome(&error), Outcome::Transient { sent: Sent::Answered, retry_after: None });
}

#[tokio::test]
async fn a_server_that_closes_before_the_head_gave_no_response() {
    let api = script(b"", close).await;
    let error = api.get("/x").send::<User>().await.unwrap_err();
    names_the_url(&error);
    assert_eq!(error.kind(), JsonErrorKind::Transport);
    assert!(matches!(outcome(&error), Outcome::Transient { .. }));
}

#[tokio::test]
async fn a_server_that_is_not_there_was_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = client(listener.local_addr().unwrap());
    drop(listener);
    let error = api.get("/x").send::<User>().await.unwrap_err();
    names_the_url(&error);
    assert_eq!(error.kind(), JsonErrorKind::Transport);
    assert_eq!(outcome(&error), Outcome::Transient { sent: Sent::NotSent, retry_after: None });
}

#[tokio::test]
async fn what_is_no_http_is_an_error() {
    let api = script(b"SSH-2.0-OpenSSH_9.9\r\n\r\n", stay).await;
    let error = api.get("/x").send::<User>().await.unwrap_err();
    names_the_url(&error);
    assert_eq!(error.kind(), JsonErrorKind::Transport);
}

#[tokio::test]
async fn ten_gigabytes_are_refused_by_their_declared_length() {
    let api = script(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n", stay).await;
    let error = api.get("/x").send::<User>().await.unwrap_err();
    names_the_url(&error);
    assert_eq!(error.kind(), JsonErrorKind::BodyTooLarge);
}

#[tokio::test]
async fn ten_gigabytes_that_are_not_declared_end_at_the_cap() {
    let api = script(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", |mut io| async move {
        let mut chunk = b"10000\r\n".to_vec();
        chunk.resize(chunk.len() + 0x10000, b' ');
        chunk.extend_from_slice(b"\r\n");
        // Until the client has had enough, and closes.
        while io.write_all(&chunk).await.is_ok() {}
    })
    .await;
    let error = api.get("/x").send::<User>().await.unwrap_err();
    names_the_url(&error);
    assert_eq!(error.kind(), JsonErrorKind::BodyTooLarge);
}

#[tokio::test]
async fn a_body_that_never_ends_is_ended_by_the_deadline() {
    let api = script(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n[\r\n", stay).await;
    let call = Deadline::after(Duration::from_millis(50)).scope(api.get("/x").send::<User>());
    let error = call.await.unwrap_err();
    names_the_url(&error);
    assert_eq!(error.as_rejection().unwrap().kind(), RejectionKind::DeadlineExceeded);
    // Of a failed response, what came is enough; it has come long before, however slow the machine.
    let api = script(b"HTTP/1.1 503 Busy\r\ncontent-length: 9\r\n\r\nhalf", stay).await;
    let call = Deadline::after(Duration::from_secs(2)).scope(api.get("/x").send::<User>());
    let error = call.await.unwrap_err();
    assert_eq!(
        (error.kind(), &error.body()[..], error.is_body_truncated()),
        (JsonErrorKind::Status, &b"half"[..], true)
    );
}

#[tokio::test]
async fn a_redirect_loop_is_named() {
    let api = script(b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n", stay).await;
    let error = api.get("/x").follow_redirects(20).send::<User>().await.unwrap_err();
    names_the_url(&error);
    assert!(error.to_string().ends_with("/x, where this call has been before: a redirect loop"), "{error}");
}
