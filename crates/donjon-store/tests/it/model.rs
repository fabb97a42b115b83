//! Whatever is done, in whatever order: the store says what a plain map with times says.

use std::{collections::HashMap, time::Duration};

use donjon_store::{Entry, FillToken, Lookup, MemoryStore, Stored};
use proptest::prelude::*;
use tokio::time::Instant;

const KEYS: u8 = 6;
const TAGS: [&str; 3] = ["red", "green", "blue"];
/// What an entry may weigh at most.
const LARGEST: u64 = 20;

#[derive(Clone, Debug)]
enum Step {
    Get(u8),
    /// Key, weight, fresh and stale milliseconds, a set of tags.
    Insert(u8, u64, u64, u64, u8),
    /// The same for the token that the last miss of this key gave.
    Fill(u8, u64, u64, u64, u8),
    Remove(u8),
    RemoveTag(u8),
    Clear,
    Advance(u64),
}

struct Modelled {
    value: u64,
    weight: u64,
    created: Instant,
    fresh: u64,
    stale: u64,
    tags: u8,
    /// As of which step it is.
    as_of: usize,
}

#[derive(Default)]
struct Model {
    entries: HashMap<u8, Modelled>,
    removed_keys: HashMap<u8, usize>,
    removed_tags: HashMap<u8, usize>,
    cleared: usize,
    tokens: HashMap<u8, (FillToken, usize)>,
}

impl Model {
    fn outdated(&self, key: u8, tags: u8, as_of: usize) -> bool {
        let since = |removed: Option<&usize>| removed.is_some_and(|step| *step > as_of);
        since(self.removed_keys.get(&key)) || self.cleared > as_of || self.tag_dead(tags, as_of)
    }

    fn tag_dead(&self, tags: u8, as_of: usize) -> bool {
        (0..3).any(|tag| tags & (1 << tag) != 0 && self.removed_tags.get(&tag).is_some_and(|step| *step > as_of))
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let put = || (0..KEYS, prop_oneof![4 => 0..=LARGEST, 1 => LARGEST + 1..30], 0_u64..5, 0_u64..5, 0_u8..8);
    let step = prop_oneof![
        6 => (0..KEYS).prop_map(Step::Get),
        4 => put().prop_map(|(k, w, f, s, t)| Step::Insert(k, w, f, s, t)),
        4 => put().prop_map(|(k, w, f, s, t)| Step::Fill(k, w, f, s, t)),
        1 => (0..KEYS).prop_map(Step::Remove),
        1 => (0_u8..3).prop_map(Step::RemoveTag),
        1 => Just(Step::Clear),
        3 => (1_u64..4).prop_map(Step::Advance),
    ];
    prop::collection::vec(step, 1..120)
}

fn check(steps: Vec<Step>) -> Result<(), TestCaseError> {
    // Room for all keys, so that nothing is evicted; places for tags that do not collide for these three, and a hash
    // that may differ with each store is tried until they do not.
    let store = separate();
    let mut model = Model::default();
    let mut now = Instant::now();
    for (step, what) in steps.into_iter().enumerate() {
        // Removals happen at their step, and what is made from then on is newer.
        let step = step + 1;
        match what {
            Step::Advance(millis) => now += Duration::from_millis(millis),
            Step::Remove(key) => {
                prop_assert_eq!(store.remove(&key), model.entries.remove(&key).is_some());
                model.removed_keys.insert(key, step);
            }
            Step::RemoveTag(tag) => {
                store.remove_tag(TAGS[usize::from(tag)]);
                model.removed_tags.insert(tag, step);
            }
            Step::Clear => {
                store.clear();
                model.entries.clear();
                model.cleared = step;
            }
            Step::Get(key) => get(&store, &mut model, key, now, step)?,
            Step::Insert(key, weight, fresh, stale, tags) => {
                put(&store, &mut model, key, (weight, fresh, stale, tags), now, None, step)?;
            }
            Step::Fill(key, weight, fresh, stale, tags) => {
                let token = model.tokens.get(&key).copied();
                put(&store, &mut model, key, (weight, fresh, stale, tags), now, token, step)?;
            }
        }
        let stats = store.stats();
        prop_assert_eq!(stats.entries, model.entries.len());
        prop_assert_eq!(stats.weight, model.entries.values().map(|it| it.weight).sum::<u64>());
        prop_assert_eq!(stats.evictions, 0);
    }
    Ok(())
}

fn get(
    store: &MemoryStore<u8, (u64, u64)>,
    model: &mut Model,
    key: u8,
    now: Instant,
    step: usize,
) -> Result<(), TestCaseError> {
    let lookup = store.get(&key, now);
    if let Some(token) = lookup.token() {
        model.tokens.insert(key, (token, step));
    }
    let Some(entry) = model.entries.get(&key) else {
        prop_assert!(matches!(lookup, Lookup::Miss(_)));
        return Ok(());
    };
    let age = now.duration_since(entry.created).as_millis() as u64;
    if model.tag_dead(entry.tags, entry.as_of) || age >= entry.fresh + entry.stale {
        prop_assert!(matches!(lookup, Lookup::Miss(_)));
        model.entries.remove(&key);
        return Ok(());
    }
    match lookup {
        Lookup::Fresh(found) => {
            prop_assert!(age < entry.fresh);
            prop_assert_eq!(found.value().0, entry.value);
        }
        Lookup::Stale(found, _) => {
            prop_assert!(age >= entry.fresh);
            prop_assert_eq!(found.value().0, entry.value);
        }
        other => prop_assert!(false, "{:?} instead of {}", other, entry.value),
    }
    Ok(())
}

fn put(
    store: &MemoryStore<u8, (u64, u64)>,
    model: &mut Model,
    key: u8,
    (weight, fresh, stale, tags): (u64, u64, u64, u8),
    now: Instant,
    token: Option<(FillToken, usize)>,
    step: usize,
) -> Result<(), TestCaseError> {
    let mut entry = Entry::new((step as u64, weight), now)
        .fresh_for(Duration::from_millis(fresh))
        .stale_for(Duration::from_millis(stale));
    for tag in (0_u8..3).filter(|tag| tags & (1 << tag) != 0) {
        entry = entry.tag(TAGS[usize::from(tag)]);
    }
    let (stored, as_of) = match token {
        Some((token, as_of)) => (store.fill(key, entry, token), as_of),
        None => (store.insert(key, entry), step),
    };
    let weight = weight.max(1);
    if model.outdated(key, tags, as_of) {
        prop_assert_eq!(stored, Stored::Outdated);
    } else if fresh + stale == 0 {
        prop_assert_eq!(stored, Stored::NoLifetime);
        model.entries.remove(&key);
    } else if weight > LARGEST {
        prop_assert_eq!(stored, Stored::TooHeavy { weight, largest: LARGEST });
        model.entries.remove(&key);
    } else {
        prop_assert_eq!(stored, Stored::Kept);
        let value = step as u64;
        model.entries.insert(key, Modelled { value, weight, created: now, fresh, stale, tags, as_of });
    }
    Ok(())
}

/// A store in which neither the three tags nor the six keys share places.
fn separate() -> MemoryStore<u8, (u64, u64)> {
    loop {
        let store =
            MemoryStore::weighing(1_000, |_: &u8, value: &(u64, u64)| value.1).overhead(0).largest(LARGEST).build();
        let entry = || Entry::new((0, 1), Instant::now()).fresh_for(Duration::MAX);
        let tags_apart = (0..3).all(|tag| {
            let token = store.token();
            store.remove_tag(TAGS[tag]);
            (0..3).all(|other| other == tag || store.fill(0, entry().tag(TAGS[other]), token).is_kept())
        });
        let keys_apart = (0..KEYS).all(|key| {
            let token = store.token();
            store.remove(&key);
            (0..KEYS).all(|other| other == key || store.fill(other, entry(), token).is_kept())
        });
        if tags_apart && keys_apart {
            store.clear();
            return store;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_store_agrees_with_a_plain_map(steps in steps()) {
        check(steps)?;
    }

    #[test]
    fn weights_add_up_under_pressure(
        capacity in 0_u64..200,
        largest in 0_u64..200,
        puts in prop::collection::vec((0_u16..60, 0_u64..60), 1..300),
    ) {
        let store = MemoryStore::weighing(capacity, |_: &u16, value: &u64| *value).overhead(0).largest(largest).build();
        let largest = largest.min(capacity);
        let now = Instant::now();
        let mut held = HashMap::new();
        for (key, weight) in puts {
            let stored = store.insert(key, Entry::new(weight, now).fresh_for(Duration::from_secs(1)));
            prop_assert_eq!(stored.is_kept(), weight.max(1) <= largest);
            if stored.is_kept() { held.insert(key, weight); } else { held.remove(&key); }
            prop_assert!(store.stats().weight <= capacity);
            // The newest stays, whatever had to go for it.
            prop_assert_eq!(store.get(&key, now).found().map(|it| it.into_value()), held.get(&key).copied());
            held.retain(|key, weight| store.get(key, now).found().is_some_and(|it| it.into_value() == *weight));
            prop_assert_eq!(store.stats().weight, held.values().map(|it| it.max(&1)).sum::<u64>());
            prop_assert_eq!(store.stats().entries, held.len());
        }
    }
}
