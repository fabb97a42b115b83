//! Events: one for each change of a lasting state, and none for a call.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use donjon::{
    BreakerLayer, CacheLayer, CallError, ConcurrencyLimitLayer, RateLimitLayer, RetryLayer,
    breaker::Trip,
    rate_limit::Rate,
    retry::{Backoff, Standard},
};
use tower::{Layer, ServiceExt, service_fn};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// Keeps each event as a line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!(" {}={value:?}", field.name()));
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "donjon"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(event.metadata().level().to_string());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn lines_of(work: impl Future<Output = ()>) -> Vec<String> {
    let lines = Lines::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tracing::subscriber::with_default(lines.clone(), || runtime.block_on(work));
    lines.0.lock().unwrap().clone()
}

#[test]
fn a_budget_that_is_used_up_says_so_once_and_once_when_it_is_not() {
    let layer = RetryLayer::new(Standard::new()).backoff(Backoff::constant(Duration::ZERO)).max_attempts(2);
    let service = layer.layer(service_fn(|fails: bool| async move {
        if fails { Err(CallError::new("it failed")) } else { Ok::<_, CallError>(()) }
    }));
    let lines = lines_of(async move {
        for _ in 0..60 {
            let _ = service.clone().oneshot(true).await;
        }
        for _ in 0..10 {
            service.clone().oneshot(false).await.unwrap();
        }
        for _ in 0..2 {
            let _ = service.clone().oneshot(true).await;
        }
    });
    assert_eq!(
        lines,
        [
            r#"WARN message=state changed layer="budget" what="tokens" to=exhausted"#,
            r#"INFO message=state changed layer="budget" what="tokens" to=available"#,
        ]
    );
}

#[test]
fn a_knob_that_is_turned_says_so_and_calls_say_nothing() {
    let limit = ConcurrencyLimitLayer::new(1);
    let service = limit.layer(service_fn(async |_: u64| Ok::<_, CallError>(())));
    let lines = lines_of(async move {
        service.clone().oneshot(1).await.unwrap();
        limit.handle().set_max(0).unwrap();
        service.clone().oneshot(1).await.unwrap_err();
        limit.handle().set_max(16_777_216).unwrap_err();
    });
    assert_eq!(lines, [r#"INFO message=state changed layer="concurrency-limit" what="max" to=0"#]);
}

#[test]
fn a_breaker_says_when_its_state_changes_and_calls_say_nothing() {
    let breaker = BreakerLayer::new().trip(Trip::consecutive(3));
    let service = breaker.layer(service_fn(|fails: bool| async move {
        if fails { Err(CallError::new("it failed")) } else { Ok::<_, CallError>(()) }
    }));
    let lines = lines_of(async move {
        for fails in [false, true, true, true, true, true] {
            let _ = service.clone().oneshot(fails).await;
        }
        tokio::time::sleep(Duration::from_secs(600)).await;
        for _ in 0..20 {
            service.clone().oneshot(false).await.unwrap();
        }
        breaker.handle().force_open();
        breaker.handle().force_open();
    });
    assert_eq!(
        lines,
        [
            r#"WARN message=state changed layer="breaker" what="state" to=open"#,
            r#"INFO message=state changed layer="breaker" what="state" to=half-open"#,
            r#"INFO message=state changed layer="breaker" what="state" to=closed"#,
            r#"INFO message=state changed layer="breaker" what="state" to=forced-open"#,
        ]
    );
}

#[test]
fn a_rate_that_is_turned_and_a_cache_that_is_emptied_say_so_and_removals_of_a_key_do_not() {
    let limit = RateLimitLayer::new(Rate::per_second(10));
    let cache = CacheLayer::new(|n: &u64| Some(*n));
    let service = cache.layer(limit.layer(service_fn(async |n: u64| Ok::<_, CallError>(n))));
    let lines = lines_of(async move {
        service.clone().oneshot(1).await.unwrap();
        limit.handle().set_rate(Rate::per_second(20)).unwrap();
        limit.handle().set_rate(Rate::per(1, Duration::MAX)).unwrap_err();
        cache.handle().set_ttl(Duration::from_secs(5)).unwrap();
        cache.handle().invalidate(&1);
        cache.handle().invalidate_tag("users");
        cache.handle().invalidate_all();
        service.clone().oneshot(1).await.unwrap();
    });
    assert_eq!(
        lines,
        [
            r#"INFO message=state changed layer="rate-limit" what="rate" to=20 per 1s, burst 20"#,
            r#"INFO message=state changed layer="cache" what="ttl" to=5s"#,
            r#"INFO message=state changed layer="cache" what="values" to=all removed"#,
        ]
    );
}
