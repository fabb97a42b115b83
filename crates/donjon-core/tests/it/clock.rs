use std::time::{Duration, SystemTime};

use donjon_core::{Clock, SystemClock, TokioClock};
use tokio::time::advance;

#[tokio::test(start_paused = true)]
async fn the_tokio_clock_moves_with_the_runtime() {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let clock = TokioClock::starting_at(start);
    assert_eq!(clock.now(), start);
    advance(Duration::from_secs(90)).await;
    assert_eq!(clock.now(), start + Duration::from_secs(90));
    let copy = clock;
    advance(Duration::from_secs(10)).await;
    assert_eq!(copy.now(), start + Duration::from_secs(100));
    assert_eq!(copy.now(), clock.now());
}

#[test]
fn the_system_clock_is_the_machine_s() {
    let clock: &dyn Clock = &SystemClock;
    assert!(clock.now() > SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000));
}
