//! The kit, tried on correct layers and on broken ones.

mod broken;
mod correct;
mod layers;
mod probe;
mod report;
