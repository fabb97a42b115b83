//! One seed for everything, in streams that do not know of each other.

use fastrand::Rng;

/// What a stream of random numbers is for. Two streams of one seed share nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Arrivals = 1,
    Urls = 2,
    Fates = 3,
    Jitter = 4,
}

/// The random numbers of a stream.
pub(crate) fn rng(seed: u64, stream: Stream) -> Rng {
    Rng::with_seed(seed_of(seed, stream))
}

/// The random numbers of one event of a stream: the same for the same event, whatever happened before it.
pub(crate) fn rng_of(seed: u64, stream: Stream, event: u64) -> Rng {
    Rng::with_seed(mix(seed_of(seed, stream) ^ event))
}

/// A seed for somebody else's random numbers.
pub(crate) fn seed_of(seed: u64, stream: Stream) -> u64 {
    mix(mix(seed) ^ stream as u64)
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): neighbouring inputs give unrelated outputs.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
