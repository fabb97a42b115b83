use std::{error::Error, fmt};

/// A share between 0 and 1, held in millionths so that adding it up a million times is exact.
///
/// # Example
///
/// ```
/// use donjon_core::Ratio;
///
/// let ratio = Ratio::new(0.1)?;
/// assert_eq!(ratio.millionths(), 100_000);
/// let error = Ratio::new(1.5).expect_err("more than all");
/// assert_eq!(error.to_string(), "ratio is 1.5, and must be from 0 to 1");
/// # Ok::<(), donjon_core::OutOfRange>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio(u32);

/// A setting has a value that means nothing: says which, its value, and what it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    name: &'static str,
    value: String,
    range: &'static str,
}

// ===== impl Ratio =====

impl Ratio {
    /// None of it.
    pub const ZERO: Self = Self(0);
    /// All of it.
    pub const ONE: Self = Self(1_000_000);

    /// The share `value`, rounded to the nearest millionth.
    ///
    /// # Errors
    ///
    /// If `value` is not a number from 0 to 1.
    pub fn new(value: f64) -> Result<Self, OutOfRange> {
        if (0.0..=1.0).contains(&value) {
            // In range by the check above, so the cast neither wraps nor saturates.
            Ok(Self((value * 1e6).round() as u32))
        } else {
            Err(OutOfRange::new("ratio", value, "from 0 to 1"))
        }
    }

    /// The share in millionths: 0 to 1,000,000.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// The share as a number from 0 to 1.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

impl fmt::Debug for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_f64())
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_f64())
    }
}

// ===== impl OutOfRange =====

impl OutOfRange {
    /// The setting `name` has `value`, and must be `range` (a phrase that completes "must be …").
    #[must_use]
    pub fn new(name: &'static str, value: impl fmt::Display, range: &'static str) -> Self {
        Self { name, value: value.to_string(), range }
    }

    /// The setting.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, and must be {}", self.name, self.value, self.range)
    }
}

impl Error for OutOfRange {}
