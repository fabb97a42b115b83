//! One budget for a whole stack: retries, hedges and refreshes together, under random scripts.
//!
//! What is sent is counted between the layers, and not by their own figures: what enters the hedge beyond what enters the
//! retry is a retry, and what leaves it beyond that is a hedge.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use donjon::{
    Backoff, BreakerLayer, Budget, CacheLayer, CallError, Criticality, HedgeLayer, Ratio, RetryLayer, Scope,
    hedge::{self, Delay},
    retry,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tokio::time::{sleep, timeout};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, layer::layer_fn};

/// What went by, and what came of it.
#[derive(Debug, Default)]
struct Passed {
    calls: AtomicU32,
    refreshes: AtomicU32,
    /// Calls on their first attempt that succeeded.
    first_try: AtomicU32,
    /// Later attempts that succeeded.
    recovered: AtomicU32,
}

#[derive(Clone)]
struct Tap<S> {
    inner: S,
    passed: Arc<Passed>,
}

type Answer = Pin<Box<dyn Future<Output = Result<u64, CallError>> + Send>>;

impl<S> Service<u64> for Tap<S>
where
    S: Service<u64, Response = u64, Error = CallError>,
    S::Future: Send + 'static,
{
    type Response = u64;
    type Error = CallError;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, n: u64) -> Answer {
        let passed = Arc::clone(&self.passed);
        passed.calls.fetch_add(1, Relaxed);
        let scope = Scope::current();
        // As the cache marks its refreshes.
        if scope.criticality() == Criticality::SheddablePlus {
            passed.refreshes.fetch_add(1, Relaxed);
        }
        let call = self.inner.call(n);
        Box::pin(async move {
            let result = call.await;
            let is_first = scope.attempt() == 1;
            if result.is_ok() {
                let which = if is_first { &passed.first_try } else { &passed.recovered };
                which.fetch_add(1, Relaxed);
            }
            result
        })
    }
}

fn tap<S>(passed: &Arc<Passed>) -> impl Layer<S, Service = Tap<S>> + Clone {
    let passed = Arc::clone(passed);
    layer_fn(move |inner| Tap { inner, passed: Arc::clone(&passed) })
}

#[derive(Clone, Copy, Debug)]
enum Reply {
    OkAfter(u64),
    FailAfter(u64),
    Never,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A call for this key, which is dropped after so many milliseconds.
    Call(u64, u64),
    Wait(u64),
}

/// Shares in tenths, tokens whole.
#[derive(Clone, Copy, Debug)]
struct Settings {
    initial: u32,
    deposit: u32,
    share: u32,
    burst: u32,
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        6 => (0_u64..4).prop_map(Reply::OkAfter),
        2 => (4_u64..60).prop_map(Reply::OkAfter),
        3 => (0_u64..20).prop_map(Reply::FailAfter),
        1 => Just(Reply::Never),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..12, prop_oneof![1 => 0_u64..40, 3 => Just(5_000)]).prop_map(|(key, patience)| Step::Call(key, patience)),
        2 => (1_u64..60).prop_map(Step::Wait),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    (0_u32..6, 0_u32..=5, 0_u32..=10, 0_u32..5).prop_map(|(initial, deposit, share, burst)| Settings {
        initial,
        deposit,
        share,
        burst,
    })
}

fn tenths(tenths: u32) -> Ratio {
    Ratio::new(f64::from(tenths) / 10.0).unwrap()
}

/// Figures at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    /// Calls, as the layer says that has seen the most of them.
    calls: u32,
    retries: u32,
    hedges: u32,
    refreshes: u32,
}

/// Runs a script, looks at the law after each step, and says what was sent in the end.
async fn run(settings: Settings, replies: Vec<Reply>, script: &[Step]) -> Result<Sent, TestCaseError> {
    let millis = Duration::from_millis;
    let Settings { initial, deposit, share, burst } = settings;
    let budget =
        Budget::builder().initial(initial).deposit(tenths(deposit)).share(tenths(share)).share_burst(burst).build();
    let [callers, retry, hedge, out]: [Arc<Passed>; 4] = Default::default();
    let next = Arc::new(AtomicUsize::new(0));
    let stack = ServiceBuilder::new()
        .layer(tap(&callers))
        .layer(
            CacheLayer::new(|n: &u64| Some(*n))
                .ttl(millis(100))
                .stale_while_revalidate(Duration::from_secs(60))
                .budget(&budget),
        )
        .layer(tap(&retry))
        .layer(
            RetryLayer::new(retry::Standard::new())
                .max_attempts(4)
                .backoff(Backoff::constant(millis(7)))
                .budget(budget.clone()),
        )
        .layer(tap(&hedge))
        .layer(HedgeLayer::new(hedge::Standard::new()).delay(Delay::several([millis(5), millis(9)])).budget(&budget))
        .layer(tap(&out))
        .layer(BreakerLayer::new().open_for(millis(50)))
        .service_fn(move |n: u64| {
            let reply = replies[next.fetch_add(1, Relaxed) % replies.len()];
            async move {
                match reply {
                    Reply::OkAfter(time) => sleep(millis(time)).await,
                    Reply::FailAfter(time) => {
                        sleep(millis(time)).await;
                        return Err(CallError::new("scripted"));
                    }
                    Reply::Never => std::future::pending().await,
                }
                Ok(n)
            }
        });

    let read = |counter: &AtomicU32| counter.load(Relaxed);
    let look = || Sent {
        calls: read(&callers.calls).max(read(&retry.calls)),
        retries: read(&hedge.calls) - read(&retry.calls),
        hedges: read(&out.calls) - read(&hedge.calls),
        refreshes: read(&retry.refreshes),
    };
    let mut seen = vec![Sent::default()];
    for step in script.iter().copied().chain([Step::Wait(10_000)]) {
        match step {
            Step::Call(key, patience) => {
                drop(tokio::spawn(timeout(millis(patience), stack.clone().oneshot(key))));
                continue;
            }
            Step::Wait(time) => sleep(millis(time)).await,
        }
        let now = look();
        let earned = 10 * initial + deposit * read(&hedge.first_try) + 10 * read(&hedge.recovered);
        prop_assert!(10 * now.retries <= earned, "{now:?}: retries, of {earned} tenths earned");
        prop_assert!(10 * (now.hedges + now.refreshes) <= share * now.calls, "{now:?}: the share, from the start");
        // Hits of the cache pay for no hedges: what the hedge has seen does.
        let first = read(&retry.calls);
        prop_assert!(
            10 * now.hedges <= share * first,
            "{now:?}: the hedges, of {first} calls that went past the cache"
        );
        for then in &seen {
            let sent = now.hedges + now.refreshes - then.hedges - then.refreshes;
            let most = share * (now.calls - then.calls) + 10 * burst;
            prop_assert!(10 * sent <= most, "{now:?}: the share, since {then:?}");
        }
        seen.push(now);
    }
    let stats = budget.stats();
    let last = look();
    prop_assert_eq!(stats.granted - stats.given_back, u64::from(last.retries));
    Ok(last)
}

#[test]
fn extra_sends_stay_within_one_budget_whatever_happens() {
    let [retries, hedges, refreshes] = [const { Cell::new(0) }; 3];
    let config = Config { cases: 64, failure_persistence: None, ..Config::default() };
    let strategy = (settings(), prop::collection::vec(reply(), 1..30), prop::collection::vec(step(), 1..150));
    TestRunner::new(config)
        .run(&strategy, |(settings, replies, script)| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let sent = runtime.block_on(run(settings, replies, &script))?;
            retries.set(retries.get() + sent.retries);
            hedges.set(hedges.get() + sent.hedges);
            refreshes.set(refreshes.get() + sent.refreshes);
            Ok(())
        })
        .unwrap_or_else(|failed| panic!("{failed}"));
    // Nothing is proved by what never happens.
    for (what, sent) in [("retries", &retries), ("hedges", &hedges), ("refreshes", &refreshes)] {
        assert!(sent.get() > 50, "{} {what} in all", sent.get());
    }
}
