//! 1300 calls a second on a service that can do 1000: what a queue is good for.
//!
//! Ten at a time, 10 ms each (exponential), Poisson arrivals; a client leaves its place when it has waited too long,
//! and a call that was started for a client that has left is wasted work.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::Duration,
};

use super::*;

const SECONDS: u64 = 16;
const SERVICE_TIME: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrives,
    Leaves(u64),
    Done(u64),
}

/// Answers in time and answers too late, a second.
struct Burst {
    good: f64,
    wasted: f64,
}

struct Simulation {
    rng: fastrand::Rng,
    now: Instant,
    events: BinaryHeap<Reverse<(Instant, Event)>>,
    queue: Queue<u64>,
    places: BTreeMap<u64, Key>,
    running: BTreeMap<u64, Instant>,
    arrived: BTreeMap<u64, Instant>,
}

impl Simulation {
    fn after(&mut self, mean: Duration, event: Event) {
        let wait = mean.mul_f64(-(1.0 - self.rng.f64()).ln());
        self.events.push(Reverse((self.now + wait, event)));
    }

    fn start(&mut self, id: u64) {
        self.running.insert(id, self.now);
        self.after(SERVICE_TIME, Event::Done(id));
    }

    fn next(&mut self, arrivals: u64) {
        while self.running.len() < 10 {
            let now = self.now;
            let Some((verdict, id)) = self.queue.pop(|| (now, arrivals)) else {
                return;
            };
            let key = self.places.remove(&id).expect("it has waited");
            self.queue.remove(key);
            if verdict == Verdict::Granted {
                self.start(id);
            }
        }
    }
}

fn burst(rules: Option<TwoLane>, patience: Duration, stops: bool) -> Burst {
    let start = Instant::now();
    let mut sim = Simulation {
        rng: fastrand::Rng::with_seed(7),
        now: start,
        events: BinaryHeap::new(),
        queue: Queue::new(),
        places: BTreeMap::new(),
        running: BTreeMap::new(),
        arrived: BTreeMap::new(),
    };
    sim.queue.two_lane = rules;
    sim.events.push(Reverse((start, Event::Arrives)));
    let (mut arrivals, mut good, mut wasted) = (0, 0_u32, 0_u32);
    while let Some(Reverse((at, event))) = sim.events.pop()
        && at < start + Duration::from_secs(SECONDS)
    {
        sim.now = at;
        match event {
            Event::Arrives => {
                arrivals += 1;
                sim.arrived.insert(arrivals, at);
                sim.events.push(Reverse((at + patience, Event::Leaves(arrivals))));
                sim.after(Duration::from_secs(1) / 1300, Event::Arrives);
                if sim.running.len() < 10 {
                    sim.start(arrivals);
                } else {
                    let key = sim.queue.push(arrivals, at);
                    sim.places.insert(arrivals, key);
                }
            }
            Event::Leaves(id) => {
                if let Some(key) = sim.places.remove(&id) {
                    sim.queue.remove(key);
                } else if stops {
                    sim.running.remove(&id);
                    sim.next(arrivals);
                }
            }
            Event::Done(id) => {
                if sim.running.remove(&id).is_some() {
                    let in_time = at - sim.arrived[&id] <= patience;
                    *(if in_time { &mut good } else { &mut wasted }) += 1;
                    sim.next(arrivals);
                }
            }
        }
    }
    let per_second = |count: u32| f64::from(count) / SECONDS as f64;
    Burst { good: per_second(good), wasted: per_second(wasted) }
}

#[test]
fn two_lanes_answer_in_time_what_first_in_first_out_answers_too_late() {
    for (millis, at_least) in [(50, 980.0), (200, 990.0), (500, 990.0)] {
        let patience = Duration::from_millis(millis);
        let two_lane = burst(Some(TwoLane::new(SERVICE_TIME)), patience, false);
        let fifo = burst(None, patience, false);
        assert!(two_lane.good >= at_least, "{millis} ms: {} a second in time", two_lane.good);
        assert!(two_lane.wasted <= 13.0, "{millis} ms: {} a second wasted", two_lane.wasted);
        assert!(fifo.good < two_lane.good, "{millis} ms: first in, first out does {}", fifo.good);
    }
}

#[test]
fn where_dropping_a_call_stops_its_work_nothing_is_lost() {
    let burst = burst(Some(TwoLane::new(SERVICE_TIME)), Duration::from_millis(50), true);
    assert!(burst.good >= 990.0, "{} a second in time", burst.good);
    assert!(burst.wasted == 0.0);
}
