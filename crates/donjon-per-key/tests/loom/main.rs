//! What must hold in every interleaving of calls of several keys: a key has one state while it is in use, the bound
//! holds, and whoever is free makes room.
//!
//! The keys are compiled in here with loom's primitives, which `--cfg donjon_loom` chooses:
//! `RUSTFLAGS="--cfg donjon_loom" cargo test --profile loom -p donjon-per-key --test loom`.

#![cfg(donjon_loom)]
#![allow(dead_code, unreachable_pub, reason = "parts of a library: the models do not need all of it")]

#[path = "../../src/keys.rs"]
mod keys;
#[path = "../../src/lru.rs"]
mod lru;
#[path = "../../src/sync.rs"]
mod sync;

use std::time::Duration;

use donjon_core::Fresh;
use loom::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst},
    },
    thread,
};

use self::keys::Keys;

/// How many calls there are of each key, over all of its states; what a response keeps.
struct World {
    running: [AtomicUsize; 2],
    alive: AtomicUsize,
}

/// A limit of one, in a world where two states of one key would be seen.
struct State {
    world: Arc<World>,
    permit: AtomicUsize,
    /// What a response holds beyond the call. Without an ordering of its own: the lease has one.
    held: AtomicUsize,
}

impl State {
    fn new(world: &Arc<World>) -> Self {
        world.alive.fetch_add(1, SeqCst);
        Self { world: Arc::clone(world), permit: AtomicUsize::new(0), held: AtomicUsize::new(0) }
    }

    /// A call of this key, if nobody has the permit of this state.
    fn call(&self, key: usize) {
        if self.permit.swap(1, SeqCst) == 0 {
            assert_eq!(self.world.running[key].fetch_add(1, SeqCst), 0, "two states of key {key} are in use");
            self.world.running[key].fetch_sub(1, SeqCst);
            self.permit.store(0, SeqCst);
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.world.alive.fetch_sub(1, SeqCst);
    }
}

impl Fresh for State {
    fn fresh(&self) -> Self {
        Self::new(&self.world)
    }
    fn bypass(&self) -> Self {
        self.fresh()
    }
    fn is_held(&self) -> bool {
        self.held.load(Relaxed) > 0
    }
}

fn world(max: usize) -> (Arc<World>, Arc<Keys<usize, State>>) {
    let world = World { running: [AtomicUsize::new(0), AtomicUsize::new(0)], alive: AtomicUsize::new(0) };
    let keys = Arc::new(Keys::new(max, Duration::MAX));
    // The shards are made before there are threads: std does that, and loom knows nothing of it.
    assert_eq!(keys.figures().0, 0);
    (Arc::new(world), keys)
}

/// Each of the threads makes calls of these keys.
fn calls(max: usize, threads: &'static [&'static [usize]]) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let (world, keys) = world(max);
        let threads: Vec<_> = threads
            .iter()
            .map(|own| {
                let (world, keys) = (Arc::clone(&world), Arc::clone(&keys));
                thread::spawn(move || {
                    for &key in *own {
                        if let Some(state) = keys.lease(key, || State::new(&world)) {
                            state.call(key);
                        }
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let (len, busy, counts) = keys.figures();
        assert!(len >= 1 && len <= max && busy == 0, "{len} keys, {busy} in use");
        assert_eq!(world.alive.load(SeqCst), len, "who has left is gone");
        assert_eq!(counts.created, counts.evicted + len as u64);
        // No place was lost: everybody finds room.
        for key in 0..2 {
            assert!(keys.lease(key, || State::new(&world)).is_some());
        }
    });
}

#[test]
fn two_calls_of_one_key_have_one_state() {
    calls(1, &[&[0], &[0]]);
}

#[test]
fn two_keys_in_the_room_of_one_never_have_two_states_each() {
    calls(1, &[&[0, 1], &[0]]);
    calls(1, &[&[0, 1], &[1, 0]]);
}

#[test]
fn three_callers_in_the_room_of_one() {
    calls(1, &[&[0], &[1], &[0]]);
}

#[test]
fn what_a_response_holds_is_seen_by_whoever_wants_the_room() {
    loom::model(|| {
        let (world, keys) = world(1);
        let caller = thread::spawn({
            let (world, keys) = (Arc::clone(&world), Arc::clone(&keys));
            move || {
                if let Some(state) = keys.lease(0, || State::new(&world)) {
                    // The response takes the permit along, and the call ends.
                    state.held.store(1, Relaxed);
                    drop(state);
                    assert!(keys.get(&0).is_some(), "its state was forgotten");
                }
            }
        });
        let other = keys.lease(1, || State::new(&world));
        assert!(other.is_none_or(|state| state.held.load(Relaxed) == 0));
        caller.join().unwrap();
        let (len, _, _) = keys.figures();
        assert_eq!(len, 1);
    });
}

#[test]
fn a_key_is_forgotten_or_found_in_use() {
    loom::model(|| {
        let (world, keys) = world(1);
        drop(keys.lease(0, || State::new(&world)));
        let caller = thread::spawn({
            let (world, keys) = (Arc::clone(&world), Arc::clone(&keys));
            move || {
                if let Some(state) = keys.lease(0, || State::new(&world)) {
                    state.call(0);
                }
            }
        });
        keys.remove(&0);
        if let Some(state) = keys.lease(0, || State::new(&world)) {
            state.call(0);
        }
        caller.join().unwrap();
        assert_eq!(world.alive.load(SeqCst), keys.figures().0);
    });
}
