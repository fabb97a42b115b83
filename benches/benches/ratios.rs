//! Each layer and the usual stacks around a service that is ready at once, beside tower's own or a peer's: nanoseconds a call for
//! one caller, and for thirty-two tasks that share the layer on one worker thread and on two. Measured in turns, so that
//! figures of one run compare; the table prints the cost over the bare service, and the ratio to the equivalent.
//!
//! `cargo bench -p donjon-benches --bench ratios`, and with `-- hit` only the rows whose names have that in them.

use std::{sync::Arc, time::Duration};

use donjon::{
    BreakerLayer, CacheLayer, CallError, CoalesceLayer, ConcurrencyLimitLayer, DeadlineLayer, PerKeyLayer, Rate,
    RateLimitLayer, RetryLayer, TimeoutLayer,
};
use donjon_benches::{
    bare::Bare,
    governed, hits,
    interleaved::{Subject, measure},
};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt,
    retry::{
        Policy,
        backoff::{Backoff, ExponentialBackoffMaker, MakeBackoff},
        budget::{Budget, TpsBudget},
    },
    util::rng::HasherRng,
};
use tower_resilience_circuitbreaker::CircuitBreakerLayer;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Tower's retry as its documentation composes it: exponential backoff and a budget.
#[derive(Clone)]
struct TowerPolicy {
    budget: std::sync::Arc<TpsBudget>,
    backoff: tower::retry::backoff::ExponentialBackoff,
}

impl TowerPolicy {
    fn new() -> Self {
        let mut maker =
            ExponentialBackoffMaker::new(Duration::from_millis(50), Duration::from_secs(1), 0.99, HasherRng::default())
                .expect("valid settings");
        Self { budget: std::sync::Arc::new(TpsBudget::default()), backoff: maker.make_backoff() }
    }
}

impl<E> Policy<u64, u64, E> for TowerPolicy {
    type Future = <tower::retry::backoff::ExponentialBackoff as Backoff>::Future;

    fn retry(&mut self, _: &mut u64, result: &mut Result<u64, E>) -> Option<Self::Future> {
        match result {
            Ok(_) => {
                self.budget.deposit();
                None
            }
            Err(_) => self.budget.withdraw().then(|| self.backoff.next_backoff()),
        }
    }

    fn clone_request(&mut self, request: &u64) -> Option<u64> {
        Some(*request)
    }
}

/// What to measure on whatever is stacked.
trait Bench {
    fn with<S>(&mut self, name: &str, service: S)
    where
        S: Service<u64> + Clone + Send + Sync + 'static,
        S::Response: Send,
        S::Error: std::fmt::Debug + Send,
        S::Future: Send;
}

struct Alone(Vec<Subject>);
struct Shared(usize, Vec<Subject>);

impl Bench for Alone {
    fn with<S>(&mut self, name: &str, service: S)
    where
        S: Service<u64> + Clone + Send + Sync + 'static,
        S::Response: Send,
        S::Error: std::fmt::Debug + Send,
        S::Future: Send,
    {
        if is_wanted(name) {
            self.0.push(Subject::alone(name, service));
        }
    }
}

impl Bench for Shared {
    fn with<S>(&mut self, name: &str, service: S)
    where
        S: Service<u64> + Clone + Send + Sync + 'static,
        S::Response: Send,
        S::Error: std::fmt::Debug + Send,
        S::Future: Send,
    {
        if is_wanted(name) {
            self.1.push(Subject::shared(name, self.0, service));
        }
    }
}

/// The bare service always is: it is what the others are compared with.
fn is_wanted(name: &str) -> bool {
    let mut asked = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).peekable();
    name == "bare" || asked.peek().is_none() || asked.any(|part| name.contains(&part))
}

fn subjects(bench: &mut impl Bench) {
    let bare = Bare::<CallError>::new();
    let boxed = Bare::<BoxError>::new();

    bench.with("bare", bare.clone());
    bench.with("tower limit", tower::limit::ConcurrencyLimitLayer::new(1024).layer(bare.clone()));
    bench.with("limit", ConcurrencyLimitLayer::new(1024).layer(bare.clone()));
    bench.with("tower timeout", tower::timeout::TimeoutLayer::new(SECOND).layer(boxed.clone()));
    bench.with("timeout", TimeoutLayer::new(SECOND).layer(bare.clone()));
    bench.with("deadline", DeadlineLayer::new(SECOND).layer(bare.clone()));
    bench.with("tower retry", tower::retry::RetryLayer::new(TowerPolicy::new()).layer(bare.clone()));
    bench.with("retry", RetryLayer::default().layer(bare.clone()));
    let peer = CircuitBreakerLayer::builder().build().expect("the defaults are valid");
    bench.with("tower-resilience breaker", peer.layer(bare.clone()));
    bench.with("breaker", BreakerLayer::new().layer(bare.clone()));
    let rate_limit = RateLimitLayer::new(Rate::per_second(governed::PER_SECOND.into()));
    let by_key = |n: &u64| Some(n % hits::KEYS);
    bench.with("governor", governed::direct(boxed.clone()));
    bench.with("rate limit", rate_limit.layer(bare.clone()));
    bench.with("governor, a key each", governed::keyed(boxed.clone(), hits::KEYS));
    bench.with("rate limit, a key each", PerKeyLayer::new(by_key, rate_limit.clone()).layer(bare.clone()));
    bench.with("governor, one key", governed::keyed(boxed.clone(), 1));
    bench.with("rate limit, one key", PerKeyLayer::new(|_: &u64| Some(7_u64), rate_limit).layer(bare.clone()));
    bench.with(
        "tower retry + limit + timeout",
        ServiceBuilder::new()
            .layer(tower::retry::RetryLayer::new(TowerPolicy::new()))
            .layer(tower::limit::ConcurrencyLimitLayer::new(1024))
            .layer(tower::timeout::TimeoutLayer::new(SECOND))
            .service(boxed),
    );
    bench.with(
        "retry + limit + timeout",
        ServiceBuilder::new()
            .layer(RetryLayer::default())
            .layer(ConcurrencyLimitLayer::new(1024))
            .layer(TimeoutLayer::new(SECOND))
            .service(bare.clone()),
    );
    bench.with(
        "deadline + retry + limit + timeout",
        ServiceBuilder::new()
            .layer(DeadlineLayer::new(SECOND))
            .layer(RetryLayer::default())
            .layer(ConcurrencyLimitLayer::new(1024))
            .layer(TimeoutLayer::new(SECOND))
            .service(bare.clone()),
    );
    bench.with("clock", hits::clock());
    bench.with("quick_cache hit", hits::engine());
    bench.with("store hit", hits::store());
    let values = bare.clone().map_response(Arc::new);
    bench.with("cache hit", CacheLayer::new(|n: &u64| Some(n % hits::KEYS)).ttl(HOUR).layer(values.clone()));
    bench.with("cache hit, one key", CacheLayer::new(|_: &u64| Some(7_u64)).ttl(HOUR).layer(values));
    bench.with("coalesce leader", CoalesceLayer::new(hits::new_key).layer(bare.clone()));
    bench.with("cache miss", CacheLayer::new(hits::new_key).ttl(HOUR).layer(bare.clone()));
    bench.with(
        "cache miss + retry + limit + timeout",
        ServiceBuilder::new()
            .layer(CacheLayer::new(hits::new_key).ttl(HOUR))
            .layer(RetryLayer::default())
            .layer(ConcurrencyLimitLayer::new(1024))
            .layer(TimeoutLayer::new(SECOND))
            .service(bare.clone()),
    );
    bench.with(
        "deadline + cache miss + retry + limit + timeout",
        ServiceBuilder::new()
            .layer(DeadlineLayer::new(SECOND))
            .layer(CacheLayer::new(hits::new_key).ttl(HOUR))
            .layer(RetryLayer::default())
            .layer(ConcurrencyLimitLayer::new(1024))
            .layer(TimeoutLayer::new(SECOND))
            .service(bare),
    );
}

/// The rows that are compared, by name: ours, and its control.
const CONTROLS: &[(&str, &str)] = &[
    ("limit", "tower limit"),
    ("timeout", "tower timeout"),
    ("retry", "tower retry"),
    ("breaker", "tower-resilience breaker"),
    ("rate limit", "governor"),
    ("rate limit, a key each", "governor, a key each"),
    ("rate limit, one key", "governor, one key"),
    ("retry + limit + timeout", "tower retry + limit + timeout"),
    ("store hit", "quick_cache hit"),
    ("cache hit", "quick_cache hit"),
];

fn main() {
    let rounds = 40;
    let mut alone = Alone(Vec::new());
    subjects(&mut alone);
    let (mut one, mut two) = (Shared(1, Vec::new()), Shared(2, Vec::new()));
    subjects(&mut one);
    subjects(&mut two);

    measure(&mut alone.0, rounds);
    measure(&mut one.1, rounds);
    measure(&mut two.1, rounds);

    let figures = |subjects: &[Subject]| subjects.iter().map(Subject::nanos).collect::<Vec<_>>();
    let columns = [figures(&alone.0), figures(&one.1), figures(&two.1)];
    let row_of = |name: &str| alone.0.iter().position(|it| it.name() == name);
    println!(
        "\nns a call; + is the cost over bare; x is the ratio to the row that it is compared with, in the same run\n"
    );
    println!("| | one caller | + | x | 32 tasks, 1 worker | x | 32 tasks, 2 workers | x |");
    println!("|---|---|---|---|---|---|---|---|");
    for (row, subject) in alone.0.iter().enumerate() {
        let control =
            CONTROLS.iter().find(|(name, _)| *name == subject.name()).and_then(|(_, control)| row_of(control));
        let ratio = |column: &[f64]| control.map_or(String::new(), |it| format!("{:.2}", column[row] / column[it]));
        let [alone, one, two] = &columns;
        println!(
            "| {} | {:.1} | {:.1} | {} | {:.1} | {} | {:.1} | {} |",
            subject.name(),
            alone[row],
            alone[row] - alone[0],
            ratio(alone),
            one[row],
            ratio(one),
            two[row],
            ratio(two),
        );
    }
}
