//! The tests of `donjon-timeout`.

mod behaviour;
