//! The ready-made client with everything, under random scripts: whatever answers come and whoever leaves, the extra load
//! stays within the one budget, no call is longer than its deadline, and everything is given back.
//!
//! What is sent is counted at the transport, by what a request carries there: its attempt, its rank and the field of a hedge.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use donjon::{
    Backoff, Budget, CacheLayer, Criticality, HedgeLayer, Ratio, Scope,
    breaker::State,
    client::{FullClient, Handles},
    hedge::Delay,
};
use http::{HeaderName, Request, Response};
use http_body_util::Full;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tokio::time::{Instant, sleep, timeout};
use tower::util::BoxCloneSyncService;

type Transport = BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, std::io::Error>;

const HEDGE: HeaderName = HeaderName::from_static("x-hedge");
const DEADLINE: Duration = Duration::from_millis(400);

#[derive(Clone, Copy, Debug)]
enum Reply {
    OkAfter(u64),
    StatusAfter(u16, u64),
    RetryAfter(u64),
    ResetAfter(u64),
    Never,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A call for this path, which is dropped after so many milliseconds.
    Call(u64, u64),
    Wait(u64),
    Invalidate(u64),
}

/// Shares in tenths, tokens whole.
#[derive(Clone, Copy, Debug)]
struct Settings {
    initial: u32,
    deposit: u32,
    share: u32,
    burst: u32,
    places: usize,
}

/// What the transport has seen.
#[derive(Debug, Default)]
struct Seen {
    first: AtomicU32,
    retries: AtomicU32,
    hedges: AtomicU32,
    refreshes: AtomicU32,
    /// Answers of 200 to what was sent on a first attempt, hedges included, and on a later one.
    first_try: AtomicU32,
    recovered: AtomicU32,
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn tenths(tenths: u32) -> Ratio {
    Ratio::new(f64::from(tenths) / 10.0).unwrap()
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        8 => (0_u64..4).prop_map(Reply::OkAfter),
        3 => (4_u64..150).prop_map(Reply::OkAfter),
        3 => (prop_oneof![Just(500_u16), Just(503), Just(429), Just(404)], 0_u64..20)
            .prop_map(|(status, after)| Reply::StatusAfter(status, after)),
        1 => (0_u64..3).prop_map(Reply::RetryAfter),
        2 => (0_u64..20).prop_map(Reply::ResetAfter),
        1 => Just(Reply::Never),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u64..12, prop_oneof![1 => 0_u64..60, 3 => Just(5_000)]).prop_map(|(path, patience)| Step::Call(path, patience)),
        4 => (1_u64..60).prop_map(Step::Wait),
        1 => (0_u64..12).prop_map(Step::Invalidate),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    (0_u32..6, 0_u32..=5, 0_u32..=10, 0_u32..5, 1_usize..8)
        .prop_map(|(initial, deposit, share, burst, places)| Settings { initial, deposit, share, burst, places })
}

fn transport(seen: &Arc<Seen>, replies: Vec<Reply>) -> Transport {
    let (seen, next) = (Arc::clone(seen), Arc::new(AtomicUsize::new(0)));
    BoxCloneSyncService::new(tower::service_fn(move |request: Request<Full<Bytes>>| {
        let scope = Scope::current();
        let is_first = scope.attempt() == 1;
        let kind = if request.headers().contains_key(HEDGE) {
            &seen.hedges
        } else if !is_first {
            &seen.retries
        } else if scope.criticality() == Criticality::SheddablePlus {
            // As the cache marks its refreshes.
            &seen.refreshes
        } else {
            &seen.first
        };
        kind.fetch_add(1, Relaxed);
        let reply = replies[next.fetch_add(1, Relaxed) % replies.len()];
        let seen = Arc::clone(&seen);
        async move {
            let status = |status| Response::builder().status(status);
            let response = match reply {
                Reply::OkAfter(time) => {
                    sleep(millis(time)).await;
                    let which = if is_first { &seen.first_try } else { &seen.recovered };
                    which.fetch_add(1, Relaxed);
                    status(200)
                }
                Reply::StatusAfter(code, time) => {
                    sleep(millis(time)).await;
                    // Not found is an answer, and the service is well.
                    if code == 404 {
                        let which = if is_first { &seen.first_try } else { &seen.recovered };
                        which.fetch_add(1, Relaxed);
                    }
                    status(code)
                }
                Reply::RetryAfter(seconds) => status(503).header("retry-after", seconds),
                Reply::ResetAfter(time) => {
                    sleep(millis(time)).await;
                    return Err(std::io::ErrorKind::ConnectionReset.into());
                }
                Reply::Never => std::future::pending().await,
            };
            Ok(response.body(Full::from("1")).unwrap())
        }
    }))
}

fn client(settings: Settings, transport: Transport) -> (FullClient<Transport>, Handles, Budget) {
    let Settings { initial, deposit, share, burst, places } = settings;
    let budget =
        Budget::builder().initial(initial).deposit(tenths(deposit)).share(tenths(share)).share_burst(burst).build();
    let builder = donjon::client::builder()
        .transport(transport)
        .deadline(DEADLINE)
        .attempt_timeout(millis(100))
        .backoff(Backoff::constant(millis(7)))
        .max_in_flight(places)
        .max_wait(millis(50))
        .cache_layer(CacheLayer::http().ttl(millis(100)).stale_while_revalidate(Duration::from_secs(60)))
        .hedge_layer(HedgeLayer::http().hedge_header(HEDGE).delay(Delay::several([millis(5), millis(9)])))
        .breaker_layer(donjon::BreakerLayer::http().open_for(millis(50)).max_open(millis(200)))
        .budget(budget.clone());
    let handles = builder.handles();
    (builder.build("http://upstream").unwrap(), handles, budget)
}

/// Runs a script, looks at the law after each step, and says what was sent: retries, hedges, refreshes.
async fn run(settings: Settings, replies: Vec<Reply>, script: &[Step]) -> Result<[u32; 3], TestCaseError> {
    let Settings { initial, deposit, share, burst, .. } = settings;
    let seen = Arc::new(Seen::default());
    let (api, handles, budget) = client(settings, transport(&seen, replies));
    let read = |counter: &AtomicU32| counter.load(Relaxed);
    let mut calls = 0;
    let mut tasks = Vec::new();
    // Calls, and how many the share has paid for, at each step.
    let mut then = vec![(0, 0)];
    for step in script.iter().copied().chain([Step::Wait(10_000)]) {
        match step {
            Step::Call(path, patience) => {
                calls += 1;
                let api = api.clone();
                tasks.push(tokio::spawn(async move {
                    let started = Instant::now();
                    let call = api.get("/{path}").path("path", path).send::<u64>();
                    let _ = timeout(millis(patience), call).await;
                    started.elapsed()
                }));
                continue;
            }
            Step::Invalidate(path) => {
                let uri = format!("http://upstream/{path}").parse().unwrap();
                handles.cache().unwrap().invalidate_uri(&uri);
                continue;
            }
            Step::Wait(time) => sleep(millis(time)).await,
        }
        let retries = read(&seen.retries);
        let earned = 10 * initial + deposit * read(&seen.first_try) + 10 * read(&seen.recovered);
        prop_assert!(10 * retries <= earned, "{retries} retries, of {earned} tenths earned: {seen:?}");

        // A refresh is a call to what is inside of the cache.
        let started = u32::try_from(handles.cache().unwrap().stats().refreshes).unwrap();
        let (now, paid) = (calls + started, read(&seen.hedges) + read(&seen.refreshes));
        // What was paid for at an earlier step may have been sent since: it waited for a place.
        for (calls, taken) in &then {
            let most = share * (now - calls) + 10 * burst;
            prop_assert!(
                10 * paid.saturating_sub(*taken) <= most,
                "{paid} from the share, {taken} paid before: {seen:?}"
            );
        }
        prop_assert!(10 * paid <= share * now, "{paid} from the share, which began empty: {seen:?}");
        then.push((now, u32::try_from(budget.stats().share.taken).unwrap()));
    }
    for task in tasks {
        let took = task.await.unwrap();
        prop_assert!(took <= DEADLINE + millis(2), "a call has taken {took:?}");
    }
    let limit = handles.limit().stats();
    prop_assert_eq!((limit.in_flight, limit.queued), (0, 0), "everything is given back");
    prop_assert_eq!(handles.cache().unwrap().stats().refreshing, 0);
    let stats = budget.stats();
    prop_assert!(read(&seen.retries) <= u32::try_from(stats.granted - stats.given_back).unwrap());
    let mut half_open = 0;
    handles.breakers().unwrap().each(|_, it| {
        let handle = it.handle();
        half_open += u32::from(handle.state() == State::HalfOpen);
    });
    // Nothing runs: a breaker that is half open has a place for the next call.
    if half_open > 0 {
        let before = read(&seen.first);
        let _ = api.get("/unheard").send::<u64>().await;
        prop_assert!(read(&seen.first) > before, "a probe is let in");
    }
    Ok([read(&seen.retries), read(&seen.hedges), read(&seen.refreshes)])
}

#[test]
fn the_whole_client_stays_within_one_budget_whatever_happens() {
    let sent = [const { Cell::new(0) }; 3];
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let strategy = (settings(), prop::collection::vec(reply(), 1..30), prop::collection::vec(step(), 1..150));
    TestRunner::new(config)
        .run(&strategy, |(settings, replies, script)| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let extra = runtime.block_on(run(settings, replies, &script))?;
            for (sum, extra) in sent.iter().zip(extra) {
                sum.set(sum.get() + extra);
            }
            Ok(())
        })
        .unwrap_or_else(|failed| panic!("{failed}"));
    // Nothing is proved by what never happens.
    for (what, sent) in ["retries", "hedges", "refreshes"].iter().zip(&sent) {
        assert!(sent.get() > 50, "{} {what} in all", sent.get());
    }
}
