//! Tests of donjon-retry.

mod behaviour;
