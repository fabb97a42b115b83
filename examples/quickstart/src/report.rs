//! The figures of one way, as the table shows them and as `--report` writes them.

use std::{collections::BTreeMap, fs::File, io::Write, path::Path};

use serde::Serialize;

use crate::{counts::Counts, fault::Fault, tally::Tally, way::Kind};

/// Both ways.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) naive: Figures,
    pub(crate) stack: Figures,
}

/// The user's own endpoints.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct UrlsReport {
    pub(crate) stack: Figures,
}

/// One way.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Figures {
    /// Calls offered: `answered + failed + lost`.
    pub(crate) calls: u64,
    /// Calls with a 2xx and its whole body.
    pub(crate) answered: u64,
    /// Calls with one result that is something else.
    pub(crate) failed: u64,
    /// Calls without exactly one result.
    pub(crate) lost: u64,
    /// Calls that went further than the cache, those included that it made to refresh what it had; all of them, without
    /// one.
    pub(crate) misses: u64,
    /// Calls whose head the upstream has read: its own count.
    pub(crate) upstream_calls: u64,
    /// Calls answered by the cache alone.
    pub(crate) cache_hits: u64,
    /// Calls that waited for the same call of another one.
    pub(crate) coalesced: u64,
    /// Calls answered by what was older than it should be.
    pub(crate) stale: u64,
    /// Calls that failed though their URL had been answered before they were due.
    pub(crate) failed_known: u64,
    /// Times that a call was sent after its first.
    pub(crate) retries: u64,
    /// Calls and attempts that a layer refused.
    pub(crate) rejections: u64,
    /// The failed calls by kind.
    pub(crate) errors: BTreeMap<Kind, u64>,
    /// From when a call was due to its result, over all calls that have one.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    pub(crate) deadline_ms: u64,
    /// The most calls that were ever in flight, as the limit counted them.
    pub(crate) max_permits: u64,
    /// The same as the upstream counted it.
    pub(crate) upstream_max_in_flight: u64,
    pub(crate) outage: OutageFigures,
}

/// What the upstream saw while it was out.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct OutageFigures {
    pub(crate) upstream_calls: u64,
    pub(crate) first_attempts: u64,
}

// ===== impl Figures =====

impl Figures {
    /// What the results and the upstream's counts say; the rest is for the caller to fill in.
    pub(crate) fn new(tally: &Tally, counts: &Counts, deadline: std::time::Duration) -> Self {
        Self {
            upstream_calls: counts.calls(),
            upstream_max_in_flight: counts.max_in_flight() as u64,
            outage: OutageFigures {
                upstream_calls: counts.outage_calls(),
                first_attempts: counts.outage_first_attempts(),
            },
            ..Self::of_results(tally, deadline)
        }
    }

    /// What the results alone say.
    pub(crate) fn of_results(tally: &Tally, deadline: std::time::Duration) -> Self {
        let lost = tally.lost();
        Self {
            calls: tally.calls(),
            answered: tally.answered(),
            failed: tally.failed(),
            failed_known: tally.failed_known(),
            lost,
            misses: tally.calls(),
            retries: tally.retries(),
            errors: tally.errors().clone(),
            p50_ms: rounded(tally.quantile_ms(0.5)),
            p99_ms: rounded(tally.quantile_ms(0.99)),
            max_ms: rounded(tally.max_ms()),
            deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
            ..Self::default()
        }
    }
}

/// Milliseconds to the microsecond.
pub(crate) fn rounded(ms: f64) -> f64 {
    (ms * 1_000.0).round() / 1_000.0
}

/// The file that a report will be written to.
#[derive(Debug)]
pub(crate) struct ReportFile(File);

// ===== impl ReportFile =====

impl ReportFile {
    /// Makes the file, so that one that cannot be made is known before the work and not after it.
    pub(crate) fn create(path: &Path) -> Result<Self, Fault> {
        File::create(path).map(Self).map_err(|error| Fault::usage(path, error))
    }

    /// Writes the report as JSON.
    pub(crate) fn write(mut self, report: &impl Serialize) -> Result<(), Fault> {
        let mut json = serde_json::to_vec_pretty(report).expect("a report is numbers and text");
        json.push(b'\n');
        self.0.write_all(&json).map_err(|error| Fault::failed("the report cannot be written", error))
    }
}
