//! When a value is fresh, stale or of no use.

use std::time::Duration;

use donjon_store::{Entry, Freshness, Lifetime};
use proptest::prelude::*;
use tokio::time::Instant;

const S: Duration = Duration::from_secs(1);
const NS: Duration = Duration::from_nanos(1);

#[test]
fn the_end_does_not_belong_to_what_it_ends() {
    let created = Instant::now();
    let lifetime = Lifetime::new(created, 2 * S).stale_for(3 * S);
    assert_eq!(lifetime.at(created), Freshness::Fresh);
    assert_eq!(lifetime.at(created + 2 * S - NS), Freshness::Fresh);
    assert_eq!(lifetime.at(created + 2 * S), Freshness::Stale);
    assert_eq!(lifetime.at(created + 5 * S - NS), Freshness::Stale);
    assert_eq!(lifetime.at(created + 5 * S), Freshness::Expired);
    assert_eq!(lifetime.fresh_until(), Some(created + 2 * S));
    assert_eq!(lifetime.stale_until(), Some(created + 5 * S));
    assert_eq!((lifetime.fresh_for(), lifetime.usable_for()), (2 * S, 5 * S));
}

#[test]
fn what_is_asked_before_it_was_made_is_new() {
    let created = Instant::now() + 10 * S;
    let lifetime = Lifetime::new(created, S);
    assert_eq!(lifetime.at(created - 10 * S), Freshness::Fresh);
    assert_eq!(lifetime.age(created - 10 * S), Duration::ZERO);
    assert_eq!(lifetime.fresh_left(created - 10 * S), S);
    assert_eq!(Lifetime::new(created, Duration::ZERO).at(created - S), Freshness::Expired);
}

#[test]
fn no_fresh_time_and_a_stale_window_is_stale_at_once() {
    let created = Instant::now();
    let lifetime = Lifetime::new(created, Duration::ZERO).stale_for(S);
    assert_eq!(lifetime.at(created), Freshness::Stale);
    assert_eq!(lifetime.fresh_left(created), Duration::ZERO);
}

#[test]
fn for_ever_is_for_ever() {
    let created = Instant::now();
    let lifetime = Lifetime::new(created, Duration::MAX).stale_for(Duration::MAX);
    assert_eq!(lifetime.at(created + Duration::from_secs(100 * 365 * 86_400)), Freshness::Fresh);
    assert!(lifetime.fresh_left(created + S) > Duration::from_secs(500 * 365 * 86_400));
}

#[test]
fn what_is_made_at_the_end_of_the_clock_ends_with_it() {
    let (mut created, mut step) = (Instant::now(), Duration::from_secs(1 << 62));
    while step >= S {
        match created.checked_add(step) {
            Some(later) => created = later,
            None => step /= 2,
        }
    }
    let lifetime = Lifetime::new(created, Duration::MAX).stale_for(Duration::MAX);
    assert_eq!(lifetime.at(Instant::now()), Freshness::Fresh);
    assert_eq!((lifetime.created(), lifetime.stale_until()), (created, None));
}

#[test]
fn an_entry_says_what_it_was_given() {
    let now = Instant::now();
    let entry = Entry::new(7, now).fresh_for(S).stale_for(2 * S).tag("a").tag(String::from("b"));
    assert_eq!(entry.lifetime(), Lifetime::new(now, S).stale_for(2 * S));
    assert_eq!(entry.tags().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(entry.value(), &7);
}

proptest! {
    #[test]
    fn a_lifetime_agrees_with_plain_arithmetic(
        fresh in 0_u64..4_000_000_000,
        stale in 0_u64..4_000_000_000,
        age in 0_u64..9_000_000_000,
    ) {
        let created = Instant::now();
        let lifetime = Lifetime::new(created, Duration::from_nanos(fresh)).stale_for(Duration::from_nanos(stale));
        let now = created + Duration::from_nanos(age);
        let expected = if age < fresh {
            Freshness::Fresh
        } else if age < fresh + stale {
            Freshness::Stale
        } else {
            Freshness::Expired
        };
        prop_assert_eq!(lifetime.at(now), expected);
        prop_assert_eq!(lifetime.age(now), Duration::from_nanos(age));
        prop_assert_eq!(lifetime.fresh_left(now), Duration::from_nanos(fresh.saturating_sub(age)));
    }
}
