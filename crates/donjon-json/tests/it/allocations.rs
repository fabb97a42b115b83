//! What a call allocates, over a service that answers at once: every allocation has a name.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use donjon_json::{BoxHttpService, JsonClient, JsonError};
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use tower::Service;

/// How many allocations `f` makes on this thread, growing ones included.
fn count(f: impl FnOnce()) -> u64 {
    allocation_counter::measure(f).count_total
}

/// Answers at once, with a head and one frame.
#[derive(Clone)]
struct AtOnce;

/// The header map of the response: its index and its entries.
const OF_SERVICE: u64 = 2;

impl Service<Request<Full<Bytes>>> for AtOnce {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<Full<Bytes>>) -> Self::Future {
        let mut response = Response::new(Full::new(Bytes::from_static(br#"{"id":42,"name":"Ada"}"#)));
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        ready(Ok(response))
    }
}

#[derive(Deserialize)]
struct Id {
    id: u64,
}

#[derive(Deserialize)]
struct User {
    id: u64,
    name: String,
}

#[derive(Serialize)]
struct New {
    name: &'static str,
}

fn now<T>(future: impl Future<Output = Result<T, JsonError>>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result.unwrap(),
        Poll::Pending => panic!("the service answers at once"),
    }
}

/// Counts one call, without what the service allocates itself, and checks it against its named parts.
fn check(name: &str, parts: &[(&str, u64)], mut call: impl FnMut()) {
    // What is made once, such as the shared half of the base URL's host, is not the call's.
    call();
    let counted = count(call) - OF_SERVICE;
    println!("{name}: {counted}");
    for (part, expected) in parts {
        println!("    {expected}  {part}");
    }
    assert_eq!(counted, parts.iter().map(|(_, count)| count).sum::<u64>(), "{name}");
}

#[test]
fn each_allocation_has_a_name() {
    const HEADERS: (&str, u64) = ("header map of the request: its index and its entries", 2);
    const PATH: (&str, u64) = ("path and query: the text, and the count of its owners", 2);

    let api = JsonClient::new(AtOnce).base("https://api.example.com").unwrap();
    check("GET /users/me", &[HEADERS], || assert_eq!(now(api.get("/users/me").send::<Id>()).id, 42));
    check("GET /users/{id}", &[HEADERS, PATH], || {
        assert_eq!(now(api.get("/users/{id}").path("id", 42).send::<Id>()).id, 42);
    });
    check("GET /users/{id}?expand, with its text", &[HEADERS, PATH, ("the name, of the user's type", 1)], || {
        let user: User = now(api.get("/users/{id}").path("id", 42).query_pair("expand", "teams").send());
        assert_eq!((user.id, user.name.as_str()), (42, "Ada"));
    });
    check("POST /users", &[HEADERS, ("body: the text, and the count of its owners", 2)], || {
        now(api.post("/users").json(&New { name: "Ada" }).send::<Id>());
    });
    check("GET /users/me, full", &[HEADERS], || {
        let reply = now(api.get("/users/me").send_full::<Id>());
        assert_eq!(reply.status(), 200);
    });
    check(
        "GET /users/{id}, following redirects",
        &[
            HEADERS,
            PATH,
            ("what is kept to send it on", 1),
            ("its header map: its index and its entries", 2),
            ("where it has been", 1),
        ],
        || {
            now(api.get("/users/{id}").path("id", 42).follow_redirects(5).send::<Id>());
        },
    );

    let under = JsonClient::new(AtOnce).base("https://api.example.com/v1").unwrap();
    check("GET /v1/users/{id}", &[HEADERS, PATH], || {
        now(under.get("/users/{id}").path("id", 42).send::<Id>());
    });

    let boxed = JsonClient::new(BoxHttpService::new(AtOnce)).base("https://api.example.com").unwrap();
    check("GET /users/me, boxed", &[HEADERS, ("future", 1), ("response body", 1)], || {
        now(boxed.get("/users/me").send::<Id>());
    });
}

/// Answers every request on a connection with the same user, from a thread of its own, so that it is not counted.
fn upstream() -> std::net::SocketAddr {
    use std::io::{Read, Write};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for io in listener.incoming() {
            let mut io = io.unwrap();
            std::thread::spawn(move || {
                let mut head = [0; 4096];
                while io.read(&mut head).is_ok_and(|read| read > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 22\r\n\r\n\
                        {\"id\":42,\"name\":\"Ada\"}";
                    io.write_all(answer).unwrap();
                }
            });
        }
    });
    address
}

/// The least of many in steady state: what grows once, such as a table or a buffer, is not the exchange's.
fn steady<F: Future<Output = User>>(runtime: &tokio::runtime::Runtime, mut exchange: impl FnMut() -> F) -> u64 {
    let one = |exchange: &mut dyn FnMut() -> F| {
        count(|| runtime.block_on(async { assert_eq!(exchange().await.name, "Ada") }))
    };
    (0..50).map(|_| one(&mut exchange)).min().unwrap()
}

#[test]
fn over_a_transport_the_client_adds_few_and_the_whole_stays_under_its_goal() {
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    let address = upstream();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let transport = donjon_transport::transport();

    let uri: http::Uri = format!("http://{address}/users/42").parse().unwrap();
    let alone = steady(&runtime, || {
        let request = Request::get(uri.clone()).body(Full::<Bytes>::default()).unwrap();
        let response = transport.clone().oneshot(request);
        async move {
            let body = response.await.unwrap().into_body().collect().await.unwrap().to_bytes();
            serde_json::from_slice(&body).unwrap()
        }
    });
    let api = JsonClient::new(transport.clone()).base(format!("http://{address}")).unwrap();
    let client = steady(&runtime, || {
        let call = api.get("/users/{id}").path("id", 42).send();
        async move { call.await.unwrap() }
    });
    println!("transport and serde_json: {alone}; the client over the same: {client}");
    assert!(client <= alone + 2, "the path, and none for the headers, since the map is made once for both");
    assert!(client <= 26);
}
