//! Removal by tag.

use std::time::Duration;

use donjon_store::{Entry, MemoryStore};
use tokio::time::Instant;

fn tagged(tags: &[&str]) -> Entry<u64> {
    let entry = Entry::new(0, Instant::now()).fresh_for(Duration::from_secs(60));
    tags.iter().fold(entry, |entry, tag| entry.tag((*tag).to_owned()))
}

fn has(store: &MemoryStore<u64, u64>, key: u64) -> bool {
    store.get(&key, Instant::now()).found().is_some()
}

#[tokio::test(start_paused = true)]
async fn a_tag_takes_what_has_it_and_leaves_the_rest() {
    let store = MemoryStore::new(100);
    let _ = store.insert(1, tagged(&["user:1", "team:7"]));
    let _ = store.insert(2, tagged(&["user:2", "team:7"]));
    let _ = store.insert(3, tagged(&["user:3"]));
    let _ = store.insert(4, tagged(&[]));
    store.remove_tag("user:1");
    assert_eq!([1, 2, 3, 4].map(|key| has(&store, key)), [false, true, true, true]);
    store.remove_tag("team:7");
    assert_eq!([1, 2, 3, 4].map(|key| has(&store, key)), [false, false, true, true]);
    store.remove_tag("nobody's");
    assert_eq!([1, 2, 3, 4].map(|key| has(&store, key)), [false, false, true, true]);
    assert_eq!((store.stats().entries, store.stats().untagged), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_the_removal_stays() {
    let store = MemoryStore::new(100);
    for round in 0..5 {
        let _ = store.insert(1, tagged(&["a"]));
        assert!(has(&store, 1), "in round {round}");
        store.remove_tag("a");
        assert!(!has(&store, 1), "in round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_of_many_tags_takes_an_entry() {
    // Up to four are held in place, more elsewhere.
    const TAGS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    for count in [1, 3, 4, 5, 12] {
        for tag in &TAGS[..count] {
            let store = MemoryStore::new(100);
            let _ = store.insert(1, tagged(&TAGS[..count]));
            store.remove_tag("none of them");
            assert!(has(&store, 1));
            store.remove_tag(tag);
            assert!(!has(&store, 1), "{tag} of {count}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn tags_that_share_a_place_go_together_and_untagged_entries_never() {
    let store = MemoryStore::counting(100).tag_places(1).build();
    let _ = store.insert(1, tagged(&["a"]));
    let _ = store.insert(2, tagged(&[]));
    store.remove_tag("b");
    assert_eq!([1, 2].map(|key| has(&store, key)), [false, true]);
}

#[tokio::test(start_paused = true)]
async fn no_places_for_tags_count_as_one() {
    let store = MemoryStore::counting(100).tag_places(0).build();
    let _ = store.insert(1, tagged(&["a"]));
    store.remove_tag("a");
    assert!(!has(&store, 1));
}

#[tokio::test(start_paused = true)]
async fn a_removal_reaches_its_entry_at_whatever_place_its_tag_is() {
    let store = MemoryStore::counting(10).tag_places(u16::MAX).build();
    // Three times as many tags as places, so that nearly every place is some tag's.
    for tag in 0..200_000 {
        let tag = tag.to_string();
        let _ = store.insert(1, tagged(&[&tag]));
        assert!(has(&store, 1), "tag {tag}");
        store.remove_tag(&tag);
        assert!(!has(&store, 1), "tag {tag}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tag_is_removed_without_a_look_at_the_entries() {
    let store = MemoryStore::new(10_000);
    for key in 0..5_000 {
        let _ = store.insert(key, tagged(&["a"]));
    }
    store.remove_tag("a");
    // They are dead already, and leave one by one.
    let before = store.stats().entries;
    assert!(before > 4_000);
    assert!(!has(&store, 17));
    assert_eq!(store.stats().entries, before - 1);
}
