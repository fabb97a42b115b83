//! Tests of donjon-budget.
#![cfg(not(donjon_loom))]

mod backoff;
mod budget;
mod golden;
mod share;
mod simulation;
