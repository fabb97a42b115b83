//! A laboratory in virtual time: what each policy does to calls, measured with the real layers.
//!
//! A [`Scenario`] is a scene (clients, servers and a network that follow a script) and the policies that are compared in
//! it. The layers are donjon's own and those of its peers, never models of them; they run on tokio's paused clock and one
//! thread, so that minutes take a second and the same seed gives the same bytes. Policies that exist only in other
//! languages stand in [`baselines`], each checked against its own project's published figures; figures that are not run
//! here are rows with their source, and say whether they were published or come out of a model ([`Published`]).
//!
//! ```sh
//! cargo run -p donjon-lab -- list
//! cargo run -p donjon-lab -- retry-budget
//! cargo run -p donjon-lab -- all --seed 100 --json target/lab
//! cargo run -p donjon-lab -- queue-burst --set rate=1560
//! cargo run -p donjon-lab -- all --moved --seed 101 --runs 2
//! ```
//!
//! # What a figure is
//!
//! The mean over `--runs` seeds (eight unless said), the first of which is `--seed`. A goal beside a figure is what the
//! policy was meant to reach; whether it does is printed, and a miss stays in the table. Where a policy does not get there
//! with one of the seeds, the figure is `never`: there is no mean of that.
//!
//! # What the clock can say
//!
//! tokio's timers count whole milliseconds, rounding up. Scripted times are drawn in whole milliseconds for that reason,
//! rounded up or down at random so that their mean is right ([`world::Dice::millis`]); a wait that a layer chooses is as
//! long here as it would be outside.

pub mod baselines;
mod chart;
mod moved;
mod report;
mod scenario;
pub mod scenarios;
mod settings;
mod table;
pub mod world;

pub use self::{
    chart::{Chart, Series},
    moved::{Moved, moved},
    report::{Report, Row, measure},
    scenario::{Cast, Figure, Goal, Origin, Published, Scenario, Scene},
    settings::{Param, SettingError, Settings},
};
