//! Figures as the `metrics` facade gets them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use donjon_core::{Figure, Observe, metrics::Publisher};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

#[derive(Default)]
struct Source(AtomicU64);

impl Observe for Source {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        let calls = self.0.load(Ordering::Relaxed);
        visit(Figure::counter("calls_total", "Calls.", calls).label("phase", "queue"));
        visit(Figure::gauge("level", "A level.", calls as f64 / 2.0));
    }
}

/// Publishes a source of its own while it is asked.
struct Adding(Arc<Publisher>);

impl Observe for Adding {
    fn observe(&self, visit: &mut dyn FnMut(Figure)) {
        self.0.watch("more", Source::default());
        visit(Figure::gauge("level", "A level.", 1.0));
        assert!(format!("{:?}", self.0).contains("more"));
    }
}

#[test]
fn a_source_may_use_the_publisher_while_it_is_asked() {
    let publisher = Arc::new(Publisher::new());
    publisher.watch("adding", Adding(Arc::clone(&publisher)));
    publisher.publish();
    assert_eq!(format!("{publisher:?}"), r#"["adding", "more"]"#);
}

#[test]
fn each_publication_sets_the_figures_to_what_they_are() {
    let source = Arc::new(Source::default());
    let publisher = Publisher::new();
    publisher.watch("one", Arc::clone(&source));
    publisher.watch("none", None::<Source>);
    assert_eq!(format!("{publisher:?}"), r#"["one", "none"]"#);

    let recorder = DebuggingRecorder::new();
    let seen = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        for calls in [3, 3, 8] {
            source.0.store(calls, Ordering::Relaxed);
            publisher.publish();
        }
    });
    let mut lines: Vec<String> = seen
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, help, value)| {
            let labels: Vec<_> = key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            let value = match value {
                DebugValue::Counter(value) => format!("counter {value}"),
                DebugValue::Gauge(value) => format!("gauge {value}"),
                DebugValue::Histogram(_) => "histogram".to_owned(),
            };
            format!("{} {} {value} ({})", key.key().name(), labels.join(","), help.unwrap_or_default())
        })
        .collect();
    lines.sort();
    assert_eq!(lines, ["calls_total stack=one,phase=queue counter 8 (Calls.)", "level stack=one gauge 4 (A level.)"]);
}

#[test]
fn what_is_not_watched_any_more_is_dropped_and_published_no_more() {
    let source = Arc::new(Source::default());
    let publisher = Publisher::new();
    for name in ["one", "two", "one"] {
        publisher.watch(name, Arc::clone(&source));
    }
    publisher.unwatch("one");
    publisher.unwatch("nobody");
    assert_eq!(format!("{publisher:?}"), r#"["two"]"#);
    assert_eq!(Arc::strong_count(&source), 2);
}
