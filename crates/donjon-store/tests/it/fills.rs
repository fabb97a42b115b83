//! A value that was made from what has changed meanwhile is not kept.

use std::time::Duration;

use donjon_store::{Entry, FillToken, Lookup, MemoryStore, Store, Stored};
use tokio::time::Instant;

fn entry(tag: &'static str) -> Entry<u64> {
    Entry::new(1, Instant::now()).fresh_for(Duration::from_secs(1)).stale_for(Duration::from_secs(9)).tag(tag)
}

fn miss(store: &MemoryStore<u64, u64>, key: u64) -> FillToken {
    let Lookup::Miss(token) = store.get(&key, Instant::now()) else { panic!("it is there") };
    token
}

#[tokio::test(start_paused = true)]
async fn nothing_removed_nothing_lost() {
    let store = MemoryStore::new(10);
    let token = miss(&store, 1);
    assert_eq!(store.fill(1, entry("a"), token), Stored::Kept);
    // A token is no lock: whoever comes second brings a value as good.
    assert_eq!(store.fill(1, entry("a"), token), Stored::Kept);
}

#[tokio::test(start_paused = true)]
async fn a_removal_of_the_key_overtakes_the_fill() {
    let store = MemoryStore::new(10);
    let token = miss(&store, 1);
    assert!(!store.remove(&1));
    assert_eq!(store.fill(1, entry("a"), token), Stored::Outdated);
    assert!(store.get(&1, Instant::now()).found().is_none());
    assert_eq!((store.stats().outdated, store.stats().refusals()), (1, 1));
    // The next one is as new as it gets.
    assert_eq!(store.fill(1, entry("a"), miss(&store, 1)), Stored::Kept);
}

#[tokio::test(start_paused = true)]
async fn a_removal_of_another_key_does_not() {
    let store = MemoryStore::new(10);
    // Two keys in 8,192 places may share one; not so all of these.
    let kept = (0..100).filter(|key| {
        let token = miss(&store, *key);
        store.remove(&(key + 1_000));
        store.fill(*key, entry("a"), token).is_kept()
    });
    assert!(kept.count() >= 98);
}

#[tokio::test(start_paused = true)]
async fn a_removal_of_a_tag_overtakes_the_fill() {
    let store = MemoryStore::new(10);
    let token = miss(&store, 1);
    store.remove_tag("a");
    assert_eq!(store.fill(1, entry("a"), token), Stored::Outdated);
    assert_eq!(store.fill(1, entry("b"), token), Stored::Kept);
}

#[tokio::test(start_paused = true)]
async fn clearing_overtakes_all_fills() {
    let store = MemoryStore::new(10);
    let tokens = [miss(&store, 1), miss(&store, 2)];
    store.clear();
    assert_eq!(store.fill(1, entry("a"), tokens[0]), Stored::Outdated);
    assert_eq!(store.fill(2, entry("b"), tokens[1]), Stored::Outdated);
    assert!(store.insert(1, entry("a")).is_kept());
}

#[tokio::test(start_paused = true)]
async fn a_refresh_of_a_stale_value_is_overtaken_too() {
    let store = MemoryStore::new(10);
    let _ = store.insert(1, entry("a"));
    tokio::time::advance(Duration::from_secs(2)).await;
    let Lookup::Stale(_, token) = store.get(&1, Instant::now()) else { panic!("it is stale") };
    store.remove(&1);
    assert_eq!(store.fill(1, entry("a"), token), Stored::Outdated);
}

#[tokio::test(start_paused = true)]
async fn what_a_fill_kept_dies_with_a_removal_that_came_later() {
    let store = MemoryStore::new(10);
    let token = miss(&store, 1);
    assert!(store.fill(1, entry("a"), token).is_kept());
    store.remove_tag("a");
    assert!(store.get(&1, Instant::now()).found().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_token_changes_nothing() {
    let store = MemoryStore::new(10);
    let token = miss(&store, 1);
    store.abandon(&1, token);
    assert!(store.fill(1, entry("a"), miss(&store, 1)).is_kept());
}

#[test]
fn a_token_says_who_makes_the_value() {
    let token = FillToken::new(7);
    assert!(token.is_leader());
    assert!(!token.follower().is_leader());
    assert_eq!(token.follower().number(), 7);
}
