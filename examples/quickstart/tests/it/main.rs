//! Runs the built program.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod hostile;
mod interrupt;
mod program;
mod report;
mod urls;
mod usage;
