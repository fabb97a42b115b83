//! The figures for people: one table, the ways side by side.

use std::fmt::Write;

use crate::report::Figures;

/// Whose the upstream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upstream {
    /// Ours: what it counts is known.
    Own,
    /// Somebody else's: what was sent is known.
    Foreign,
}

/// The table of these ways, each with its name.
pub(crate) fn table(ways: &[(&str, &Figures)], upstream: Upstream) -> String {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    let mut row = |name: &str, cell: &dyn Fn(&Figures) -> String| {
        rows.push((name.to_owned(), ways.iter().map(|(_, figures)| cell(figures)).collect()));
    };
    row("calls", &|f| f.calls.to_string());
    row("answered", &|f| with_share(f.answered, f.calls));
    row("failed", &|f| with_share(f.failed, f.calls));
    row("lost", &|f| f.lost.to_string());
    let kinds: std::collections::BTreeSet<_> = ways.iter().flat_map(|(_, figures)| figures.errors.keys()).collect();
    for kind in kinds {
        row(&format!("  {kind}"), &|f| f.errors.get(kind).map_or_else(|| "-".into(), u64::to_string));
    }
    row("  of URLs answered before", &|f| f.failed_known.to_string());
    row("from the cache", &|f| with_share(f.cache_hits, f.calls));
    row("with the call of another", &|f| f.coalesced.to_string());
    row("stale", &|f| f.stale.to_string());
    row("upstream calls", &|f| with_factor(f.upstream_calls, f.misses));
    row("retries", &|f| f.retries.to_string());
    row("rejections", &|f| f.rejections.to_string());
    row("p50", &|f| ms(f.p50_ms));
    row("p99", &|f| ms(f.p99_ms));
    row("slowest", &|f| ms(f.max_ms));
    row("deadline", &|f| ms(f.deadline_ms as f64));
    row("most in flight, limit's count", &|f| f.max_permits.to_string());
    if upstream == Upstream::Own {
        row("most in flight, upstream's", &|f| f.upstream_max_in_flight.to_string());
        row("upstream calls in the outage", &|f| f.outage.upstream_calls.to_string());
        row("  first attempts of them", &|f| f.outage.first_attempts.to_string());
    }

    let first = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    let _ = write!(out, "{:first$}", "");
    for (name, _) in ways {
        let _ = write!(out, "  {name:>18}");
    }
    out.push('\n');
    for (name, cells) in rows {
        let _ = write!(out, "{name:first$}");
        for cell in cells {
            let _ = write!(out, "  {cell:>18}");
        }
        out.push('\n');
    }
    out
}

fn with_share(count: u64, of: u64) -> String {
    if of == 0 { count.to_string() } else { format!("{count} ({:.2} %)", 100.0 * count as f64 / of as f64) }
}

fn with_factor(count: u64, of: u64) -> String {
    if of == 0 { count.to_string() } else { format!("{count} ({:.3}x)", count as f64 / of as f64) }
}

fn ms(ms: f64) -> String {
    format!("{ms:.1} ms")
}

#[cfg(test)]
mod tests {
    use super::{Figures, Upstream, table};

    #[test]
    fn both_ways_stand_side_by_side_and_every_kind_of_failure_has_a_row() {
        let naive = Figures {
            calls: 10,
            answered: 8,
            failed: 2,
            errors: [("status-500".into(), 2)].into(),
            misses: 10,
            upstream_calls: 10,
            ..Figures::default()
        };
        let stack = Figures { calls: 10, answered: 10, misses: 10, upstream_calls: 13, ..Figures::default() };
        let table = table(&[("naive", &naive), ("stack", &stack)], Upstream::Own);
        let line = |start: &str| {
            let line = table.lines().find(|line| line.starts_with(start)).unwrap();
            line[start.len()..].split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("answered"), "8 (80.00 %) 10 (100.00 %)");
        assert_eq!(line("  status-500"), "2 -");
        assert_eq!(line("upstream calls"), "10 (1.000x) 13 (1.300x)");
        assert!(table.contains("outage") && !super::table(&[("stack", &stack)], Upstream::Foreign).contains("outage"));
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    }
}
