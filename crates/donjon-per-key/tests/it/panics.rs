//! Foreign code that panics leaves the keys whole.

use std::{
    hash::{Hash, Hasher},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use donjon_core::Fresh;
use donjon_per_key::PerKeyLayer;
use tokio_test::assert_ready_ok;
use tower::{Layer, Service as _, ServiceExt};

use crate::support::{Counted, over};

struct Fragile {
    panics: Arc<AtomicBool>,
    counted: Counted,
}

impl<S> Layer<S> for Fragile {
    type Service = S;
    fn layer(&self, inner: S) -> S {
        inner
    }
}

impl Fresh for Fragile {
    fn fresh(&self) -> Self {
        assert!(!self.panics.load(Ordering::SeqCst), "planned");
        Self { panics: Arc::clone(&self.panics), counted: self.counted.fresh() }
    }
    fn bypass(&self) -> Self {
        self.fresh()
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_a_state_is_made_takes_no_room() {
    let (alive, panics) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let fragile = Fragile { panics: Arc::clone(&panics), counted: Counted::new(&alive) };
    let layer = PerKeyLayer::new(|n: &u64| Some(*n), fragile).max_keys(1);
    let (service, _) = over(&layer);
    panics.store(true, Ordering::SeqCst);
    for n in 0..5 {
        let mut service = service.clone();
        tokio_test::task::spawn(()).enter(|cx, _| assert_ready_ok!(service.poll_ready(cx)));
        assert!(catch_unwind(AssertUnwindSafe(|| service.call(n))).is_err());
    }
    panics.store(false, Ordering::SeqCst);
    service.oneshot(7).await.unwrap();
    assert_eq!(layer.handle().keys(), [7]);
}

/// Compares with a panic if told so. All hashes are the same.
#[derive(Clone, Debug)]
struct Awkward(u64, Arc<AtomicBool>);

impl PartialEq for Awkward {
    fn eq(&self, other: &Self) -> bool {
        assert!(!self.1.load(Ordering::SeqCst), "planned");
        self.0 == other.0
    }
}

impl Eq for Awkward {}

impl Hash for Awkward {
    fn hash<H: Hasher>(&self, state: &mut H) {
        0.hash(state);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_keys_are_compared_leaves_them_as_they_were() {
    let alive = Arc::new(AtomicUsize::new(0));
    let panics = Arc::new(AtomicBool::new(false));
    let key = {
        let panics = Arc::clone(&panics);
        move |n: &u64| Some(Awkward(*n, Arc::clone(&panics)))
    };
    let layer = PerKeyLayer::new(key, Counted::new(&alive)).max_keys(3);
    let (service, _) = over(&layer);
    // All in one place.
    for n in [1, 2, 3, 1, 4] {
        service.clone().oneshot(n).await.unwrap();
    }
    panics.store(true, Ordering::SeqCst);
    let mut other = service.clone();
    tokio_test::task::spawn(()).enter(|cx, _| assert_ready_ok!(other.poll_ready(cx)));
    assert!(catch_unwind(AssertUnwindSafe(|| other.call(1))).is_err());
    panics.store(false, Ordering::SeqCst);
    let mut keys: Vec<_> = layer.handle().keys().into_iter().map(|key| key.0).collect();
    keys.sort_unstable();
    assert_eq!(keys, [1, 3, 4]);
    for n in [1, 2, 3, 4] {
        service.clone().oneshot(n).await.unwrap();
    }
    assert_eq!(layer.handle().stats().keys, 3);
}
