//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

/// Makes many JSON calls to an unreliable upstream: first with a client alone, then through a stack of deadline,
/// cache, retry, concurrency limit and attempt timeout. Or, with --urls, makes your own calls through that stack.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    /// Calls to make
    #[arg(long, default_value_t = 1_000, conflicts_with = "urls")]
    pub(crate) calls: u64,

    /// Calls a second; they come at random, and whether or not the calls before them have been answered
    #[arg(long, default_value_t = 200.0, value_parser = rate, conflicts_with = "urls")]
    pub(crate) rate: f64,

    /// Attempts in flight at once, at most; a retry that sleeps is not in flight
    #[arg(long, default_value_t = 10, value_parser = at_least_one)]
    pub(crate) concurrency: usize,

    /// Share of bad replies, 0 to 1: 500, 503 with Retry-After, truncated bodies
    #[arg(long, default_value_t = 0.2, value_parser = share, conflicts_with = "urls")]
    pub(crate) fail_rate: f64,

    /// When the upstream has an outage, counted from the first call (2s, 500ms)
    #[arg(long, default_value = "2s", value_parser = duration, conflicts_with = "urls")]
    pub(crate) outage_at: Duration,

    /// How long the outage lasts; 0 for none
    #[arg(long, default_value = "2s", value_parser = duration, conflicts_with = "urls")]
    pub(crate) outage: Duration,

    /// How long a call may take, with queue, attempts and pauses between them
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub(crate) deadline: Duration,

    /// How long one attempt may take
    #[arg(long, default_value = "1s", value_parser = duration)]
    pub(crate) attempt_timeout: Duration,

    /// For how long an answer is given again; 0 for no cache
    #[arg(long, default_value = "500ms", value_parser = duration)]
    pub(crate) cache_ttl: Duration,

    /// For how long after that it is given if there is no better one, while the next one is asked for; 0 for not at all
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub(crate) stale: Duration,

    /// Moves everything that is random: arrivals, URLs, the fate of each call, jitter
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Write the figures of the table to this file as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// Make the calls of this file (- for standard input): one URL, or one METHOD URL JSON, a line
    #[arg(long, value_name = "FILE")]
    pub(crate) urls: Option<PathBuf>,

    /// Write the results of --urls to this file, one line of JSON each [default: standard output]
    #[arg(long, value_name = "FILE", requires = "urls")]
    pub(crate) out: Option<PathBuf>,
}

/// Longer than anybody waits, and short enough to be added to any instant.
pub(crate) const LONGEST: Duration = Duration::from_secs(1_000_000_000);

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("not a number from 0 to 1".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        _ => Err("not a number above 0".to_owned()),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("not a whole number of at least 1".to_owned()),
    }
}

/// `2s`, `1.5s`, `500ms`, `2m`, `0`.
fn duration(text: &str) -> Result<Duration, String> {
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let seconds = match (unit, number) {
        ("s", _) | ("", "0") => 1.0,
        ("ms", _) => 0.001,
        ("m", _) => 60.0,
        _ => return Err("not a time with a unit, like 2s or 500ms".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| "not a time, like 2s or 500ms".to_owned())?;
    match Duration::try_from_secs_f64(number * seconds) {
        Ok(time) if time <= LONGEST => Ok(time),
        _ => Err("not a time that can be waited for".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::{CommandFactory, Parser};

    use super::{Cli, duration};

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let cli = Cli::parse_from(["quickstart"]);
        assert_eq!((cli.calls, cli.rate, cli.concurrency, cli.fail_rate), (1_000, 200.0, 10, 0.2));
        let times = (cli.outage_at, cli.outage, cli.deadline);
        assert_eq!(times, (Duration::from_secs(2), Duration::from_secs(2), Duration::from_secs(5)));
        assert_eq!((cli.cache_ttl, cli.stale), (Duration::from_millis(500), Duration::from_secs(30)));
    }

    #[test]
    fn times_have_units_and_zero_needs_none() {
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for wrong in ["", "2", "s", "-1s", "2h", "nans", "infs", "1e10s", "1e300s", "two"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn wrong_values_are_wrong_usage() {
        for wrong in [
            ["--fail-rate", "1.1"],
            ["--fail-rate", "nan"],
            ["--rate", "0"],
            ["--rate", "inf"],
            ["--concurrency", "0"],
            ["--calls", "-1"],
            ["--out", "x"],
        ] {
            assert!(Cli::try_parse_from(["quickstart", wrong[0], wrong[1]]).is_err(), "{wrong:?}");
        }
    }
}
