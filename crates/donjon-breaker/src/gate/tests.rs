use std::collections::{HashMap, HashSet, VecDeque};

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
type Key = (Kind, Option<i64>, Vec<i64>, (u32, Silent), u32, Duration, Option<i64>, Vec<Option<usize>>);
type Silent = Option<(u32, i64)>;

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
            let ends = [Verdict::Success, FAILURE, Verdict::Nothing, Verdict::Dropped];
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
            Event::Trip(older) => self.gate.trip(self.gate.epoch.wrapping_sub(older), self.now, 0),
            Event::Command(command) => self.gate.command(command),
        }
    }

    fn key(&self) -> Key {
        let relative = |at: Instant| {
            let ahead = at.saturating_duration_since(self.now).as_secs() as i64;
            let behind = self.now.saturating_duration_since(at).as_secs() as i64;
            // No opening is longer than 2 s.
            (ahead - behind).max(-3)
        };
        let gate = &self.gate;
        let (until, probes, successes) = match &gate.mode {
            Mode::Open { until, .. } => (Some(relative(*until)), vec![], (0, None)),
            Mode::HalfOpen { probes, successes, silence } => {
                let silence = silence.map(|it| match it.dropped {
                    // Until they are enough it matters only whether their lease is over.
                    ..Silence::ENOUGH => (it.dropped, relative(it.lease).max(0)),
                    _ => (Silence::ENOUGH, relative(it.lease)),
                });
                (None, probes.clone(), (*successes, silence))
            }
            _ => (None, vec![], (0, None)),
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
        if let Mode::HalfOpen { probes: out, successes, .. } = &self.gate.mode {
            assert!(out.len() as u32 + successes <= probes, "too many probes: {self:?}");
        }
        if !matches!(self.gate.mode, Mode::ForcedOpen) {
            self.recovers(probes, "all guards are lost", |_| {});
            for verdict in [Verdict::Nothing, Verdict::Dropped] {
                self.recovers(probes, "all guards are dropped", |world| {
                    for (epoch, id) in std::mem::take(&mut world.held) {
                        world.gate.judge(epoch, id, verdict, world.now, 0);
                    }
                    let mut asked = world.gate.clone();
                    let admitted = !matches!(asked.ask(world.now, 0), Asked::Refused(_));
                    let open = matches!(asked.mode, Mode::Open { .. });
                    assert!(admitted || open || leaked(&asked), "no guard is left, and no probe is let in: {world:?}");
                });
            }
            for (leave, calls, apart) in [(2, 3, 1), (2, 1, 5), (1, 1, 1)] {
                self.recovers_though_some_leave(probes, leave, calls, apart * SECOND);
            }
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

impl World {
    /// Once the service is well the gate is closed again though so many callers leave before each that stays, as long as
    /// they are not enough to have failed; however seldom they come.
    fn recovers_though_some_leave(&self, probes: u32, leave: u32, calls: u32, apart: Duration) {
        let mut world = self.clone();
        // A lease, the longest opening, and a round for each success. What has begun before may have failed meanwhile.
        let most = (settings(probes).lease + 2 * SECOND).as_secs() as u32 + (leave + 1) * (probes + 1);
        let mut probed = 0;
        for _ in 0..most {
            for _ in 0..calls {
                if let Asked::Probe(id) = world.gate.ask(world.now, 0) {
                    probed += 1;
                    let stays = probed % (leave + 1) == 0;
                    let verdict = if stays { Verdict::Success } else { Verdict::Dropped };
                    world.gate.judge(world.gate.epoch, id, verdict, world.now, 0);
                }
            }
            if matches!(world.gate.mode, Mode::Closed | Mode::ForcedClosed | Mode::Disabled) {
                return;
            }
            world.now += apart;
        }
        panic!(
            "{leave} leave before each that stays, {apart:?} apart, and it is still {:?}: from {self:?}",
            world.gate
        );
    }

    /// What can happen while no probe answers.
    fn unanswered(&self) -> Vec<Event> {
        let places = 0..self.held.len();
        let mut events: Vec<_> = places.flat_map(|it| [Event::End(it, Verdict::Dropped), Event::Leak(it)]).collect();
        events.push(Event::Second);
        if self.held.len() < Self::MOST_HELD {
            events.push(Event::Ask);
        }
        events
    }

    fn drops_a_probe(&self, event: Event) -> bool {
        matches!(event, Event::End(place, _) if self.held[place].0 == self.gate.epoch)
    }
}

/// From any of these states, in how many seconds at the most a probe is dropped, while none answers, until the circuit is
/// open: whatever else is asked, dropped and lost in these seconds and between them.
fn seconds_of_drops(half_open: Vec<World>) -> usize {
    let mut worlds = half_open;
    for seconds in 0..10 {
        let mut seen = HashSet::new();
        let mut queue: Vec<_> = worlds.into_iter().map(|world| (world, false)).collect();
        let mut after = HashMap::new();
        while let Some((world, dropped)) = queue.pop() {
            if !seen.insert((world.key(), dropped)) {
                continue;
            }
            for event in world.unanswered() {
                let mut next = world.clone();
                next.step(event);
                if next.gate.epoch != world.gate.epoch {
                    continue; // It is open.
                }
                if matches!(event, Event::Second) && dropped {
                    after.insert(next.key(), next);
                } else {
                    queue.push((next, dropped || world.drops_a_probe(event)));
                }
            }
        }
        if after.is_empty() {
            return seconds;
        }
        worlds = after.into_values().collect();
    }
    panic!("it stays half open");
}

/// A probe is out whose guard is lost.
fn leaked(gate: &Gate) -> bool {
    matches!(&gate.mode, Mode::HalfOpen { probes, .. } if !probes.is_empty())
}

/// Every state that any sequence of events leads to: how many they are, and those that are half open.
fn search(probes: u32) -> (usize, Vec<World>) {
    let first = World::new(probes);
    let mut seen = HashSet::from([first.key()]);
    let mut queue = VecDeque::from([first]);
    let mut half_open = Vec::new();
    while let Some(world) = queue.pop_front() {
        world.check(probes);
        if world.gate.kind() == Kind::HalfOpen {
            half_open.push(world.clone());
        }
        for event in world.events() {
            let mut next = world.clone();
            next.step(event);
            if seen.insert(next.key()) {
                queue.push_back(next);
            }
        }
    }
    (seen.len(), half_open)
}

#[test]
fn whatever_is_dropped_or_lost_it_does_not_stay_half_open() {
    let found = [1, 2, 3].map(search);
    let states = [0, 1, 2].map(|at| found[at].0);
    assert!(states[0] > 100 && states[2] > 1000, "all states were to be searched: {states:?}");
    for (_, half_open) in found {
        // As many as a lease has.
        assert_eq!(seconds_of_drops(half_open), 2);
    }
}

fn opened(probes: u32) -> (Gate, Instant) {
    let (mut gate, now) = (Gate::new(settings(probes)), Instant::now());
    gate.trip(0, now, 0);
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
        gate.trip(gate.epoch(), now + healthy, 0);
        assert_eq!(until(&gate, now + healthy), expected, "after {healthy:?}");
    }
}

#[test]
fn a_retry_after_extends_the_opening() {
    let mut gate = Gate::new(settings(1));
    let now = Instant::now();
    gate.heed(0, 30 * SECOND, now);
    gate.heed(0, 20 * SECOND, now);
    gate.trip(0, now, 0);
    assert_eq!(until(&gate, now), 30 * SECOND);
    let now = now + 30 * SECOND;
    let Asked::Probe(id) = gate.ask(now, 0) else { panic!("its time is over") };
    gate.judge(gate.epoch(), id, Verdict::Failure { retry_after: Some(40 * SECOND) }, now, 0);
    assert_eq!(until(&gate, now), 40 * SECOND);
}

#[test]
fn a_retry_after_that_comes_late_makes_the_opening_what_it_would_have_been() {
    let settings = Settings { jitter: Ratio::ONE, max_retry_after: 40 * SECOND, ..settings(1) };
    for (before, after) in [(20, 30), (30, 20), (30, 30), (0, 50)] {
        let (mut gate, now) = (Gate::new(settings), Instant::now());
        gate.heed(0, before * SECOND, now);
        gate.trip(0, now, u64::MAX / 2);
        gate.heed(0, after * SECOND, now);
        let asked = before.max(after).min(40) * SECOND;
        assert_eq!(gate.until(), Some(now + settings.opening(1, Some(asked), u64::MAX / 2)), "{before} {after}");
        assert_eq!(gate.opening, gate.until().expect("it is open") - now);
    }
}

#[test]
fn a_retry_after_that_comes_late_changes_no_other_state() {
    let (mut gate, now) = opened(2);
    let before = gate.epoch();
    let Asked::Probe(_) = gate.ask(now + SECOND, 0) else { panic!("its time is over") };
    for epoch in [0, before] {
        let mode = gate.mode.clone();
        gate.heed(epoch, 60 * SECOND, now + SECOND);
        assert_eq!(gate.mode, mode);
    }
    for command in [Command::ForceOpen, Command::ForceClosed, Command::Disable, Command::Reset] {
        let epoch = gate.epoch();
        gate.command(command);
        gate.heed(epoch, 60 * SECOND, now);
        assert!(gate.until().is_none() && !gate.is_hinted(), "{command:?}");
    }
}

#[test]
fn the_settings_of_the_next_opening_do_not_change_the_one_that_a_retry_after_extends() {
    let (mut gate, now) = opened(1);
    gate.set(|settings| settings.open_for = 600 * SECOND);
    gate.heed(0, 3 * SECOND, now);
    assert_eq!(until(&gate, now), 3 * SECOND);
}

#[test]
fn a_lease_that_is_over_with_nobody_there_is_told_together_with_the_opening_that_is_over_too() {
    let (mut gate, now) = opened(1);
    assert_eq!(gate.take_changes().iter().collect::<Vec<_>>(), [Kind::Open]);
    assert!(matches!(gate.ask(now + SECOND, 0), Asked::Probe(_)));
    assert_eq!(gate.take_changes().iter().collect::<Vec<_>>(), [Kind::HalfOpen]);
    assert!(matches!(gate.ask(now + 100 * SECOND, 0), Asked::Probe(_)));
    assert_eq!(gate.take_changes().iter().collect::<Vec<_>>(), [Kind::Open, Kind::HalfOpen]);
    for _ in 0..2 {
        gate.command(Command::ForceOpen);
    }
    assert_eq!(gate.take_changes().iter().collect::<Vec<_>>(), [Kind::ForcedOpen], "a state that stays is no change");
    assert_eq!(gate.take_changes(), Changes::default());
}

#[test]
fn whoever_waits_is_told_when_probes_that_were_dropped_will_have_failed() {
    let (mut gate, now) = opened(1);
    let now = now + SECOND;
    for _ in 0..3 {
        let Asked::Probe(id) = gate.ask(now, 0) else { panic!("its place is free") };
        assert!(gate.judge(gate.epoch(), id, Verdict::Dropped, now, 0));
    }
    assert_eq!(gate.look(now, 0), Look::Admits);
    assert_eq!(gate.look(now + 2 * SECOND, 0), Look::At(now + 4 * SECOND), "it is open, for twice as long");
}

#[test]
fn probes_that_were_dropped_wait_for_the_word_of_one_that_is_out() {
    let (mut gate, now) = opened(1);
    let now = now + SECOND;
    for _ in 0..3 {
        let Asked::Probe(id) = gate.ask(now, 0) else { panic!("its place is free") };
        assert!(gate.judge(gate.epoch(), id, Verdict::Dropped, now, 0));
    }
    let Asked::Probe(id) = gate.ask(now + SECOND, 0) else { panic!("its place is free") };
    assert_eq!(gate.look(now + SECOND, 0), Look::At(now + 3 * SECOND), "its own lease");
    let mut hangs = gate.clone();
    assert_eq!(hangs.look(now + 3 * SECOND, 0), Look::At(now + 5 * SECOND), "it is open again");
    assert!(gate.judge(gate.epoch(), id, Verdict::Success, now + 2 * SECOND, 0), "it is well");
    assert_eq!(gate.kind(), Kind::Closed);
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
    gate.trip(0, now, 0);
    assert!(until(&gate, now) > 10_000 * 86400 * SECOND);
}
