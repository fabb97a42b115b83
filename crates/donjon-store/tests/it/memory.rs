use std::{sync::Arc, time::Duration};

use donjon_store::{Entry, Lookup, MemoryStore};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_paused_clock_takes_an_entry_from_fresh_over_stale_to_gone() {
    let store: MemoryStore<u64, Arc<str>> = MemoryStore::new(10);
    let entry =
        Entry::new(Arc::from("a"), Instant::now()).fresh_for(Duration::from_secs(2)).stale_for(Duration::from_secs(1));
    assert!(store.insert(1, entry).is_kept());
    assert!(matches!(store.get(&1, Instant::now()), Lookup::Fresh(_)));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(matches!(store.get(&1, Instant::now()), Lookup::Stale(..)));
    assert_eq!(store.stats().entries, 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(matches!(store.get(&1, Instant::now()), Lookup::Miss(_)));
    assert_eq!(store.stats().entries, 0);
    assert_eq!(store.stats().expired, 1);
}
