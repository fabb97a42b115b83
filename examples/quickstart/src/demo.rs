//! The main job: the same calls to the same unreliable upstream, the naive way and through the stack.

use std::{io, process::ExitCode, time::Duration};

use tokio::time::Instant;

use crate::{
    arrivals::{Arrivals, ITEMS},
    cli::Cli,
    fate::Fates,
    interrupt::Interrupt,
    load::offer,
    naive::Naive,
    progress::Progress,
    report::{Figures, Report, write},
    table::table,
    tally::Tally,
    upstream::{Outage, Upstream},
    way::Way,
};

/// Runs both ways, prints the table and writes the report. Fails if a call of the stack was lost, or on an interrupt.
pub(crate) async fn run(cli: &Cli) -> io::Result<ExitCode> {
    let mut interrupt = Interrupt::listen();
    let mut report = Report { naive: naive(cli, &mut interrupt).await?, ..Report::default() };
    if !interrupt.is_asked() {
        report.stack = Figures::default();
    }
    print!("{}", table(&[("naive", &report.naive), ("stack", &report.stack)]));
    if let Some(path) = &cli.report {
        write(path, &report)?;
    }
    Ok(match (interrupt.is_asked(), report.stack.lost) {
        (true, _) => ExitCode::from(130),
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::FAILURE,
    })
}

async fn naive(cli: &Cli, interrupt: &mut Interrupt) -> io::Result<Figures> {
    let upstream = start(cli).await?;
    let way = Naive::new(&upstream, ITEMS, cli.concurrency, cli.deadline);
    let tally = load("naive", cli, &way, &upstream, interrupt).await;
    let max_permits = way.max_permits() as u64;
    Ok(Figures { max_permits, ..Figures::new(&tally, &upstream.counts(), cli.deadline) })
}

/// An upstream of its own for each way: same fates, counts from zero.
async fn start(cli: &Cli) -> io::Result<Upstream> {
    let fates = Fates { seed: cli.seed, fail_rate: cli.fail_rate };
    Upstream::start(fates, Outage { at: cli.outage_at, length: cli.outage }).await
}

async fn load<W: Way>(name: &'static str, cli: &Cli, way: &W, upstream: &Upstream, interrupt: &mut Interrupt) -> Tally {
    let progress = Progress::new(name, Some(cli.calls), Some(upstream.counts()));
    let start = Instant::now() + Duration::from_millis(1);
    upstream.begin(start);
    offer(way, start, Arrivals::new(cli.calls, cli.rate, cli.seed), &progress, interrupt).await
}
