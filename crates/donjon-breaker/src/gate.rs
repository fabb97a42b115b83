use std::time::Duration;

use tokio::time::Instant;

use crate::{
    settings::Settings,
    word::{Kind, Word},
};

/// All that is not the counting of a closed circuit: for how long it is open, who probes it, and what the operator has
/// said. A plain machine: the time and the random words are passed in.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    settings: Settings,
    mode: Mode,
    /// Begins anew with each change of the mode.
    epoch: u32,
    /// How many openings in a row this one is, or the last one was.
    streak: u32,
    /// How long the last opening was.
    opening: Duration,
    /// When it was last closed by its probes.
    closed: Option<Instant>,
    /// Before when the failures of this closed epoch have asked for no more calls, at the furthest.
    hint: Option<Instant>,
    next_probe: u32,
    changes: Changes,
    pub(crate) counters: Counters,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    Closed,
    Open {
        since: Instant,
        until: Instant,
        /// The lot that was drawn for its jitter.
        random: u64,
    },
    /// Nobody is let in but the probes. Each has a lease: when it ends without a word the probe has failed.
    HalfOpen {
        probes: Vec<Probe>,
        successes: u32,
        silence: Option<Silence>,
    },
    ForcedOpen,
    ForcedClosed,
    Disabled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Probe {
    id: u32,
    lease: Instant,
}

/// Probes that were dropped, with no success between them. One says nothing, but a service that hangs would else be
/// probed for as long as each caller leaves before the lease is over. Time alone would not do: where calls are rare, one
/// that leaves would have opened it by the time of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Silence {
    dropped: u32,
    /// When they have failed, if they are enough: a lease after the first of them was dropped.
    lease: Instant,
}

/// What it has become under one lock, in order. Two things at most: a lease is over, and the opening that followed is too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes([Option<Kind>; 2]);

/// How often it has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) opened: u64,
    pub(crate) half_opened: u64,
    pub(crate) closed: u64,
    pub(crate) probes: u64,
    pub(crate) leases_expired: u64,
}

/// What the gate says to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It is closed by now.
    Closed,
    Probe(u32),
    /// The operator lets all in.
    Watched,
    Disabled,
    /// Until when, if that is known.
    Refused(Option<Instant>),
}

/// Whether a call would be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Admits,
    /// Not before this, unless told otherwise.
    At(Instant),
    /// Not before something happens.
    WhenTold,
}

/// What a call has shown of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Success,
    Failure {
        retry_after: Option<Duration>,
    },
    /// Nothing: it was never sent.
    Nothing,
    /// Nothing: its caller had left before there was an answer.
    Dropped,
}

/// What the operator says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    ForceOpen,
    ForceClosed,
    Disable,
    Reset,
}

/// Further away than an instant can say: 30 years, as tokio itself has it.
const FAR: Duration = Duration::from_secs(86400 * 365 * 30);

// ===== impl Gate =====

impl Gate {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            mode: Mode::Closed,
            epoch: 0,
            streak: 0,
            opening: Duration::ZERO,
            closed: None,
            hint: None,
            next_probe: 0,
            changes: Changes::default(),
            counters: Counters::default(),
        }
    }

    pub(crate) const fn settings(&self) -> Settings {
        self.settings
    }

    /// Holds for the openings that begin from now on.
    pub(crate) fn set(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
    }

    pub(crate) const fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(crate) const fn kind(&self) -> Kind {
        match self.mode {
            Mode::Closed => Kind::Closed,
            Mode::Open { .. } => Kind::Open,
            Mode::HalfOpen { .. } => Kind::HalfOpen,
            Mode::ForcedOpen => Kind::ForcedOpen,
            Mode::ForcedClosed => Kind::ForcedClosed,
            Mode::Disabled => Kind::Disabled,
        }
    }

    /// Until when it is open; `None` if it is not, or knows no time.
    pub(crate) const fn until(&self) -> Option<Instant> {
        match self.mode {
            Mode::Open { until, .. } if self.settings.probes > 0 => Some(until),
            _ => None,
        }
    }

    /// What it has become since this was asked last.
    pub(crate) const fn take_changes(&mut self) -> Changes {
        std::mem::replace(&mut self.changes, Changes([None; 2]))
    }

    /// A call of this epoch has failed, and after so long another one has a chance. Of a closed epoch the furthest of these
    /// counts when it opens; of the one that an opening has followed, it makes the opening longer.
    pub(crate) fn heed(&mut self, epoch: u32, retry_after: Duration, now: Instant) {
        let at = after(now, self.settings.heeded(retry_after));
        let is_before_this = (epoch + 1) % Word::EPOCHS == self.epoch;
        match &mut self.mode {
            Mode::Closed if self.epoch == epoch => self.hint = self.hint.max(Some(at)),
            Mode::Open { since, until, random } if is_before_this => {
                let asked = self.settings.heeded(at.saturating_duration_since(*since));
                let opening = self.settings.spread(asked, *random);
                if after(*since, opening) > *until {
                    *until = after(*since, opening);
                    self.opening = opening;
                }
            }
            _ => {}
        }
    }

    /// The failures of this closed epoch count no more.
    pub(crate) fn forget(&mut self, epoch: u32) {
        if self.epoch == epoch {
            self.hint = None;
        }
    }

    /// Whether a failure of this closed epoch has said `Retry-After`.
    pub(crate) const fn is_hinted(&self) -> bool {
        self.hint.is_some()
    }

    /// The calls of this closed epoch have failed too often.
    pub(crate) fn trip(&mut self, epoch: u32, now: Instant, random: u64) {
        if self.mode != Mode::Closed || self.epoch != epoch {
            return;
        }
        // Closed for less long than it was open before: it has not recovered, it flaps.
        let flaps = self.closed.is_some_and(|at| now.saturating_duration_since(at) < self.opening);
        if !flaps {
            self.streak = 0;
        }
        let asked = self.hint.map(|at| at.saturating_duration_since(now));
        self.open(now, asked, random);
    }

    /// A call wants to go through.
    pub(crate) fn ask(&mut self, now: Instant, random: u64) -> Asked {
        self.advance(now, random);
        match &mut self.mode {
            Mode::Closed => Asked::Closed,
            Mode::ForcedClosed => Asked::Watched,
            Mode::Disabled => Asked::Disabled,
            Mode::ForcedOpen => Asked::Refused(None),
            Mode::Open { .. } if self.settings.probes == 0 => Asked::Refused(None),
            Mode::Open { until, .. } if now < *until => Asked::Refused(Some(*until)),
            Mode::Open { .. } => {
                self.counters.half_opened += 1;
                let probes = Vec::with_capacity(self.settings.probes.min(16) as usize);
                self.change(Mode::HalfOpen { probes, successes: 0, silence: None });
                self.probe(now)
            }
            Mode::HalfOpen { .. } => self.probe(now),
        }
    }

    /// Whether a call would be let in now. Takes nothing.
    pub(crate) fn look(&mut self, now: Instant, random: u64) -> Look {
        self.advance(now, random);
        match &self.mode {
            Mode::Closed | Mode::ForcedClosed | Mode::Disabled => Look::Admits,
            Mode::ForcedOpen => Look::WhenTold,
            Mode::Open { .. } if self.settings.probes == 0 => Look::WhenTold,
            Mode::Open { until, .. } if now < *until => Look::At(*until),
            Mode::Open { .. } => Look::Admits,
            Mode::HalfOpen { probes, successes, .. } if has_room(&self.settings, probes, *successes) => Look::Admits,
            Mode::HalfOpen { probes, silence, .. } => match over_at(probes, *silence) {
                Some(lease) => Look::At(lease),
                None => Look::WhenTold,
            },
        }
    }

    /// What a probe of this epoch has shown. False if it is too late to count.
    pub(crate) fn judge(&mut self, epoch: u32, id: u32, verdict: Verdict, now: Instant, random: u64) -> bool {
        if self.epoch == epoch {
            self.advance(now, random);
        }
        if self.epoch != epoch {
            if let Some(retry_after) = verdict.retry_after() {
                self.heed(epoch, retry_after, now);
            }
            return false;
        }
        let Mode::HalfOpen { probes, successes, silence } = &mut self.mode else {
            return false;
        };
        let Some(at) = probes.iter().position(|probe| probe.id == id) else {
            return false;
        };
        probes.swap_remove(at);
        match verdict {
            Verdict::Nothing => {}
            Verdict::Dropped => {
                let lease = silence.map_or_else(|| after(now, self.settings.lease), |silence| silence.lease);
                let dropped = silence.map_or(0, |silence| silence.dropped).saturating_add(1);
                *silence = Some(Silence { dropped, lease });
                if dropped >= Silence::ENOUGH && lease <= now {
                    self.counters.leases_expired += 1;
                    self.open(now, None, random);
                }
            }
            Verdict::Failure { retry_after } => self.open(now, retry_after, random),
            Verdict::Success => {
                *silence = None;
                *successes += 1;
                if *successes >= self.settings.probes {
                    self.closed = Some(now);
                    self.counters.closed += 1;
                    self.change(Mode::Closed);
                }
            }
        }
        true
    }

    pub(crate) fn command(&mut self, command: Command) {
        let mode = match command {
            Command::ForceOpen => Mode::ForcedOpen,
            Command::ForceClosed => Mode::ForcedClosed,
            Command::Disable => Mode::Disabled,
            Command::Reset => Mode::Closed,
        };
        self.streak = 0;
        self.closed = None;
        self.change(mode);
    }

    /// What has happened by itself: a probe whose lease is over has failed when it was over.
    fn advance(&mut self, now: Instant, random: u64) {
        let Mode::HalfOpen { probes, silence, .. } = &self.mode else {
            return;
        };
        if let Some(lease) = over_at(probes, *silence)
            && lease <= now
        {
            self.counters.leases_expired += 1;
            self.open(lease, None, random);
        }
    }

    fn open(&mut self, since: Instant, retry_after: Option<Duration>, random: u64) {
        self.streak = self.streak.saturating_add(1);
        self.opening = self.settings.opening(self.streak, retry_after, random);
        self.counters.opened += 1;
        self.change(Mode::Open { since, until: after(since, self.opening), random });
    }

    fn probe(&mut self, now: Instant) -> Asked {
        let Mode::HalfOpen { probes, successes, .. } = &mut self.mode else {
            unreachable!("asked of a gate that is half open");
        };
        if !has_room(&self.settings, probes, *successes) {
            return Asked::Refused(None);
        }
        let id = self.next_probe;
        self.next_probe = id.wrapping_add(1);
        self.counters.probes += 1;
        probes.push(Probe { id, lease: after(now, self.settings.lease) });
        Asked::Probe(id)
    }

    fn change(&mut self, mode: Mode) {
        let before = self.kind();
        self.mode = mode;
        self.epoch = (self.epoch + 1) % Word::EPOCHS;
        self.hint = None;
        if self.kind() != before {
            self.changes.push(self.kind());
        }
    }
}

// ===== impl Silence =====

impl Silence {
    const ENOUGH: u32 = 3;
}

// ===== impl Changes =====

impl Changes {
    const fn push(&mut self, kind: Kind) {
        let [first, last] = &mut self.0;
        *(if first.is_none() { first } else { last }) = Some(kind);
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Kind> {
        self.0.into_iter().flatten()
    }
}

// ===== impl Verdict =====

impl Verdict {
    pub(crate) const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Failure { retry_after } => retry_after,
            Self::Success | Self::Nothing | Self::Dropped => None,
        }
    }
}

/// No more are out than there are successes still to come.
fn has_room(settings: &Settings, probes: &[Probe], successes: u32) -> bool {
    (probes.len() as u64) + u64::from(successes) < u64::from(settings.probes)
}

/// When the first of the probes has failed, if none of them answers and nobody comes. Those that were dropped wait for one
/// that is still out: it may answer.
fn over_at(probes: &[Probe], silence: Option<Silence>) -> Option<Instant> {
    let silence = silence.filter(|silence| silence.dropped >= Silence::ENOUGH && probes.is_empty());
    probes.iter().map(|probe| probe.lease).chain(silence.map(|silence| silence.lease)).min()
}

fn after(from: Instant, time: Duration) -> Instant {
    from.checked_add(time).unwrap_or_else(|| from + FAR)
}

#[cfg(all(test, not(donjon_loom)))]
#[path = "gate/tests.rs"]
mod tests;
