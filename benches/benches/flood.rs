//! Ten million keys, each asked for once, through a store with a bound: the most that it holds at any time, counted exactly,
//! beside the bound.
//!
//! `cargo bench -p donjon-benches --bench flood`

use std::time::Duration;

use bytes::Bytes;
use donjon_store::{Entry, MemoryStore};
use tokio::time::Instant;

const KEYS: u64 = 10_000_000;

fn main() {
    println!(
        "\n| bytes a value | bound (MiB) | most held (MiB) | of the bound | entries at the end |\n|---|---|---|---|---|"
    );
    for (capacity, size) in [(64 << 20, 16_usize), (64 << 20, 500)] {
        let mut entries = 0;
        let counted = allocation_counter::measure(|| {
            let store: MemoryStore<u64, Bytes> =
                MemoryStore::weighing(capacity, |_: &u64, value: &Bytes| value.len() as u64).build();
            let now = Instant::now();
            for key in 0..KEYS {
                let value = Bytes::from(vec![0; size].into_boxed_slice());
                let stored = store.insert(key, Entry::new(value, now).fresh_for(Duration::from_secs(60)));
                assert!(stored.is_kept());
            }
            entries = store.stats().entries;
        });
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let share = counted.bytes_max as f64 / capacity as f64;
        println!("| {size} | {:.0} | {:.1} | {share:.3} | {entries} |", mib(capacity), mib(counted.bytes_max));
        assert!(share <= 1.1, "more than the bound and a tenth");
    }
}
