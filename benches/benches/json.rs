//! JSON GETs on loopback, thirty-two at a time, client on one core: the ready-made stack, hyper-util's client with
//! serde_json, and reqwest's `.json()`, measured in turns.
//!
//! `cargo bench -p donjon-benches --bench json`

use std::{rc::Rc, time::Duration};

use bytes::Bytes;
use donjon_benches::{
    interleaved::now,
    loopback::{self, User},
};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::task::LocalSet;

const CALLS: usize = 6_400;
const AT_ONCE: usize = 32;
const ROUNDS: usize = 15;

/// How long `CALLS` exchanges take, `AT_ONCE` of them in flight.
fn round<F, Fut>(runtime: &tokio::runtime::Runtime, exchange: &Rc<F>) -> Duration
where
    F: Fn() -> Fut + 'static,
    Fut: Future<Output = User>,
{
    let started = now();
    LocalSet::new().block_on(runtime, async {
        let tasks: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let exchange = Rc::clone(exchange);
                tokio::task::spawn_local(async move {
                    for _ in 0..CALLS / AT_ONCE {
                        assert_eq!(exchange().await.id, 42);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no exchange panics");
        }
    });
    started.elapsed()
}

struct Subject {
    name: &'static str,
    round: Box<dyn FnMut() -> Duration>,
    rounds: Vec<Duration>,
}

fn subject<F, Fut>(name: &'static str, exchange: F) -> Subject
where
    F: Fn() -> Fut + 'static,
    Fut: Future<Output = User>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let exchange = Rc::new(exchange);
    Subject { name, round: Box::new(move || round(&runtime, &exchange)), rounds: Vec::new() }
}

fn main() {
    let base = format!("http://{}", loopback::start());

    let api = donjon::client::standard(&base).expect("a base URL");
    let stack = subject("donjon, the ready-made stack", move || {
        let call = api.get("/users/{id}").path("id", 42).send::<User>();
        async move { call.await.expect("an answer") }
    });

    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let url = format!("{base}/users/42");
    let hyper_util = subject("hyper-util + serde_json", move || {
        let response = client.request(http::Request::get(url.as_str()).body(Full::default()).expect("a request"));
        async move {
            let body = response.await.expect("an answer").into_body().collect().await.expect("a body").to_bytes();
            serde_json::from_slice(&body).expect("a user")
        }
    });

    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{base}/users/42");
    let reqwest = subject("reqwest `.json()`", move || {
        let response = client.get(url.as_str()).send();
        async move { response.await.expect("an answer").json().await.expect("a user") }
    });

    let mut subjects = [stack, hyper_util, reqwest];
    for round in 0..ROUNDS + 2 {
        for subject in &mut subjects {
            let took = (subject.round)();
            if round >= 2 {
                subject.rounds.push(took);
            }
        }
    }
    let rates = subjects.each_mut().map(|subject| {
        subject.rounds.sort_unstable();
        CALLS as f64 / subject.rounds[ROUNDS / 2].as_secs_f64()
    });
    println!("\n| JSON GET on loopback, {AT_ONCE} at a time | calls/s | x reqwest |\n|---|---|---|");
    for (subject, rate) in subjects.iter().zip(rates) {
        println!("| {} | {rate:.0} | {:.2} |", subject.name, rate / rates[2]);
    }
}
