//! Helpers shared by the benchmarks: a counting allocator and the services under test.
