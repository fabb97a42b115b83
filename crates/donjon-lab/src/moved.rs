use std::fmt;

use crate::{Cast, Figure, Report, Scenario, Settings, report::measure_cast, table::number};

/// What became of a scenario's goals when one setting was moved by a fifth, or none.
#[derive(Clone, Debug)]
pub struct Moved {
    /// The setting and where it was moved to; none is the scene as it is, at other seeds.
    pub setting: Option<(&'static str, f64)>,
    /// What was measured there.
    pub report: Report,
}

/// Plays a scenario as it is, and then with each of its settings 20 % lower and 20 % higher, one at a time; a count goes to
/// the nearest whole number. A value that is out of its setting's range is left out, and so is one that the move does not
/// change. Of the policies those take part that have a goal, and those that they are compared with in it.
///
/// # Panics
///
/// As [`measure`](crate::measure).
#[must_use]
pub fn moved(scenario: &Scenario, settings: &Settings, seed: u64, runs: u32) -> Vec<Moved> {
    let play = |setting, settings: &Settings| Moved {
        setting,
        report: measure_cast(scenario, settings, Cast::WithGoals, seed, runs, &|| {}),
    };
    let mut all = vec![play(None, settings)];
    for param in scenario.params {
        for times in [0.8, 1.2] {
            let value = param.nearest(settings.get(param.name) * times);
            let mut there = settings.clone();
            if there.set(param.name, value).is_ok() && there != *settings {
                all.push(play(Some((param.name, value)), &there));
            }
        }
    }
    all
}

// ===== impl Moved =====

impl Moved {
    /// How many figures have a goal.
    #[must_use]
    pub fn goals(&self) -> usize {
        self.report.rows.iter().filter(|row| row.mean.goal.is_some()).count()
    }

    /// The figures that do not reach their goal.
    pub fn missed(&self) -> impl Iterator<Item = &Figure> {
        self.report.rows.iter().filter(|row| row.is_met() == Some(false)).map(|row| &row.mean)
    }
}

/// A line of a table in Markdown: the scenario, what was moved, how many goals were met, and which were not.
impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setting = match self.setting {
            Some((name, value)) => format!("{name} = {}", (value * 1e6).round() / 1e6),
            None => "nothing".to_owned(),
        };
        let missed: Vec<_> = self
            .missed()
            .map(|it| {
                let goal = it.goal.map_or_else(String::new, |goal| goal.to_string());
                format!("{}, {}: {} ({goal})", it.policy, it.metric, number(it.value))
            })
            .collect();
        let goals = self.goals();
        let met = goals - missed.len();
        write!(f, "| {} | {setting} | {met} of {goals} | {} |", self.report.scenario, missed.join("; "))
    }
}
