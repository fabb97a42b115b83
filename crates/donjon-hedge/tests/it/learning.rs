//! The learned delay over the real layer.

use donjon_budget::Budget;
use donjon_hedge::{Delay, HedgeLayer};
use tower::{Layer, ServiceExt};

use crate::support::{Reply, Upstream, millis};

/// A pseudo-random share from 0 to 1 for a call of this number.
fn share(n: usize) -> f64 {
    let mut x = (n as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[tokio::test(start_paused = true)]
async fn it_settles_where_two_percent_are_late_and_follows_a_slow_down() {
    let slow = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let is_slow = std::sync::Arc::clone(&slow);
    // 20 to 120 ms, ten times as long when it is slow; three calls in a thousand hang for five seconds.
    let upstream = Upstream::new(move |n| {
        let factor = if is_slow.load(std::sync::atomic::Ordering::Relaxed) { 10.0 } else { 1.0 };
        if share(n) < 0.003 {
            return Reply::OkAfter(5_000);
        }
        Reply::OkAfter((factor * (20.0 + 100.0 * share(n + 1_000_000))) as u64)
    });
    let layer = HedgeLayer::default().delay(Delay::learned_from(millis(1000))).budget(&Budget::new());
    let service = layer.layer(upstream.clone());
    let run = |calls: usize| {
        let service = service.clone();
        async move {
            for _ in 0..calls {
                service.clone().oneshot(1).await.unwrap();
            }
        }
    };
    run(8_000).await;
    let delay = layer.handle().stats().delay.unwrap();
    assert!((105..=130).contains(&delay.as_millis()), "{delay:?}");

    let before = layer.handle().stats().hedges;
    run(5_000).await;
    let hedges = layer.handle().stats().hedges - before;
    assert!((60..=100).contains(&hedges), "{hedges} of 5,000, of which 15 are needed");

    slow.store(true, std::sync::atomic::Ordering::Relaxed);
    run(2_000).await;
    let delay = layer.handle().stats().delay.unwrap();
    assert!((900..=1400).contains(&delay.as_millis()), "{delay:?}");
}

#[tokio::test(start_paused = true)]
async fn calls_that_cannot_be_hedged_teach_nothing() {
    let upstream = Upstream::new(|_| Reply::OkAfter(1));
    let layer = HedgeLayer::default();
    layer.handle().set_max_hedges(0).unwrap();
    let service = layer.layer(upstream);
    for _ in 0..1_000 {
        service.clone().oneshot(1).await.unwrap();
    }
    assert_eq!(layer.handle().stats().delay, Some(millis(100)));
}

#[tokio::test(start_paused = true)]
async fn failing_at_once_does_not_make_it_impatient() {
    let upstream = Upstream::new(|_| Reply::FailAfter(0));
    let layer = HedgeLayer::default();
    let service = layer.layer(upstream);
    for _ in 0..2_000 {
        service.clone().oneshot(1).await.unwrap_err();
    }
    assert_eq!(layer.handle().stats().delay, Some(millis(100)));
}
