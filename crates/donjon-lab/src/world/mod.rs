//! What the scenes are made of: virtual time, dice, requests, arrivals, and servers that follow a script.

mod ask;
mod dice;
mod line;
pub mod peers;
mod time;

pub use self::{
    ask::{Ask, Client, client},
    dice::Dice,
    line::{Discipline, Line},
    time::{arrivals, play},
};
