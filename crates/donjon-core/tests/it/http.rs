use bytes::Bytes;
use donjon_core::Replay;
use http::{HeaderValue, Method, Request, Version};
use http_body_util::{BodyExt, Empty, Full};

use crate::alloc;

#[derive(Clone, Debug, PartialEq)]
struct Mark(u8);

struct Stream;

impl Replay for Stream {
    fn replay(&self) -> Option<Self> {
        None
    }
}

#[tokio::test]
async fn a_replay_is_the_whole_request() {
    let mut request = Request::put("https://example.com/a?b=c")
        .version(Version::HTTP_2)
        .header("x-one", "1")
        .header("x-two", "2")
        .header("x-two", "3")
        .body(Full::new(Bytes::from_static(b"body")))
        .expect("a request");
    request.extensions_mut().insert(Mark(5));
    let again = request.replay().expect("a whole body can");
    assert_eq!((again.method(), again.uri(), again.version()), (&Method::PUT, request.uri(), Version::HTTP_2));
    assert_eq!(again.headers(), request.headers());
    let twos: Vec<_> = again.headers().get_all("x-two").iter().collect();
    assert_eq!(twos, [&HeaderValue::from_static("2"), &HeaderValue::from_static("3")]);
    assert_eq!(again.extensions().get::<Mark>(), Some(&Mark(5)));
    assert_eq!(again.into_body().collect().await.expect("infallible").to_bytes(), "body");
    assert_eq!(request.into_body().collect().await.expect("infallible").to_bytes(), "body", "the first one is whole");
}

#[test]
fn a_body_that_streams_cannot() {
    assert!(Request::new(Stream).replay().is_none());
    assert!(Request::new(Empty::<Bytes>::new()).replay().is_some());
    assert!(Request::new(()).replay().is_some());
    assert_eq!(Bytes::from_static(b"x").replay().as_deref(), Some(&b"x"[..]));
}

#[test]
fn a_replay_of_a_bare_request_allocates_nothing() {
    let request = Request::new(Full::new(Bytes::from_static(b"body")));
    assert_eq!(alloc::count(|| drop(request.replay().expect("it can"))), 0);
}
