//! Offers calls when they are due, whether or not the calls before them have been answered.

use std::{collections::HashMap, pin::pin, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    arrivals::{Arrival, Arrivals},
    interrupt::Interrupt,
    progress::Progress,
    tally::Tally,
    way::{Done, Way},
};

/// A call that has its result.
struct Finished {
    id: u64,
    item: usize,
    due: Instant,
    latency: Duration,
    done: Done,
}

/// Offers the arrivals, counted from `start`, and waits for every result; or until it is interrupted: what is then
/// still running is given up, and fails as `interrupted`.
///
/// A latency starts when a call is due, not when it is sent: a generator that falls behind is seen in the figures.
pub(crate) async fn offer<W: Way>(
    way: &W,
    start: Instant,
    arrivals: Arrivals,
    progress: &Progress,
    interrupt: &mut Interrupt,
) -> Tally {
    let mut tally = Tally::new();
    let mut running = JoinSet::new();
    let mut arrivals = arrivals.peekable();
    let mut timer = pin!(sleep_until(start));
    // When each item was first answered.
    let mut known: HashMap<usize, Instant> = HashMap::new();
    loop {
        let due = arrivals.peek().map(|arrival| start + arrival.at);
        if due.is_none() && running.is_empty() {
            break;
        }
        if let Some(due) = due
            && timer.deadline() != due
        {
            timer.as_mut().reset(due);
        }
        tokio::select! {
            () = interrupt.asked() => break,
            () = &mut timer, if due.is_some() => {
                let now = Instant::now();
                while let Some(arrival) = arrivals.next_if(|arrival| start + arrival.at <= now) {
                    tally.offered();
                    running.spawn(one(way.clone(), start + arrival.at, arrival));
                }
            }
            Some(finished) = running.join_next() => {
                // A call that panicked has no result: it shows as lost.
                if let Ok(Finished { id, item, due, latency, done }) = finished {
                    progress.done(done.result.is_ok());
                    if done.result.is_ok() {
                        known.entry(item).or_insert_with(Instant::now);
                    } else if known.get(&item).is_some_and(|answered| *answered < due) {
                        tally.was_known();
                    }
                    tally.done(id, latency, done);
                }
            }
        }
    }
    if interrupt.is_asked() {
        running.shutdown().await;
        tally.interrupt();
    }
    tally
}

async fn one<W: Way>(way: W, due: Instant, arrival: Arrival) -> Finished {
    let Arrival { id, item, .. } = arrival;
    let done = way.call(id, item, due).await;
    Finished { id, item, due, latency: due.elapsed(), done }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::offer;
    use crate::{
        arrivals::Arrivals,
        interrupt::Interrupt,
        progress::Progress,
        tally::Tally,
        way::{Done, Way},
    };

    /// Answers after so long; call 3 panics.
    #[derive(Clone)]
    struct Slow(Duration);

    impl Way for Slow {
        async fn call(&self, id: u64, _: usize, _: Instant) -> Done {
            assert_ne!(id, 3, "this one panics");
            sleep(self.0).await;
            Done { result: Ok(()), attempts: 1 }
        }
    }

    async fn load(calls: u64, latency: Duration, interrupt: &mut Interrupt) -> Tally {
        let progress = Progress::new("test", Some(calls), None);
        offer(&Slow(latency), Instant::now(), Arrivals::new(calls, 100.0, 1), &progress, interrupt).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_delays_no_arrival_and_a_call_that_panics_is_lost() {
        let began = Instant::now();
        let (_ask, mut interrupt) = Interrupt::by_hand();
        let tally = load(100, Duration::from_secs(60), &mut interrupt).await;
        assert_eq!((tally.calls(), tally.answered(), tally.failed(), tally.lost()), (100, 99, 0, 1));
        assert!(began.elapsed() < Duration::from_secs(62), "100 calls of a minute, all within a second");
        assert!((60_000.0..60_002.0).contains(&tally.max_ms()), "{}", tally.max_ms());
    }

    #[tokio::test(start_paused = true)]
    async fn an_interrupt_ends_what_runs_and_what_was_to_come() {
        let (ask, mut interrupt) = Interrupt::by_hand();
        tokio::spawn(async move {
            sleep(Duration::from_millis(300)).await;
            ask.send_replace(true);
            std::future::pending::<()>().await;
        });
        let began = Instant::now();
        let tally = load(1_000, Duration::from_secs(60), &mut interrupt).await;
        assert!(began.elapsed() < Duration::from_secs(1));
        assert!((10..60).contains(&tally.calls()), "{}", tally.calls());
        assert_eq!((tally.answered(), tally.failed() + tally.lost()), (0, tally.calls()));
    }
}
