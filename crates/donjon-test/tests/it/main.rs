//! The kit, tried on correct layers and on broken ones.

mod correct;
