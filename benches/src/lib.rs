//! Helpers shared by the benchmarks: the service under the layers, and interleaved measurement.

pub mod bare;
pub mod governed;
pub mod hits;
pub mod interleaved;
pub mod loopback;
