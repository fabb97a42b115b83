//! The figures of every handle: names that last, and values that are those of `stats()`.

use std::collections::BTreeMap;

use donjon::{
    BreakerLayer, Budget, CallError, CoalesceLayer, ConcurrencyLimitLayer, DeadlineLayer, HedgeLayer, MemoryStore,
    Observe, PerKeyLayer, ReplayLayer, RetryLayer,
    core::FigureValue,
    retry::{Backoff, NoRetry, Standard},
};
use tower::{Layer, ServiceExt, service_fn};

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
        ("hedge", Box::new(HedgeLayer::new(donjon::hedge::Standard::new()).handle())),
        ("per_key", Box::new(per_key)),
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
