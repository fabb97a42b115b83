//! Offers calls when they are due, whether or not the calls before them have been answered.

use std::{pin::pin, time::Duration};

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
                if let Ok(Finished { id, latency, done }) = finished {
                    progress.done(done.result.is_ok());
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
    let done = way.call(arrival.id, arrival.item, due).await;
    Finished { id: arrival.id, latency: due.elapsed(), done }
}
