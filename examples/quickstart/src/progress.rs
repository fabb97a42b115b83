//! A live line with rates, on a terminal only.

use std::{
    fmt::Write,
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::{aside, counts::Counts};

/// The progress of one run. Nothing is drawn, and nothing costs, unless stderr is a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    live: Arc<Live>,
}

#[derive(Debug, Default)]
struct Live {
    answered: AtomicU64,
    failed: AtomicU64,
}

// ===== impl Progress =====

impl Progress {
    /// Of `calls` calls (unknown: a spinner), with the upstream's own count beside ours where there is one.
    pub(crate) fn new(name: &'static str, calls: Option<u64>, counts: Option<Arc<Counts>>) -> Self {
        let live = Arc::<Live>::default();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = calls.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            bar.set_style(style(calls.is_some(), Arc::clone(&live), counts));
            bar.set_prefix(name);
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar, live }
    }

    /// One more call has its result.
    pub(crate) fn done(&self, answered: bool) {
        let count = if answered { &self.live.answered } else { &self.live.failed };
        count.fetch_add(1, Relaxed);
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Says something on stderr, above the line.
    pub(crate) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| aside::say(text)),
            None => aside::say(text),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

fn style(known: bool, live: Arc<Live>, counts: Option<Arc<Counts>>) -> ProgressStyle {
    let template = if known {
        "{prefix:>6} {bar:24} {pos}/{len} {elapsed} {rates}"
    } else {
        "{prefix:>6} {spinner} {pos} {elapsed} {rates}"
    };
    let rates = move |state: &ProgressState, out: &mut dyn Write| {
        let (answered, failed) = (live.answered.load(Relaxed), live.failed.load(Relaxed));
        let seconds = state.elapsed().as_secs_f64().max(0.1);
        let rate = |count: u64| count as f64 / seconds;
        let _ = write!(out, "answered {answered} ({:.0}/s) failed {failed} ({:.0}/s)", rate(answered), rate(failed));
        if let Some(counts) = &counts {
            let _ = write!(out, " upstream {} ({:.0}/s)", counts.calls(), rate(counts.calls()));
        }
    };
    ProgressStyle::with_template(template)
        .expect("the template is well-formed")
        .with_key("rates", move |state: &ProgressState, out: &mut dyn Write| rates(state, out))
}
