//! The main job, by its report.

use std::thread;

use serde_json::Value;

use crate::program::{Finished, report as cached_report};

const KEYS: [&str; 20] = [
    "calls",
    "answered",
    "failed",
    "lost",
    "misses",
    "upstream_calls",
    "cache_hits",
    "coalesced",
    "stale",
    "failed_known",
    "retries",
    "rejections",
    "errors",
    "p50_ms",
    "p99_ms",
    "max_ms",
    "deadline_ms",
    "max_permits",
    "upstream_max_in_flight",
    "outage",
];

fn count(way: &Value, key: &str) -> u64 {
    way.pointer(&format!("/{}", key.replace('.', "/")))
        .and_then(Value::as_u64)
        .unwrap_or_else(|| panic!("{key}: {way}"))
}

fn ms(way: &Value, key: &str) -> f64 {
    way[key].as_f64().unwrap_or_else(|| panic!("{key}: {way}"))
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

fn sorted<'a>(keys: &[&'a str]) -> Vec<&'a str> {
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    keys
}

/// What holds for each way in each run.
fn sound(way: &Value, calls: u64) {
    assert_eq!(sorted(&keys(way)), sorted(&KEYS));
    assert_eq!(sorted(&keys(&way["outage"])), ["first_attempts", "upstream_calls"]);
    assert_eq!(count(way, "calls"), calls);
    assert_eq!(count(way, "answered") + count(way, "failed") + count(way, "lost"), calls, "{way}");
    assert_eq!(count(way, "lost"), 0, "{way}");
    let kinds: u64 = way["errors"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(kinds, count(way, "failed"), "each failure says why: {way}");
    assert!(count(way, "max_permits") <= 10, "{way}");
    assert!(count(way, "upstream_max_in_flight") <= 10, "{way}");
    assert!(count(way, "max_permits") >= count(way, "upstream_max_in_flight"), "{way}");
    assert!(ms(way, "p50_ms") <= ms(way, "p99_ms") && ms(way, "p99_ms") <= ms(way, "max_ms"), "{way}");
    assert_eq!(count(way, "deadline_ms"), 5_000);
    assert!(ms(way, "max_ms") <= 5_000.0, "nothing is later than its deadline: {way}");
}

/// What holds besides where nothing is cached.
fn uncached(way: &Value, calls: u64) {
    sound(way, calls);
    assert_eq!(count(way, "misses"), calls, "{way}");
    for key in ["cache_hits", "coalesced", "stale"] {
        assert_eq!(count(way, key), 0, "{way}");
    }
}

/// A run of both ways without a cache.
fn report(name: &str, args: &[&str]) -> (Finished, Value) {
    cached_report(name, &[args, &["--cache-ttl", "0"]].concat())
}

#[test]
fn with_a_cache_every_url_answered_before_is_answered_in_the_outage_stale_if_need_be() {
    thread::scope(|scope| {
        for seed in ["1", "2"] {
            scope.spawn(move || outage_behind_a_cache(seed));
        }
    });
}

fn outage_behind_a_cache(seed: &str) {
    let args = ["--calls", "1200", "--rate", "400", "--outage-at", "1s", "--outage", "1s", "--seed", seed];
    let (finished, report) = cached_report(&format!("cached-{seed}"), &args);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let (naive, stack) = (&report["naive"], &report["stack"]);
    uncached(naive, 1200);
    sound(stack, 1200);
    assert!(count(naive, "failed_known") > 100, "{naive}");
    assert_eq!(count(stack, "failed_known"), 0, "every URL answered before is answered: {stack}");
    for key in ["cache_hits", "stale"] {
        assert!(count(stack, key) > 100, "{key}: {stack}");
    }
    let by_the_cache = count(stack, "cache_hits") + count(stack, "coalesced") + count(stack, "stale");
    assert!(by_the_cache <= 1200 && count(stack, "misses") < 1200 * 3 / 4, "{stack}");
    assert!(count(stack, "upstream_calls") < count(naive, "upstream_calls"), "{stack}");
    for line in ["from the cache", "with the call of another", "stale"] {
        assert!(finished.stdout.lines().any(|l| l.starts_with(line)), "{}", finished.stdout);
    }
}

#[test]
fn many_that_ask_for_the_same_at_once_are_one_call() {
    // Nothing outlives the run, so that no call is made twice for one URL, however slow the machine is.
    let args = ["--calls", "400", "--rate", "100000", "--fail-rate", "0", "--outage", "0", "--cache-ttl", "60s"];
    let (finished, report) = cached_report("coalesced", &args);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let stack = &report["stack"];
    sound(stack, 400);
    assert_eq!((count(stack, "answered"), count(stack, "upstream_calls")), (400, count(stack, "misses")), "{stack}");
    assert!(count(stack, "misses") <= 200, "there are 200 URLs: {stack}");
    // Whether the first call of its URL is still under way is a matter of luck.
    let without = count(stack, "coalesced") + count(stack, "cache_hits");
    assert_eq!((without + count(stack, "misses"), count(stack, "stale")), (400, 0), "{stack}");
}

#[test]
fn the_stack_answers_what_the_naive_way_loses_for_few_calls_more() {
    thread::scope(|scope| {
        for seed in ["1", "2", "3"] {
            scope.spawn(move || fair(seed));
        }
    });
}

fn fair(seed: &str) {
    let args = ["--calls", "600", "--rate", "300", "--fail-rate", "0.3", "--outage", "0", "--seed", seed];
    let (finished, report) = report(&format!("fair-{seed}"), &args);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(sorted(&keys(&report)), ["naive", "stack"]);
    let (naive, stack) = (&report["naive"], &report["stack"]);
    uncached(naive, 600);
    uncached(stack, 600);

    assert_eq!(count(naive, "upstream_calls"), 600, "{naive}");
    // 30 % fail; four standard deviations.
    assert!(count(naive, "failed").abs_diff(180) <= 45, "{naive}");
    // 1.417 calls a call are expected and 99.2 % answered, less what the budget refuses while its tokens sleep with the
    // retries that hold them: four standard deviations and ten calls.
    assert!(count(stack, "upstream_calls") <= 600 * 154 / 100, "{stack}");
    assert!(count(stack, "answered") >= 600 * 977 / 1_000 - 10, "{stack}");
    assert_eq!(count(stack, "upstream_calls"), 600 + count(stack, "retries"), "{stack}");
    assert_eq!(count(stack, "outage.upstream_calls"), 0);
}

#[test]
fn an_outage_costs_at_most_the_bucket() {
    // No failure before the outage, so nothing was taken from the bucket before it.
    let args = [
        "--calls",
        "900",
        "--rate",
        "400",
        "--fail-rate",
        "0",
        "--outage-at",
        "500ms",
        "--outage",
        "1s",
        "--seed",
        "4",
    ];
    let (finished, report) = report("outage", &args);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let (naive, stack) = (&report["naive"], &report["stack"]);
    uncached(naive, 900);
    uncached(stack, 900);
    assert!(count(naive, "outage.upstream_calls") > 200, "{naive}");
    assert_eq!(count(naive, "outage.upstream_calls"), count(naive, "outage.first_attempts"));
    assert_eq!(naive["errors"]["connection-reset"], naive["failed"], "an outage is a reset: {naive}");
    let extra = count(stack, "outage.upstream_calls") - count(stack, "outage.first_attempts");
    // The bucket, and what the ten calls that may be in flight as it begins can earn.
    assert!((1..=24 + 3).contains(&extra), "{extra}: {stack}");
    assert!(count(stack, "answered") >= 900 - count(stack, "outage.first_attempts"), "{stack}");
}

#[test]
fn the_seed_moves_everything_and_the_same_seed_nothing() {
    let run = |name: &str, seed| {
        // So few fail that the budget refuses nobody: what it refuses is a matter of milliseconds.
        let args = ["--calls", "200", "--rate", "400", "--fail-rate", "0.1", "--outage", "0", "--seed", seed];
        let (_, report) = report(name, &args);
        [&report["naive"]["errors"], &report["stack"]["upstream_calls"]].map(ToString::to_string)
    };
    let [first, again, other] = thread::scope(|scope| {
        [("seed-a", "8"), ("seed-b", "8"), ("seed-c", "9")]
            .map(|(name, seed)| scope.spawn(move || run(name, seed)))
            .map(|running| running.join().unwrap())
    });
    assert_eq!(first, again);
    assert_ne!(first[0], other[0]);
}

#[test]
fn an_upstream_without_faults_needs_no_second_attempt() {
    let (finished, report) =
        report("good", &["--calls", "200", "--rate", "100000", "--fail-rate", "0", "--outage", "0"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    for way in [&report["naive"], &report["stack"]] {
        uncached(way, 200);
        assert_eq!(count(way, "answered"), 200, "{way}");
        assert_eq!(count(way, "upstream_calls"), 200, "{way}");
        assert_eq!(count(way, "max_permits"), 10, "they come all at once: {way}");
    }
    for line in ["calls", "answered", "upstream calls", "p99"] {
        assert!(finished.stdout.lines().any(|l| l.starts_with(line)), "{}", finished.stdout);
    }
}

#[test]
fn no_calls_are_an_empty_table() {
    let (finished, report) = report("none", &["--calls", "0"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    uncached(&report["stack"], 0);
}
