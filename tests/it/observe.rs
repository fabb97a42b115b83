//! What an operator sees: the figures of every handle, by names that last and with the values of `stats()`, and the events
//! of the keys.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    sync::{Arc, Mutex},
};

use donjon::{
    BreakerLayer, Budget, CallError, CoalesceLayer, ConcurrencyLimitLayer, DeadlineLayer, FallbackLayer, HedgeLayer,
    MemoryStore, Observe, PerKeyLayer, RateLimitLayer, ReplayLayer, RetryLayer,
    core::FigureValue,
    rate_limit::Rate,
    retry::{Backoff, NoRetry, Standard},
};
use futures_util::FutureExt;
use tower::{Layer, ServiceExt, service_fn};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// Every figure once, by its name and labels.
fn figures(source: &dyn Observe) -> BTreeMap<String, FigureValue> {
    let mut figures = BTreeMap::new();
    source.observe(&mut |figure| {
        let labels: String = figure.labels().map(|(name, value)| format!("{{{name}={value}}}")).collect();
        let name = format!("{}{labels}", figure.name());
        assert!(figure.help().ends_with('.'), "{name}: {}", figure.help());
        let is_counter = matches!(figure.value(), FigureValue::Counter(_));
        assert_eq!(is_counter, figure.name().ends_with("_total"), "{name}");
        let lawful = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(figure.name().starts_with("donjon_") && figure.name().chars().all(lawful), "{name}");
        assert_eq!(figures.insert(name.clone(), figure.value()), None, "{name} stands twice");
    });
    figures
}

#[test]
fn each_handle_shows_each_figure_once_under_a_lawful_name() {
    let handles = donjon::client::builder().handles();
    let cached = donjon::client::builder().cache(std::time::Duration::from_secs(1)).handles();
    let per_key: donjon::per_key::Handle<u64, _> =
        PerKeyLayer::new(|n: &u64| Some(*n), ConcurrencyLimitLayer::new(1)).handle();
    let sources: Vec<(&str, Box<dyn Observe>)> = vec![
        ("breaker", Box::new(BreakerLayer::new().handle())),
        ("budget", Box::new(Budget::new())),
        ("coalesce", Box::new(CoalesceLayer::new(|n: &u64| Some(*n)).handle())),
        ("concurrency_limit", Box::new(ConcurrencyLimitLayer::new(1).handle())),
        ("fallback", Box::new(FallbackLayer::value(1_u64).handle())),
        ("hedge", Box::new(HedgeLayer::new(donjon::hedge::Standard::new()).handle())),
        ("per_key", Box::new(per_key)),
        ("rate_limit", Box::new(RateLimitLayer::new(Rate::per_second(1)).handle())),
        ("replay", Box::new(ReplayLayer::new().handle())),
        ("retry", Box::new(RetryLayer::new(Standard::new()).handle())),
        ("store", Box::new(MemoryStore::<u64, u64>::counting(8).build())),
        ("timeout", Box::new(DeadlineLayer::new(std::time::Duration::from_secs(1)).handle())),
        ("timeout", Box::new(handles)),
        ("cache", Box::new(cached)),
    ];
    for (prefix, source) in sources {
        let figures = figures(&*source);
        assert!(figures.keys().any(|name| name.starts_with(&format!("donjon_{prefix}_"))), "{prefix}: {figures:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_values_are_what_happened() {
    let retry = RetryLayer::new(Standard::new()).max_attempts(3).backoff(Backoff::constant(std::time::Duration::ZERO));
    let limit = ConcurrencyLimitLayer::new(5);
    let failing = service_fn(|_: u64| async { Err::<u64, _>(CallError::new("it failed")) });
    retry.layer(limit.layer(failing)).oneshot(1).await.unwrap_err();

    let seen = figures(&retry.handle());
    assert_eq!(seen["donjon_retry_retries_total"], FigureValue::Counter(2));
    assert_eq!(seen["donjon_retry_failed_total{reason=attempts-exhausted}"], FigureValue::Counter(1));
    let failed = |seen: &BTreeMap<String, FigureValue>| {
        seen.keys().filter(|name| name.starts_with("donjon_retry_failed_total")).count()
    };
    assert_eq!(failed(&seen), NoRetry::ALL.len());
    assert_eq!(seen["donjon_budget_granted_total"], FigureValue::Counter(2));
    assert_eq!(seen["donjon_budget_tokens"], FigureValue::Gauge(22.0));
    let seen = figures(&limit.handle());
    assert_eq!(seen["donjon_concurrency_limit_admitted_total"], FigureValue::Counter(3));
    assert_eq!(seen["donjon_concurrency_limit_max"], FigureValue::Gauge(5.0));
    assert_eq!(seen["donjon_concurrency_limit_in_flight"], FigureValue::Gauge(0.0));
}

#[tokio::test(start_paused = true)]
async fn what_a_rate_of_each_key_refuses_is_seen() {
    let per_user = PerKeyLayer::new(|n: &u64| Some(*n), RateLimitLayer::new(Rate::per_second(1)));
    let service = per_user.layer(service_fn(async |n: u64| Ok::<_, CallError>(n)));
    for n in 0..100 {
        let _ = service.clone().oneshot(n % 2).await;
    }
    let seen = figures(&per_user.handle());
    assert_eq!(seen["donjon_per_key_refused_total{kind=rate-limited}"], FigureValue::Counter(98));
    assert_eq!(seen["donjon_per_key_refused_total{kind=other}"], FigureValue::Counter(0));
    assert_eq!(seen["donjon_per_key_created_total"], FigureValue::Counter(2));
}

/// Keeps each event of the keys: its level, what has changed, and to what.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<(Level, String)>>>);

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != "message" {
            write!(self.0, " {value:?}").unwrap();
        }
    }
}

impl Subscriber for Events {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "donjon"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        self.0.lock().unwrap().push((*event.metadata().level(), fields.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Events {
    /// Those since the last time.
    fn take(&self) -> Vec<(Level, String)> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_all_in_use_are_told_of_once_and_once_when_there_is_room_again() {
    let events = Events::default();
    let _default = tracing::subscriber::set_default(events.clone());
    let per_user = PerKeyLayer::new(|n: &u64| Some(*n), ConcurrencyLimitLayer::new(1)).max_keys(3);
    let service = per_user.layer(service_fn(async |n: u64| {
        if n < 100 {
            std::future::pending::<()>().await;
        }
        Ok::<_, CallError>(n)
    }));
    let call = |n| service.clone().oneshot(n);
    let refused = async |n| assert!(call(n).await.is_err());
    let running = |n| {
        let mut call = Box::pin(call(n));
        assert!(call.as_mut().now_or_never().is_none());
        call
    };
    let mut busy: Vec<_> = (0..3).map(running).collect();
    assert_eq!(events.take(), [], "as many as there may be are no reason to warn");

    for n in 100..200 {
        refused(n).await;
    }
    let full = [(Level::WARN, r#" "per-key" "keys" full"#.to_owned())];
    assert_eq!(events.take(), full);

    // One leaves, and one comes in its place, again and again: it is full as before.
    for n in 3..50 {
        drop(busy.pop());
        busy.push(running(n));
        refused(n + 100).await;
    }
    assert_eq!(events.take(), []);

    drop(busy);
    for n in 200..300 {
        call(n).await.unwrap();
    }
    assert_eq!(events.take(), [(Level::INFO, r#" "per-key" "keys" not full"#.to_owned())]);

    let _busy: Vec<_> = (0..3).map(running).collect();
    refused(100).await;
    assert_eq!(events.take(), full);
}

#[tokio::test(start_paused = true)]
async fn the_first_call_without_a_key_is_told_of_and_no_other() {
    let events = Events::default();
    let _default = tracing::subscriber::set_default(events.clone());
    let per_user = PerKeyLayer::new(|n: &u64| (*n > 9).then_some(*n), ConcurrencyLimitLayer::new(1));
    let call = |n| per_user.layer(service_fn(async |n: u64| Ok::<_, CallError>(n))).oneshot(n);
    for n in [10, 11] {
        call(n).await.unwrap();
    }
    assert_eq!(events.take(), []);
    for n in 0..20 {
        call(n).await.unwrap();
    }
    assert_eq!(events.take(), [(Level::WARN, r#" "per-key" "key" missing"#.to_owned())]);
}

#[test]
fn the_bounds_of_the_keys_that_are_turned_say_so() {
    let events = Events::default();
    tracing::subscriber::with_default(events.clone(), || {
        let handle: donjon::per_key::Handle<u64, _> =
            PerKeyLayer::new(|n: &u64| Some(*n), ConcurrencyLimitLayer::new(1)).handle();
        handle.set_max_keys(5).unwrap();
        handle.set_max_keys(usize::MAX).unwrap_err();
        handle.set_idle(std::time::Duration::from_secs(60)).unwrap();
    });
    let info = |text: &str| (Level::INFO, text.to_owned());
    assert_eq!(events.take(), [info(r#" "per-key" "max_keys" 5"#), info(r#" "per-key" "idle" 60s"#)]);
}
