//! Many JSON calls to an unreliable upstream, the naive way and through the stack.
//!
//! `cargo run -p quickstart` starts the upstream inside this program, offers it the same load twice and prints what
//! came of it side by side. `--urls FILE` makes the calls of a file instead, through the stack.

mod arrivals;
mod cli;
mod counts;
mod demo;
mod fate;
mod interrupt;
mod item;
mod kinds;
mod load;
mod naive;
mod progress;
mod reply_body;
mod report;
mod seed;
mod socket;
mod table;
mod tally;
mod upstream;
mod way;
mod zipf;

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match demo::run(&cli).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
