use std::{future::Future, time::Duration};

use tokio::{
    runtime::Builder,
    time::{Instant, sleep_until},
};

use crate::world::Dice;

/// Runs one scene of one policy: on this thread, on a clock that goes on when nobody has anything to do.
///
/// What layers draw for themselves (a peer's jitter, the seeds of hash maps aside) comes from this thread's generator,
/// which is seeded here.
///
/// # Panics
///
/// If the system has no room for a runtime.
pub fn play<F: Future>(seed: u64, scene: impl FnOnce() -> F) -> F::Output {
    fastrand::seed(seed);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime of one thread without I/O needs nothing").block_on(async { scene().await })
}

/// Calls `arrive` with 0, 1, 2, … at random times (a Poisson process) of this rate a second for so many seconds.
pub async fn arrivals(rate: f64, seconds: f64, dice: &mut Dice, mut arrive: impl FnMut(u64)) {
    let start = Instant::now();
    let mut at = dice.exponential(1.0 / rate);
    let mut number = 0;
    while at < seconds {
        sleep_until(start + Duration::from_secs_f64(at)).await;
        arrive(number);
        number += 1;
        at += dice.exponential(1.0 / rate);
    }
    sleep_until(start + Duration::from_secs_f64(seconds)).await;
}
