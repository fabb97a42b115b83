use std::fmt;

use crate::{Chart, Param, Report, Settings};

/// One scene, and the policies that are compared in it.
#[derive(Debug)]
pub struct Scenario {
    /// What the command line calls it, and its files.
    pub name: &'static str,
    /// One line.
    pub title: &'static str,
    /// What the scene is: who calls whom, how often, and what goes wrong.
    pub about: &'static str,
    /// What `--set` can move.
    pub params: &'static [Param],
    /// Figures that stand elsewhere and are not run here.
    pub published: &'static [Published],
    /// Plays the scene once, for every policy.
    pub play: fn(&Scene<'_>) -> Vec<Figure>,
    /// The picture of a report.
    pub draw: fn(&Report) -> Chart,
}

/// Who takes part in a scene.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cast {
    /// All of its policies.
    #[default]
    All,
    /// Those that have a goal, and whom they are compared with in it.
    WithGoals,
}

/// One seed and the settings: all that the figures of a scene depend on; and whose figures are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// Everything that is random in the scene, and in the layers, comes from this.
    pub seed: u64,
    /// Values of the scenario's [`Param`]s.
    pub settings: &'a Settings,
    /// Who takes part.
    pub cast: Cast,
}

/// One number of one policy, from one seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Which policy.
    pub policy: String,
    /// What is measured, with its conditions: `success, 30 % failing`.
    pub metric: String,
    /// Its unit: `%`, `x`, `ms`.
    pub unit: &'static str,
    /// The number; not a number where the policy never gets there: it is shown as `never`.
    pub value: f64,
    /// What it was meant to reach.
    pub goal: Option<Goal>,
}

/// What a figure was meant to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

/// A figure that was not measured here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// Which policy, of whom.
    pub policy: &'static str,
    /// What was measured; the same words as in the scene's own figures where it is the same thing.
    pub metric: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// The number.
    pub value: f64,
    /// Who says so.
    pub origin: Origin,
    /// Where it stands.
    pub source: &'static str,
}

/// Whose word a figure is that was not measured here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Those who have the policy have published it.
    Published,
    /// A model has given it, or another program that does as the policy says.
    Modelled,
}

// ===== impl Scene =====

impl Scene<'_> {
    /// The value of a setting.
    ///
    /// # Panics
    ///
    /// If the scenario has no such setting.
    #[must_use]
    pub fn get(&self, name: &str) -> f64 {
        self.settings.get(name)
    }

    /// Whether a policy takes part that has a goal, or has none.
    #[must_use]
    pub fn plays(&self, has_goal: bool) -> bool {
        has_goal || self.cast == Cast::All
    }
}

// ===== impl Figure =====

impl Figure {
    /// A number without a goal.
    pub fn new(policy: impl Into<String>, metric: impl Into<String>, unit: &'static str, value: f64) -> Self {
        Self { policy: policy.into(), metric: metric.into(), unit, value, goal: None }
    }

    /// The same number with this goal, if `has` says so.
    #[must_use]
    pub fn goal_if(mut self, has: bool, goal: Goal) -> Self {
        self.goal = has.then_some(goal);
        self
    }
}

// ===== impl Published =====

impl Published {
    /// A figure that those who have the policy have published: `policy`, `metric` and `unit`.
    #[must_use]
    pub const fn new(of: [&'static str; 3], value: f64, source: &'static str) -> Self {
        let [policy, metric, unit] = of;
        Self { policy, metric, unit, value, origin: Origin::Published, source }
    }

    /// A figure that a model has given.
    #[must_use]
    pub const fn modelled(of: [&'static str; 3], value: f64, source: &'static str) -> Self {
        Self { origin: Origin::Modelled, ..Self::new(of, value, source) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Published => "published",
            Self::Modelled => "modelled",
        })
    }
}

// ===== impl Goal =====

impl Goal {
    /// Whether `value` reaches it.
    #[must_use]
    pub fn is_met(&self, value: f64) -> bool {
        match *self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "<= {most}"),
            Self::AtLeast(least) => write!(f, ">= {least}"),
        }
    }
}
