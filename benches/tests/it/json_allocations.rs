//! A JSON GET on loopback over a warm HTTP/1.1 connection: how many allocations on the client's thread, what each is
//! for, and how many hyper-util alone and reqwest make for the same exchange.
//!
//! `cargo test -p donjon-benches json_allocations -- --nocapture` prints the table.

use std::{fmt::Write as _, pin::pin, time::Duration};

use bytes::Bytes;
use donjon::{
    CallError, CollectLayer, ConcurrencyLimitLayer, DeadlineLayer, JsonClient, RetryLayer, TimeoutLayer,
    json::HttpService, transport,
};
use donjon_benches::loopback::{self, User};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::ServiceBuilder;

/// What the exchange itself costs, whoever makes it: hyper-util's client, hyper, and serde_json.
const EXCHANGE: &[(&str, u64)] = &[
    ("hyper-util: the box of its response future", 1),
    ("hyper-util: the Host field, written, grown and copied into a header value", 3),
    ("hyper: the channel of the request", 1),
    ("hyper: the read buffer becomes shared when the head is split off", 1),
    ("hyper: the channel of the response body", 1),
    ("hyper: the next read buffer", 1),
    ("hyper-util: the extension that says how it is connected", 2),
    ("hyper-util: a table and an entry for the connection that goes back to the pool", 2),
    ("serde_json: a name, a list and its two strings", 4),
];

/// What the JSON client adds to it.
const JSON: &[(&str, u64)] = &[
    ("donjon-json: the path", 1),
    ("donjon-json: the path becomes shared, as part of a URI", 1),
    ("donjon-json: the header map of the request, for Accept", 2),
];

/// What the retry adds: the other layers add nothing.
const RETRY: &[(&str, u64)] = &[("donjon-retry: the kept request's copy of the header map", 2)];

/// The allocations of one exchange in steady state, and their bytes: the least of many, since a timer wheel that grows
/// once is not the exchange's.
fn allocations<F, Fut>(mut exchange: F) -> (u64, u64)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = User>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut least = (u64::MAX, u64::MAX);
    for _ in 0..100 {
        let counted = allocation_counter::measure(|| {
            // Pinned here: in debug builds the runtime boxes a future that is large.
            let user = runtime.block_on(pin!(exchange()));
            assert_eq!(user.id, 42);
        });
        least = least.min((counted.count_total, counted.bytes_total));
    }
    least
}

fn json<S: HttpService<Full<Bytes>> + Clone>(base: &str, stack: S) -> (u64, u64) {
    let api = JsonClient::new(stack).base(base).expect("a base URL");
    allocations(|| {
        let call = api.get("/users/{id}").path("id", 42).send::<User>();
        async move { call.await.expect("an answer") }
    })
}

fn total(parts: &[&[(&str, u64)]]) -> u64 {
    parts.iter().flat_map(|part| part.iter()).map(|(_, count)| count).sum()
}

#[test]
fn every_allocation_of_a_json_call_has_a_name() {
    let base = format!("http://{}", loopback::start());

    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let hyper_util = allocations(|| {
        let request = http::Request::get(format!("{base}/users/42"))
            .header(http::header::ACCEPT, "application/json")
            .body(Full::default())
            .expect("a request");
        let response = client.request(request);
        async move {
            let body = response.await.expect("an answer").into_body().collect().await.expect("a body").to_bytes();
            serde_json::from_slice(&body).expect("a user")
        }
    });

    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let reqwest = allocations(|| {
        let response = client.get(format!("{base}/users/42")).send();
        async move { response.await.expect("an answer").json().await.expect("a user") }
    });

    let second = Duration::from_secs(1);
    let collect = || ServiceBuilder::new().layer(CollectLayer::new()).map_err(CallError::from).service(transport());
    let timeout = || ServiceBuilder::new().layer(TimeoutLayer::http(second)).service(collect());
    let limit = || ServiceBuilder::new().layer(ConcurrencyLimitLayer::http(64)).service(timeout());
    let retry = || ServiceBuilder::new().layer(RetryLayer::http()).service(limit());
    let deadline = || ServiceBuilder::new().layer(DeadlineLayer::http(second)).service(retry());

    let without_retry = total(&[EXCHANGE, JSON]);
    let with_retry = total(&[EXCHANGE, JSON, RETRY]);
    let rows = [
        ("JSON over the transport", json(&base, transport()), Some(without_retry)),
        ("+ collect", json(&base, collect()), Some(without_retry)),
        ("+ attempt timeout", json(&base, timeout()), Some(without_retry)),
        ("+ limit", json(&base, limit()), Some(without_retry)),
        ("+ retry", json(&base, retry()), Some(with_retry)),
        ("+ deadline", json(&base, deadline()), Some(with_retry)),
        ("the ready-made stack", json(&base, donjon::client::builder().build_stack()), Some(with_retry)),
        ("hyper-util alone", hyper_util, None),
        ("reqwest `.json()`", reqwest, None),
    ];

    let mut table = String::from("\n| a JSON GET over a warm connection | allocations | bytes |\n|---|---|---|\n");
    for (name, (count, bytes), _) in &rows {
        writeln!(table, "| {name} | {count} | {bytes} |").expect("a string grows");
    }
    writeln!(table, "\n| what for, in the ready-made stack | allocations |\n|---|---|").expect("a string grows");
    for (name, count) in [EXCHANGE, JSON, RETRY].concat() {
        writeln!(table, "| {name} | {count} |").expect("a string grows");
    }
    println!("{table}");

    for (name, (count, _), expected) in rows {
        if let Some(expected) = expected {
            assert_eq!(count, expected, "{name}: each allocation has its name in the table");
        }
    }
    assert!(with_retry <= 26, "the goal for the whole stack");
    assert!(with_retry < reqwest.0 / 2, "less than half of reqwest's");
}
