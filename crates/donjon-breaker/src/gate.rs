use std::time::Duration;

use tokio::time::Instant;

use crate::{settings::Settings, word::Kind};

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
    next_probe: u32,
    pub(crate) counters: Counters,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    Closed,
    Open {
        until: Instant,
    },
    /// Nobody is let in but the probes. Each has a lease: when it ends without a word the probe has failed.
    HalfOpen {
        probes: Vec<Probe>,
        successes: u32,
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
    /// Nothing: it was cancelled, or never sent.
    Nothing,
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
            next_probe: 0,
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
            Mode::Open { until } if self.settings.probes > 0 => Some(until),
            _ => None,
        }
    }

    /// The calls of this closed epoch have failed too often.
    pub(crate) fn trip(&mut self, epoch: u32, now: Instant, retry_after: Option<Duration>, random: u64) {
        if self.mode != Mode::Closed || self.epoch != epoch {
            return;
        }
        // Closed for less long than it was open before: it has not recovered, it flaps.
        let flaps = self.closed.is_some_and(|at| now.saturating_duration_since(at) < self.opening);
        if !flaps {
            self.streak = 0;
        }
        self.open(now, retry_after, random);
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
            Mode::Open { until } if now < *until => Asked::Refused(Some(*until)),
            Mode::Open { .. } => {
                self.counters.half_opened += 1;
                let probes = Vec::with_capacity(self.settings.probes.min(16) as usize);
                self.change(Mode::HalfOpen { probes, successes: 0 });
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
            Mode::Open { until } if now < *until => Look::At(*until),
            Mode::Open { .. } => Look::Admits,
            Mode::HalfOpen { probes, successes } if has_room(&self.settings, probes, *successes) => Look::Admits,
            Mode::HalfOpen { probes, .. } => match probes.iter().map(|probe| probe.lease).min() {
                Some(lease) => Look::At(lease),
                None => Look::WhenTold,
            },
        }
    }

    /// What a probe of this epoch has shown. False if it is too late to count.
    pub(crate) fn judge(&mut self, epoch: u32, id: u32, verdict: Verdict, now: Instant, random: u64) -> bool {
        if self.epoch != epoch {
            return false;
        }
        self.advance(now, random);
        let Mode::HalfOpen { probes, successes } = &mut self.mode else {
            return false;
        };
        let Some(at) = probes.iter().position(|probe| probe.id == id) else {
            return false;
        };
        probes.swap_remove(at);
        match verdict {
            Verdict::Nothing => {}
            Verdict::Failure { retry_after } => self.open(now, retry_after, random),
            Verdict::Success => {
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
        let Mode::HalfOpen { probes, .. } = &self.mode else {
            return;
        };
        if let Some(lease) = probes.iter().map(|probe| probe.lease).min()
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
        self.change(Mode::Open { until: after(since, self.opening) });
    }

    fn probe(&mut self, now: Instant) -> Asked {
        let Mode::HalfOpen { probes, successes } = &mut self.mode else {
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
        self.mode = mode;
        self.epoch = (self.epoch + 1) % crate::word::Word::EPOCHS;
    }
}

/// No more are out than there are successes still to come.
fn has_room(settings: &Settings, probes: &[Probe], successes: u32) -> bool {
    (probes.len() as u64) + u64::from(successes) < u64::from(settings.probes)
}

fn after(from: Instant, time: Duration) -> Instant {
    from.checked_add(time).unwrap_or_else(|| from + FAR)
}

#[cfg(all(test, not(donjon_loom)))]
#[path = "gate/tests.rs"]
mod tests;
