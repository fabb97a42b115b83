//! Plays scenarios, prints their tables, and draws their pictures.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use donjon_lab::{Scenario, SettingError, Settings, measure, moved, scenarios};
use indicatif::{ProgressBar, ProgressStyle};

/// Measures policies with the real layers, in virtual time.
#[derive(Debug, Parser)]
struct Arguments {
    /// The name of a scenario, `all`, or `list` for what there is.
    scenario: String,
    /// The first seed: the same seed gives the same bytes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, one after the other; figures are their mean.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Moves a setting of the scene; `list` shows them. May be given several times.
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Writes one file of figures for each scenario into this directory.
    #[arg(long, value_name = "DIR")]
    json: Option<PathBuf>,
    /// Where the pictures go. With settings or a seed of your own, unless said, nowhere.
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Says instead, in Markdown, which goals are missed as the scene is and with each setting 20 % lower and higher.
    #[arg(long, conflicts_with_all = ["json", "pictures"])]
    moved: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("donjon-lab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let chosen: Vec<&Scenario> = match &*arguments.scenario {
        "list" => {
            list();
            return Ok(());
        }
        "all" => scenarios::ALL.to_vec(),
        name => match scenarios::ALL.iter().find(|it| it.name == name) {
            Some(one) => vec![one],
            None => {
                let names: Vec<_> = scenarios::ALL.iter().map(|it| it.name).collect();
                return Err(format!("there is no scenario `{name}`; there are: {}, all", names.join(", ")).into());
            }
        },
    };
    let settings = settings(&chosen, &arguments.set)?;
    if arguments.moved {
        println!("| scenario | moved | goals met | missed |\n|---|---|---|---|");
        for (scenario, settings) in chosen.iter().zip(&settings) {
            for it in moved(scenario, settings, arguments.seed, arguments.runs).iter().filter(|it| it.goals() > 0) {
                println!("{it}");
            }
        }
        return Ok(());
    }
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    // What the repository shows is the scenes as they are.
    let as_they_are = arguments.set.is_empty() && arguments.seed == 1 && arguments.runs == 8;
    let pictures = arguments.pictures.clone().or_else(|| as_they_are.then_some(docs));
    for directory in arguments.json.iter().chain(&pictures) {
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }

    for (scenario, settings) in chosen.iter().zip(&settings) {
        let bar = ProgressBar::new(arguments.runs.into()).with_message(scenario.name);
        bar.set_style(ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} seeds, {elapsed}")?);
        let report = measure(scenario, settings, arguments.seed, arguments.runs, &|| bar.inc(1));
        bar.finish_and_clear();

        println!("{}: {}\n{}\n", scenario.name, scenario.title, scenario.about);
        println!("seeds {} to {}\n{report}", report.seed, report.seed.wrapping_add(u64::from(report.runs) - 1));
        if let Some(directory) = &pictures {
            (scenario.draw)(&report).save(&directory.join(format!("{}.svg", scenario.name)))?;
        }
        if let Some(directory) = &arguments.json {
            let path = directory.join(format!("{}.json", scenario.name));
            fs::write(&path, format!("{:#}\n", report.json()))
                .map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

/// A name that only some of the chosen scenes have moves those; one that none has is an error.
fn settings(chosen: &[&Scenario], moves: &[String]) -> Result<Vec<Settings>, String> {
    let mut settings: Vec<_> = chosen.iter().map(|scenario| Settings::new(scenario.params)).collect();
    for text in moves {
        let moved: Vec<Result<(), SettingError>> = settings.iter_mut().map(|it| it.parse(text)).collect();
        if moved.iter().any(Result::is_ok) {
            continue;
        }
        let said = chosen.iter().zip(moved).filter_map(|(scenario, it)| Some((scenario.name, it.err()?)));
        return Err(said.map(|(name, error)| format!("{name}: {error}")).collect::<Vec<_>>().join("\n"));
    }
    Ok(settings)
}

fn list() {
    for scenario in scenarios::ALL {
        println!("{}: {}\n{}", scenario.name, scenario.title, scenario.about);
        for param in scenario.params {
            println!("  {param}");
        }
        println!();
    }
}
