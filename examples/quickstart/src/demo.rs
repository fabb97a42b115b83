//! The main job: the same calls to the same unreliable upstream, the naive way and through the stack.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    arrivals::{Arrivals, ITEMS},
    cli::Cli,
    fate::Fates,
    fault::Fault,
    interrupt::Interrupt,
    load::offer,
    naive::Naive,
    progress::Progress,
    report::{Figures, Report, ReportFile},
    stack::{Settings, Stack},
    table::{self, table},
    tally::Tally,
    upstream::{Outage, Upstream},
    way::Way,
};

/// Runs both ways, prints the table and writes the report. Fails if a call of the stack was lost, or on an interrupt.
pub(crate) async fn run(cli: &Cli) -> Result<ExitCode, Fault> {
    let file = cli.report.as_deref().map(ReportFile::create).transpose()?;
    let mut interrupt = Interrupt::listen();
    let mut report = Report { naive: naive(cli, &mut interrupt).await?, ..Report::default() };
    if !interrupt.is_asked() {
        report.stack = stack(cli, &mut interrupt).await?;
    }
    let table = table(&[("naive", &report.naive), ("stack", &report.stack)], table::Upstream::Own);
    let printed = io::stdout().write_all(table.as_bytes());
    if let Some(file) = file {
        file.write(&report)?;
    }
    match printed {
        // Whoever has closed the pipe does not want the table.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(Fault::failed("the table cannot be written", error));
        }
        _ => {}
    }
    Ok(match (interrupt.is_asked(), report.stack.lost) {
        (true, _) => ExitCode::from(130),
        (false, 0) => ExitCode::SUCCESS,
        (false, _) => ExitCode::FAILURE,
    })
}

async fn naive(cli: &Cli, interrupt: &mut Interrupt) -> Result<Figures, Fault> {
    let upstream = start(cli).await?;
    let way = Naive::new(&upstream, ITEMS, cli.concurrency, cli.deadline);
    let tally = load("naive", cli, &way, &upstream, interrupt).await;
    let max_permits = way.max_permits() as u64;
    Ok(Figures { max_permits, ..Figures::new(&tally, &upstream.counts(), cli.deadline) })
}

async fn stack(cli: &Cli, interrupt: &mut Interrupt) -> Result<Figures, Fault> {
    let upstream = start(cli).await?;
    let way = Stack::new(Settings::from(cli)).base(&upstream.base()).map_err(|e| Fault::failed("the base URL", e))?;
    let tally = load("stack", cli, &way, &upstream, interrupt).await;
    Ok(way.figures(Figures::new(&tally, &upstream.counts(), cli.deadline)))
}

/// An upstream of its own for each way: same fates, counts from zero.
async fn start(cli: &Cli) -> Result<Upstream, Fault> {
    let fates = Fates { seed: cli.seed, fail_rate: cli.fail_rate };
    let outage = Outage { at: cli.outage_at, length: cli.outage };
    Upstream::start(fates, outage).await.map_err(|error| Fault::failed("the upstream cannot start", error))
}

async fn load<W: Way>(name: &'static str, cli: &Cli, way: &W, upstream: &Upstream, interrupt: &mut Interrupt) -> Tally {
    let progress = Progress::new(name, Some(cli.calls), Some(upstream.counts()));
    let start = Instant::now() + Duration::from_millis(1);
    upstream.begin(start);
    offer(way, start, Arrivals::new(cli.calls, cli.rate, cli.seed), &progress, interrupt).await
}
