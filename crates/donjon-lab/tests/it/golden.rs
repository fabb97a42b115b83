//! The figures stay in their bands: means over eight seeds, of scenes that are shorter than the ones in `docs/`.

use std::collections::BTreeMap;

use donjon_lab::{Report, Scenario, Settings, measure, scenarios};

const SEEDS: u32 = 8;

/// What makes a scene short enough for a test.
const SMALL: &[(&str, &[(&str, f64)])] = &[
    ("retry-budget", &[("seconds", 20.0)]),
    ("jitter", &[("repeats", 1.0)]),
    ("queue-burst", &[("seconds", 3.0)]),
    ("deadline", &[("seconds", 3.0)]),
    ("fan-out", &[("answers", 60.0), ("warm-up", 200.0)]),
    ("stampede", &[("ttls", 3.0), ("rate", 50.0)]),
    // Of two or three workers one call in some hundred waits for too long, and those come in rows, which open a breaker.
    ("retry-storm", &[("after", 30.0), ("outage", 5.0)]),
    ("orders", &[("seconds", 10.0)]),
    ("cold-start", &[("seconds", 8.0)]),
    ("breaker", &[("openings", 3.0), ("calls", 100_000.0)]),
];

fn scenario(name: &str) -> &'static Scenario {
    scenarios::ALL.iter().find(|it| it.name == name).unwrap_or_else(|| panic!("there is a scenario {name}"))
}

/// The settings of a short scene.
pub(crate) fn small(name: &str) -> Settings {
    let mut settings = Settings::new(scenario(name).params);
    let moves: BTreeMap<_, _> = SMALL.iter().copied().collect();
    for (setting, value) in moves.get(name).copied().unwrap_or_default() {
        settings.set(setting, *value).unwrap();
    }
    settings
}

fn play(name: &str) -> Report {
    measure(scenario(name), &small(name), 1, SEEDS, &|| {})
}

const NEVER: f64 = f64::NAN;

/// Fails with every figure that has left its band; that of what is never reached goes from [`NEVER`] to [`NEVER`].
#[track_caller]
fn assert_bands(report: &Report, bands: &[(&str, &str, f64, f64)]) {
    let mut out = String::new();
    for &(policy, metric, least, most) in bands {
        let value = report.value(policy, metric).unwrap_or_else(|| panic!("{policy} has no figure `{metric}`"));
        let is_there = if least.is_nan() { value.is_nan() } else { (least..=most).contains(&value) };
        if !is_there {
            out += &format!("{policy}: {metric} is {value}, not from {least} to {most}\n");
        }
    }
    assert!(out.is_empty(), "{}:\n{out}\n{report}", report.scenario);
}

#[test]
fn retry_budget() {
    let report = play("retry-budget");
    let (slow, fast) = ("load, all failing, slow client", "load, all failing, fast client");
    let (lost, tiers) = ("lost against no budget, some failing", "load under three tiers, all failing, slow client");
    assert_bands(
        &report,
        &[
            // 24 tokens beside 200 calls and 2,000.
            ("donjon", slow, 1.11, 1.13),
            ("donjon", fast, 1.011, 1.013),
            ("donjon", tiers, 1.34, 1.39),
            ("donjon", lost, 0.0, 0.05),
            ("no budget", slow, 3.0, 3.0),
            ("no budget", tiers, 27.0, 27.0),
            ("no retry", slow, 1.0, 1.0),
            ("AWS 2.0 preset", slow, 1.45, 1.55),
            ("Finagle", slow, 2.1, 2.3),
            ("Finagle", fast, 1.28, 1.32),
            ("SRE book, 10 %", fast, 1.10, 1.12),
            ("tower TpsBudget", slow, 2.4, 2.7),
        ],
    );
}

#[test]
fn jitter() {
    let report = play("jitter");
    let (calls, completion) = ("calls, 100 clients", "completion, 100 clients");
    assert_bands(
        &report,
        &[
            ("donjon rtt-shared", calls, 325.0, 360.0),
            ("donjon rtt-shared", completion, 3.2, 3.9),
            ("donjon rtt-scaled", calls, 495.0, 530.0),
            ("donjon rtt-scaled", completion, 3.5, 4.2),
            // That simulator itself: 796 calls, 4.8 s.
            ("full jitter", calls, 780.0, 812.0),
            ("full jitter", completion, 4.4, 5.5),
            ("donjon rtt-shared", "calls over full jitter's, 10 clients", 0.6, 0.75),
            ("donjon rtt-shared", "completion over full jitter's, 10 clients", 0.65, 1.0),
            ("donjon rtt-shared", "calls over full jitter's, 50 clients", 0.45, 0.55),
            ("donjon rtt-shared", "completion over full jitter's, 50 clients", 0.55, 0.8),
            ("donjon rtt-shared", "calls over full jitter's, 200 clients", 0.35, 0.4),
            ("donjon rtt-shared", "completion over full jitter's, 200 clients", 0.8, 1.0),
            ("donjon rtt-scaled", "calls over full jitter's, 200 clients", 0.70, 0.78),
            ("donjon rtt-scaled", "completion over full jitter's, 200 clients", 0.7, 0.9),
        ],
    );
}

#[test]
fn queue_burst() {
    let report = play("queue-burst");
    // A second of 1,000 is known to about one in a hundred here.
    assert_bands(
        &report,
        &[
            ("donjon two-lane", "useful at 50 ms", 950.0, 1000.0),
            ("donjon two-lane", "wasted at 50 ms", 0.6, 2.2),
            ("donjon two-lane", "useful at 200 ms", 965.0, 1010.0),
            ("donjon two-lane", "wasted at 200 ms", 0.0, 0.0),
            ("donjon two-lane", "useful at 50 ms, leaving stops the work", 965.0, 1010.0),
            ("donjon FIFO, as it is", "wasted at 50 ms", 3.0, 6.0),
            ("donjon, no queue", "useful at 50 ms", 840.0, 900.0),
            ("donjon two-lane, told half", "useful at 50 ms", 940.0, 1000.0),
            ("donjon two-lane, told double", "useful at 200 ms", 965.0, 1015.0),
            ("tower-resilience Bulkhead", "useful at 50 ms", 950.0, 1005.0),
            ("tower-resilience, no wait", "useful at 50 ms", 840.0, 900.0),
            ("CoDel (folly)", "useful at 50 ms", 800.0, 920.0),
            ("adaptive LIFO (Facebook)", "useful at 50 ms", 930.0, 1000.0),
            ("tower ConcurrencyLimit", "useful at 50 ms", 0.0, 150.0),
        ],
    );
}

#[test]
fn deadline() {
    let report = play("deadline");
    let late = "work begun too late";
    assert_bands(
        &report,
        &[
            ("donjon", late, 0.0, 0.0),
            ("donjon, slow network", late, 0.1, 1.0),
            ("a timeout at each server", late, 4.0, 12.0),
            ("a timeout at the client", late, 6.0, 17.0),
            // That model of the scene: 19.3 %.
            ("the same, nothing joined", late, 18.0, 27.0),
            ("donjon", "answered in time", 50.0, 72.0),
        ],
    );
}

#[test]
fn fan_out() {
    let report = play("fan-out");
    let (p99, slower) = ("p99", "p99, all slower");
    assert_bands(
        &report,
        &[
            ("donjon learned", p99, 17.0, 25.0),
            ("donjon learned", "extra calls", 1.85, 2.0),
            ("donjon learned", slower, 170.0, 240.0),
            ("donjon learned", "extra calls, all slower", 1.85, 2.0),
            ("donjon fixed 10 ms", "extra calls", 1.8, 2.3),
            // It has no tokens left when every call is late.
            ("donjon fixed 10 ms", slower, 2000.0, 20_000.0),
            ("not hedged", p99, 200.0, 900.0),
            ("tower Hedge 98th percentile", p99, 20.0, 45.0),
            ("tower Hedge 98th percentile", "extra calls", 3.2, 4.2),
            ("tower Hedge 98th percentile", "extra calls, all slower", 4.5, 6.5),
            // It has no budget.
            ("tower-resilience Hedge 10 ms", "extra calls, all slower", 98.5, 99.9),
        ],
    );
}

#[test]
fn stampede() {
    let report = play("stampede");
    let (made, waited, old) = ("made a TTL", "callers who wait a TTL", "old answers a TTL");
    assert_bands(
        &report,
        &[
            ("donjon refresh ahead", made, 1.0, 1.05),
            ("donjon refresh ahead", waited, 0.0, 0.0),
            ("donjon refresh ahead", old, 0.0, 0.0),
            ("donjon, as it is", made, 0.6, 1.0),
            ("donjon, as it is", waited, 80.0, 115.0),
            ("donjon, as it is", old, 0.0, 0.0),
            ("donjon, stale at once", waited, 0.0, 0.0),
            ("donjon, stale at once", old, 80.0, 115.0),
            ("a cache without coalescing", made, 80.0, 115.0),
            ("donjon refresh ahead", "lost when others give up", 0.0, 0.0),
            ("donjon, as it is", "lost when others give up", 0.0, 0.0),
        ],
    );
}

#[test]
fn breaker() {
    let report = play("breaker");
    let [outage, half, third] = ["outage", "50 % failing", "30 % failing"].map(|it| format!("calls to open, {it}"));
    assert_bands(
        &report,
        &[
            ("donjon score", &outage, 7.0, 7.0),
            ("donjon score", &half, 12.0, 25.0),
            ("donjon score", &third, 30.0, 70.0),
            ("donjon score", "false openings in 10 million calls", 0.56, 0.76),
            // One in 800,000 calls would be 12.5.
            ("donjon score", "false openings in 10 million calls, counted", 0.0, 13.0),
            ("donjon, 5 in a row", &outage, 5.0, 5.0),
            ("donjon, 5 in a row", "false openings in 10 million calls", 2.9, 3.05),
            ("resilience4j", &outage, 50.0, 50.0),
            ("resilience4j", &third, NEVER, NEVER),
            ("Polly", &outage, 270.0, 300.0),
            // As many failures as there were successes before.
            ("tower-resilience", &outage, 2700.0, 3300.0),
            ("tower-resilience", &third, NEVER, NEVER),
        ],
    );
}

#[test]
fn retry_storm() {
    let report = play("retry-storm");
    let back = "time until the answers are back";
    assert_bands(
        &report,
        &[
            ("donjon server limit alone", back, 0.0, 4.0),
            ("donjon budget, breaker, limit", back, 0.0, 4.0),
            ("donjon breaker alone", back, 0.0, 4.0),
            ("donjon budget alone", back, 15.0, 28.0),
            ("no retry", back, 15.0, 25.0),
            // The scene ends before they are back.
            ("retries without a budget", back, NEVER, NEVER),
        ],
    );
}

#[test]
fn cold_start() {
    let report = play("cold-start");
    let (warm, answered) = ("time until it is warm", "answered in time");
    assert_bands(
        &report,
        &[
            ("donjon cache + limit", warm, 3.0, 6.0),
            ("donjon cache + limit", answered, 88.0, 93.0),
            ("donjon cache", warm, NEVER, NEVER),
            ("donjon cache", answered, 30.0, 70.0),
            ("a cache without coalescing", warm, NEVER, NEVER),
            ("a cache without coalescing", answered, 10.0, 55.0),
            // What the limit does alone; the cache's own part is the rest.
            ("a cache without coalescing + limit", warm, 4.5, 7.0),
            ("a cache without coalescing + limit", answered, 80.0, 87.0),
        ],
    );
}

#[test]
fn orders() {
    let report = play("orders");
    let right = "donjon, right order";
    let [load, sent] = ["cache: load on the service", "breaker: calls sent to a service that is down"];
    let [most, failed] = ["hedge: most in flight under a limit of 10", "attempt timeout: calls that failed"];
    let of = |policy, metric| report.value(policy, metric).expect("both orders have it");
    assert!(of("cache inside retry", load) > 1.03 * of(right, load), "{report}");
    let old = "cache, stale if error: old answers";
    assert!(of("cache inside retry", old) > 5.0 * of(right, old), "{report}");
    assert!(of("breaker outside retry", sent) > 5.0 * of(right, sent), "{report}");
    assert_bands(
        &report,
        &[
            (right, most, 10.0, 10.0),
            ("hedge inside the limit", most, 10.5, 20.0),
            (right, failed, 0.0, 0.5),
            ("attempt timeout outside retry", failed, 8.0, 12.0),
        ],
    );
}
