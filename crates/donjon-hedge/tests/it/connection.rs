//! Over real connections, by the real clock: what the server sees of the copy that has lost.

use std::time::Duration;

use bytes::Bytes;
use donjon_budget::Budget;
use donjon_core::CallError;
use donjon_hedge::{Delay, HedgeLayer};
use http::{Request, Response};
use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{Layer, Service, service_fn};

/// One exchange on a connection of its own, which is closed when the exchange is over or dropped.
async fn exchange(request: Request<Full<Bytes>>) -> Result<Response<Vec<u8>>, CallError> {
    let mut stream = TcpStream::connect(request.uri().authority().expect("the URI has one").as_str()).await?;
    let copy = request.headers().get("x-hedge").map_or("0", |number| number.to_str().unwrap());
    stream
        .write_all(format!("GET {} HTTP/1.1\r\nhost: test\r\nx-copy: {copy}\r\n\r\n", request.uri().path()).as_bytes())
        .await?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await?;
    let head = response.windows(4).position(|end| end == b"\r\n\r\n").ok_or_else(|| CallError::new("cut off"))?;
    if !response.starts_with(b"HTTP/1.1 200 ") {
        return Err(CallError::new("not a 200"));
    }
    Ok(Response::new(response.split_off(head + 4)))
}

/// The next connection: what it says of itself, up to the end of the head.
async fn accept(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("the head is whole"));
    }
    (stream, String::from_utf8(head).unwrap())
}

async fn answer(mut stream: TcpStream, body: &str) {
    let length = body.len();
    stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").as_bytes()).await.unwrap();
}

/// Waits until the other end has closed the connection.
async fn is_closed(mut stream: TcpStream) {
    let read = stream.read(&mut [0]).await;
    assert!(matches!(read, Ok(0) | Err(_)), "nothing is sent after the request: {read:?}");
}

/// Both copies are sent, this one is answered: the server sees that the other one is given up, though the finished call
/// stays alive.
async fn race(answered: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/slow", listener.local_addr().unwrap());
    let layer = HedgeLayer::http()
        .delay(Delay::fixed(Duration::from_millis(1)))
        .budget(&Budget::unlimited())
        .hedge_header(http::HeaderName::from_static("x-hedge"));
    let mut service = layer.layer(service_fn(exchange));
    let request = Request::get(uri).body(Full::<Bytes>::default()).unwrap();
    let mut call = Box::pin(service.call(request));

    let server = async {
        let mut copies = [accept(&listener).await, accept(&listener).await];
        copies.sort_by_key(|(_, head)| head.contains("x-copy: 1"));
        let [first, hedge] = copies.map(|(stream, head)| {
            assert!(head.starts_with("GET /slow HTTP/1.1"), "{head}");
            stream
        });
        let (winner, loser) = if answered == 0 { (first, hedge) } else { (hedge, first) };
        answer(winner, "an answer").await;
        loser
    };
    let (response, loser) = tokio::join!(call.as_mut(), server);
    assert_eq!(response.unwrap().into_body(), b"an answer");
    is_closed(loser).await;
    let stats = layer.handle().stats();
    assert_eq!((stats.hedges, stats.won), (1, answered as u64));
    drop(call);
}

#[tokio::test]
async fn the_server_sees_that_the_exchange_of_the_loser_is_dropped() {
    for answered in [0, 1] {
        let done = tokio::time::timeout(Duration::from_secs(60), race(answered)).await;
        done.expect("the connection of the loser is closed");
    }
}
