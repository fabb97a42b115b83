use std::collections::{HashSet, VecDeque};

use donjon_core::Ratio;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const FAILURE: Verdict = Verdict::Failure { retry_after: None };

fn settings(probes: u32) -> Settings {
    Settings {
        open_for: SECOND,
        max_open: 2 * SECOND,
        jitter: Ratio::ZERO,
        probes,
        lease: 2 * SECOND,
        ..Settings::new()
    }
}

/// A gate and its surroundings: the time, and the calls that it has let in and that have not ended.
#[derive(Clone, Debug)]
struct World {
    gate: Gate,
    now: Instant,
    /// Epoch and number of each probe whose guard is somewhere, late ones included.
    held: Vec<(u32, u32)>,
}

/// What two worlds have in common that cannot be told apart by whatever comes: times are relative, and whatever is
/// further away than all that they are compared with is one.
type Key = (Kind, Option<i64>, Vec<i64>, u32, u32, Duration, Option<i64>, Vec<Option<usize>>);

#[derive(Clone, Copy, Debug)]
enum Event {
    Second,
    Ask,
    /// The call of this place ends.
    End(usize, Verdict),
    /// Its guard is never heard of again, and not even dropped.
    Leak(usize),
    /// A call of the closed epoch, or of the one before it, has failed too often.
    Trip(u32),
    Command(Command),
}

impl World {
    const MOST_HELD: usize = 3;

    fn new(probes: u32) -> Self {
        Self { gate: Gate::new(settings(probes)), now: Instant::now(), held: Vec::new() }
    }

    fn events(&self) -> Vec<Event> {
        let mut events = vec![Event::Second, Event::Trip(0), Event::Trip(1)];
        if self.held.len() < Self::MOST_HELD {
            events.push(Event::Ask);
        }
        for place in 0..self.held.len() {
            let ends = [Verdict::Success, FAILURE, Verdict::Nothing];
            events.extend(ends.map(|verdict| Event::End(place, verdict)));
            events.push(Event::Leak(place));
        }
        let commands = [Command::ForceOpen, Command::ForceClosed, Command::Disable, Command::Reset];
        events.extend(commands.map(Event::Command));
        events
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Second => self.now += SECOND,
            Event::Ask => {
                if let Asked::Probe(id) = self.gate.ask(self.now, 0) {
                    self.held.push((self.gate.epoch, id));
                }
            }
            Event::End(place, verdict) => {
                let (epoch, id) = self.held.remove(place);
                let before = self.gate.clone();
                let counted = self.gate.judge(epoch, id, verdict, self.now, 0);
                if epoch != before.epoch {
                    assert!(!counted && self.gate.mode == before.mode, "a late result changed something");
                }
            }
            Event::Leak(place) => drop(self.held.remove(place)),
            Event::Trip(older) => self.gate.trip(self.gate.epoch.wrapping_sub(older), self.now, None, 0),
            Event::Command(command) => self.gate.command(command),
        }
    }

    fn key(&self) -> Key {
        let relative = |at: Instant| {
            let ahead = at.saturating_duration_since(self.now).as_secs() as i64;
            let behind = self.now.saturating_duration_since(at).as_secs() as i64;
            (ahead - behind).max(-5)
        };
        let gate = &self.gate;
        let (until, probes, successes) = match &gate.mode {
            Mode::Open { until } => (Some(relative(*until)), vec![], 0),
            Mode::HalfOpen { probes, successes } => (None, probes.clone(), *successes),
            _ => (None, vec![], 0),
        };
        let mut held: Vec<_> = self
            .held
            .iter()
            .map(|(epoch, id)| {
                let current = *epoch == gate.epoch;
                probes.iter().position(|probe| current && probe.id == *id)
            })
            .collect();
        held.sort_unstable();
        let leases = probes.iter().map(|probe| relative(probe.lease)).collect();
        let closed = gate.closed.map(relative);
        (gate.kind(), until, leases, successes, gate.streak.min(3), gate.opening, closed, held)
    }

    /// What holds in every state.
    fn check(&self, probes: u32) {
        if let Mode::HalfOpen { probes: out, successes } = &self.gate.mode {
            assert!(out.len() as u32 + successes <= probes, "too many probes: {self:?}");
        }
        if !matches!(self.gate.mode, Mode::ForcedOpen) {
            self.recovers(probes, "all guards are lost", |_| {});
            self.recovers(probes, "all guards are dropped", |world| {
                for (epoch, id) in std::mem::take(&mut world.held) {
                    world.gate.judge(epoch, id, Verdict::Nothing, world.now, 0);
                }
                let mut asked = world.gate.clone();
                let admitted = !matches!(asked.ask(world.now, 0), Asked::Refused(_));
                let open = matches!(asked.mode, Mode::Open { .. });
                assert!(admitted || open || leaked(&asked), "no guard is left, and no probe is let in: {world:?}");
            });
        }
    }

    /// Whatever has been, once the service is well the gate is closed after a lease and the longest opening, if only
    /// somebody calls.
    fn recovers(&self, probes: u32, how: &str, leave: impl FnOnce(&mut Self)) {
        let mut world = self.clone();
        leave(&mut world);
        let most = settings(probes).lease + 2 * SECOND;
        let end = world.now + most;
        loop {
            // Some look and go away, which takes nothing.
            let look = world.gate.look(world.now, 0);
            let mut asked = 0;
            while let Asked::Probe(id) = world.gate.ask(world.now, 0) {
                world.gate.judge(world.gate.epoch, id, Verdict::Success, world.now, 0);
                asked += 1;
            }
            assert_eq!(
                look == Look::Admits,
                asked > 0 || !matches!(world.gate.mode, Mode::Open { .. } | Mode::HalfOpen { .. })
            );
            if matches!(world.gate.mode, Mode::Closed | Mode::ForcedClosed | Mode::Disabled) {
                return;
            }
            assert!(world.now < end, "{how}, and after {most:?} it is still {:?}: from {self:?}", world.gate.mode);
            world.now += SECOND;
        }
    }
}

/// A probe is out whose guard is lost.
fn leaked(gate: &Gate) -> bool {
    matches!(&gate.mode, Mode::HalfOpen { probes, .. } if !probes.is_empty())
}

/// Every state that any sequence of events leads to.
fn search(probes: u32) -> usize {
    let first = World::new(probes);
    let mut seen = HashSet::from([first.key()]);
    let mut queue = VecDeque::from([first]);
    while let Some(world) = queue.pop_front() {
        world.check(probes);
        for event in world.events() {
            let mut next = world.clone();
            next.step(event);
            if seen.insert(next.key()) {
                queue.push_back(next);
            }
        }
    }
    seen.len()
}

#[test]
fn whatever_is_dropped_or_lost_it_does_not_stay_half_open() {
    let states = [1, 2, 3].map(search);
    assert!(states[0] > 100 && states[2] > 1000, "all states were to be searched: {states:?}");
}

fn opened(probes: u32) -> (Gate, Instant) {
    let (mut gate, now) = (Gate::new(settings(probes)), Instant::now());
    gate.trip(0, now, None, 0);
    assert_eq!(gate.kind(), Kind::Open);
    (gate, now)
}

fn until(gate: &Gate, now: Instant) -> Duration {
    gate.until().expect("it is open") - now
}

#[test]
fn an_opening_that_follows_a_failed_probe_is_twice_as_long() {
    let (mut gate, mut now) = opened(1);
    let mut openings = vec![until(&gate, now)];
    for _ in 0..3 {
        now = gate.until().expect("it is open");
        let Asked::Probe(id) = gate.ask(now, 0) else { panic!("its time is over") };
        gate.judge(gate.epoch(), id, FAILURE, now, 0);
        openings.push(until(&gate, now));
    }
    assert_eq!(openings, [1, 2, 2, 2].map(|seconds| seconds * SECOND));
}

#[test]
fn a_recovery_starts_openings_anew_unless_it_was_short() {
    for (healthy, expected) in [(SECOND / 2, 2 * SECOND), (SECOND, SECOND)] {
        let (mut gate, now) = opened(1);
        let now = now + SECOND;
        let Asked::Probe(id) = gate.ask(now, 0) else { panic!("its time is over") };
        gate.judge(gate.epoch(), id, Verdict::Success, now, 0);
        assert_eq!(gate.kind(), Kind::Closed);
        gate.trip(gate.epoch(), now + healthy, None, 0);
        assert_eq!(until(&gate, now + healthy), expected, "after {healthy:?}");
    }
}

#[test]
fn a_retry_after_extends_the_opening() {
    let mut gate = Gate::new(settings(1));
    let now = Instant::now();
    gate.trip(0, now, Some(30 * SECOND), 0);
    assert_eq!(until(&gate, now), 30 * SECOND);
    let now = now + 30 * SECOND;
    let Asked::Probe(id) = gate.ask(now, 0) else { panic!("its time is over") };
    gate.judge(gate.epoch(), id, Verdict::Failure { retry_after: Some(40 * SECOND) }, now, 0);
    assert_eq!(until(&gate, now), 40 * SECOND);
}

#[test]
fn a_probe_that_hangs_has_failed_when_its_lease_was_over() {
    let (mut gate, now) = opened(2);
    let Asked::Probe(hangs) = gate.ask(now + SECOND, 0) else { panic!("its time is over") };
    let epoch = gate.epoch();
    // Nobody has come for a while; the opening of 2 s began when the lease of 2 s was over.
    assert_eq!(gate.ask(now + 4 * SECOND, 0), Asked::Refused(Some(now + 5 * SECOND)));
    assert!(!gate.judge(epoch, hangs, Verdict::Success, now + 4 * SECOND, 0), "it comes too late");
    assert!(matches!(gate.ask(now + 5 * SECOND, 0), Asked::Probe(_)));
    assert_eq!(gate.counters.leases_expired, 1);
}

#[test]
fn without_probes_it_stays_open_until_the_operator_speaks() {
    let (mut gate, now) = opened(0);
    let later = now + 1000 * SECOND;
    assert_eq!(gate.ask(later, 0), Asked::Refused(None));
    assert_eq!((gate.look(later, 0), gate.until()), (Look::WhenTold, None));
    gate.command(Command::Reset);
    assert_eq!(gate.ask(later, 0), Asked::Closed);
}

#[test]
fn the_longest_times_mean_something() {
    let settings = Settings { open_for: Duration::MAX, lease: Duration::MAX, ..settings(1) };
    let (mut gate, now) = (Gate::new(settings), Instant::now());
    gate.trip(0, now, None, 0);
    assert!(until(&gate, now) > 10_000 * 86400 * SECOND);
}
