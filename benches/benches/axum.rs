//! What limits cost an axum server under load: "hello" bare, behind donjon's layers, and behind `tower_governor` with
//! tower's global limit. The server has one core, the clients the other.
//!
//! Short rounds in turns, each turn in another order, so that a slow moment of the machine falls on all alike. What is
//! printed is the median of the ratios to the bare server of the same turn, and the middle half of them; a second bare
//! server says what of that is noise.
//!
//! `cargo bench -p donjon-benches --bench axum`

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use axum::{
    BoxError, Router, ServiceExt,
    error_handling::HandleErrorLayer,
    extract::{ConnectInfo, Request},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use donjon::{ConcurrencyLimitLayer, PerKeyLayer, Rate, RateLimitLayer, http::key, respond};
use donjon_benches::interleaved::now;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::LocalSet,
};
use tower::{
    Service, ServiceBuilder, limit::GlobalConcurrencyLimitLayer, load_shed::LoadShedLayer, util::MapResponseLayer,
};
use tower_governor::{GovernorLayer, governor::GovernorConfigBuilder};

const CONNECTIONS: usize = 64;
const CALLS: usize = 6_400;
const ROUNDS: usize = 200;
const WARM_UP: usize = 10;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\n\r\n";
const BODY: &[u8] = b"hello";

/// More than any round sends, so that nothing is refused.
const PLENTY: u32 = 1_000_000_000;

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

/// The limits of ours around `$inner`.
macro_rules! donjon {
    ($inner:expr) => {{
        let peer = key::client_ip().peer(|extensions| {
            extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| -> IpAddr { peer.ip() })
        });
        let rate = RateLimitLayer::new(Rate::per_second(PLENTY.into()).burst(PLENTY.into()));
        let limit = ConcurrencyLimitLayer::http(256).queue(512);
        $inner.layer(respond(ServiceBuilder::new().layer(PerKeyLayer::new(peer, rate)).layer(limit).into_inner()))
    }};
}

/// The limits of the peers around `$inner`.
macro_rules! tower {
    ($inner:expr) => {{
        let config = GovernorConfigBuilder::default().per_nanosecond(1).burst_size(PLENTY).finish().expect("a rate");
        $inner.layer(
            ServiceBuilder::new()
                .layer(HandleErrorLayer::new(async |_: BoxError| StatusCode::SERVICE_UNAVAILABLE))
                .layer(GovernorLayer::new(config))
                .layer(LoadShedLayer::new())
                .layer(GlobalConcurrencyLimitLayer::new(256)),
        )
    }};
}

/// Keeps this thread on one core, where there is `taskset`: who serves next to whom else is the scheduler's choice, and it
/// changes its mind.
fn stay_on(core: &str) {
    let Ok(thread) = std::fs::read_link("/proc/thread-self") else { return };
    let Some(id) = thread.file_name() else { return };
    let _ = Command::new("taskset").args(["-p", "-c", core]).arg(id).stdout(Stdio::null()).status();
}

/// Serves it on a thread and a runtime of its own, and says where.
fn serve<S>(app: S) -> SocketAddr
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        stay_on("1");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            send.send(listener.local_addr().expect("a bound address")).expect("the starter waits");
            let service = app.into_make_service_with_connect_info::<SocketAddr>();
            axum::serve(listener, service).await.expect("it serves for ever");
        });
    });
    receive.recv().expect("the server says where it listens")
}

/// One connection's share of a round: a request is sent when the answer to the last one is whole.
async fn converse(connection: &mut TcpStream, calls: usize) {
    let mut answer = [0; 1024];
    for _ in 0..calls {
        connection.write_all(REQUEST).await.expect("it is sent");
        let mut length = 0;
        while !answer[..length].ends_with(BODY) {
            let more = connection.read(&mut answer[length..]).await.expect("it is answered");
            assert_ne!(more, 0, "the server has hung up");
            length += more;
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..length]));
    }
}

struct Subject {
    name: &'static str,
    connections: Vec<TcpStream>,
    /// In seconds.
    rounds: Vec<f64>,
}

async fn round(connections: Vec<TcpStream>) -> (Duration, Vec<TcpStream>) {
    let started = now();
    let tasks: Vec<_> = connections
        .into_iter()
        .map(|mut connection| {
            tokio::task::spawn_local(async move {
                converse(&mut connection, CALLS / CONNECTIONS).await;
                connection
            })
        })
        .collect();
    let mut connections = Vec::new();
    for task in tasks {
        connections.push(task.await.expect("no conversation panics"));
    }
    (started.elapsed(), connections)
}

fn main() {
    stay_on("0");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // `Router::layer` boxes each route once more; around the whole router nothing is boxed but the body.
    let respond_around = MapResponseLayer::new(IntoResponse::into_response);
    let subjects = [
        ("bare", serve(hello())),
        ("donjon: `respond`, rate limit per user, concurrency limit", serve(donjon!(hello()))),
        ("tower_governor, load shed, tower's global limit", serve(tower!(hello()))),
        ("donjon, around the router", serve(donjon!(ServiceBuilder::new().layer(respond_around)).service(hello()))),
        ("tower_governor and tower, around the router", serve(tower!(ServiceBuilder::new()).service(hello()))),
        ("bare, once more", serve(hello())),
    ];
    LocalSet::new().block_on(&runtime, async {
        let mut measured = Vec::new();
        for (name, address) in subjects {
            let mut connections = Vec::new();
            for _ in 0..CONNECTIONS {
                let connection = TcpStream::connect(address).await.expect("it is accepted");
                connection.set_nodelay(true).expect("a socket option");
                connections.push(connection);
            }
            measured.push(Subject { name, connections, rounds: Vec::new() });
        }
        let count = measured.len();
        for n in 0..WARM_UP + ROUNDS {
            for turn in 0..count {
                let subject = &mut measured[(n + turn) % count];
                let (took, connections) = round(std::mem::take(&mut subject.connections)).await;
                subject.connections = connections;
                if n >= WARM_UP {
                    subject.rounds.push(took.as_secs_f64());
                }
            }
        }
        println!(
            "\n| axum \"hello\", {CONNECTIONS} connections | requests/s | of bare | middle half |\n|---|---|---|---|"
        );
        for subject in &measured {
            let rates = sorted(subject.rounds.iter().map(|took| CALLS as f64 / took));
            let ratios = sorted(measured[0].rounds.iter().zip(&subject.rounds).map(|(bare, took)| bare / took));
            let [low, middle, high] = [1, 2, 3].map(|quarter| ratios[ROUNDS * quarter / 4]);
            println!("| {} | {:.0} | {middle:.3} | {low:.3} to {high:.3} |", subject.name, rates[ROUNDS / 2]);
        }
    });
}

fn sorted(figures: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures
}
