//! `tierd-learn`, the helper of tierd that trains its network.
//!
//! Owns: the process: arguments in, exit code out. What a verb does stands in
//! [`tier_learn::command`].

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::json;
use tier_learn::command::{self, Base, Progress, Trained};
use tier_learn::dataset::Amount;
use tier_learn::{LearnError, Score, idle};
use tier_network::contract::{HORIZON_SECONDS, HORIZONS};

/// The exit code of a retraining that made nothing better.
const NOT_BETTER: u8 = 10;

/// A bound of the process's memory that leaves much room, and the least that it can work in.
const MEMORY_MAX: u64 = 1 << 30;
const MEMORY_LEAST: u64 = 64 << 20;

/// Trains the network by which tierd forecasts how often groups of regions will be touched.
///
/// Exit codes: 0 done; 1 failed, and standard error says why; 2 the arguments make no sense; 10
/// nothing better was learned, and nothing was written.
#[derive(Debug, Parser)]
#[command(name = "tierd-learn", version)]
struct Cli {
    /// Print one JSON object instead of a table.
    #[arg(long, global = true)]
    json: bool,
    /// Tell nothing on standard error while it takes its time.
    #[arg(long, global = true)]
    quiet: bool,
    /// Run only when nothing else wants to (`SCHED_IDLE`), and within --memory-max.
    #[arg(long, global = true)]
    idle: bool,
    /// With --idle: bytes that the process may map; what would go beyond ends it.
    #[arg(long, global = true, value_name = "BYTES", default_value_t = MEMORY_MAX, value_parser = clap::value_parser!(u64).range(MEMORY_LEAST..))]
    memory_max: u64,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Train a model anew from made-up loads, and judge it by others of them.
    Base {
        /// File to write the model (ONNX) to.
        #[arg(long)]
        out: PathBuf,
        /// Seeds of loads to learn from; each makes one load of every recipe.
        #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        seeds: u64,
        /// Examples of each load, at most.
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
        examples: u32,
        /// Times that all examples are gone through.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        epochs: u32,
        /// What the weights to begin with and the order of examples are drawn from.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Go on training a model with local examples, and write it if it became better.
    ///
    /// The newest fifth judges the old model and the new one, which is written only if it is better
    /// there by more than chance. The older four fifths are learned from, but for those that end with
    /// what is judged by.
    Retrain {
        /// The model to go on from.
        #[arg(long)]
        model: PathBuf,
        /// Local examples.
        #[arg(long)]
        examples: PathBuf,
        /// File to write the new model to; may be that of the old one.
        #[arg(long)]
        out: PathBuf,
        /// Times that the examples are gone through.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        epochs: u32,
        /// What the order of examples is drawn from.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Judge a model by examples, beside the naive forecast.
    Score {
        /// The model to judge.
        #[arg(long)]
        model: PathBuf,
        /// Examples to judge it by.
        #[arg(long)]
        examples: PathBuf,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            tell(&format!("tierd-learn: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Does what was asked. Gives the exit code.
fn run(cli: &Cli) -> Result<u8, LearnError> {
    if cli.idle {
        idle::step_back(cli.memory_max)?;
    }
    let progress = |progress: Progress| {
        if !cli.quiet {
            tell(&match progress {
                Progress::Loads(done, of) => format!("made load {done} of {of}"),
                Progress::Epoch(number, loss) => format!("epoch {number}: loss {loss:.5}"),
            });
        }
    };
    match &cli.verb {
        Verb::Base {
            out,
            seeds,
            examples,
            epochs,
            seed,
        } => {
            let how = Base {
                amount: Amount {
                    seeds: *seeds,
                    of_each_load: *examples as usize,
                },
                epochs: *epochs as usize,
                seed: *seed,
            };
            let done = command::base(out, how, progress)?;
            say(cli.json, &json!(done), &[("network", &done.all)]);
            if !cli.json {
                print(&recipes(&done));
            }
            Ok(0)
        }
        Verb::Retrain {
            model,
            examples,
            out,
            epochs,
            seed,
        } => {
            let how = command::retraining(*epochs as usize, *seed);
            let done = command::retrain(model, examples, out, how, progress)?;
            say(
                cli.json,
                &json!(done),
                &[("old", &done.old), ("new", &done.new)],
            );
            if let (Some(reason), false) = (&done.reason, cli.json) {
                print(&format!("not written: {reason}\n"));
            }
            Ok(if done.is_written { 0 } else { NOT_BETTER })
        }
        Verb::Score { model, examples } => {
            let score = command::judge(model, examples)?;
            say(cli.json, &json!(score), &[("network", &score)]);
            Ok(0)
        }
    }
}

/// Prints scores.
fn say(is_json: bool, json: &serde_json::Value, scores: &[(&str, &Score)]) {
    print(&if is_json {
        format!("{json}\n")
    } else {
        table(scores)
    });
}

/// Prints a result. A reader that has gone needs none.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

/// A row of a table, a cell for each horizon and one for all.
fn row(name: &str, cells: [String; HORIZONS], last: &str) -> String {
    let cells = cells.map(|cell| format!("{cell:>10}")).concat();
    format!("{name:<14}{cells}{last:>10}\n")
}

/// Losses by horizon, the less the better, and their mean as shares of the naive forecast's.
fn table(scores: &[(&str, &Score)]) -> String {
    let Some((_, first)) = scores.first() else {
        return String::new();
    };
    let losses = |name: &str, of: [f64; HORIZONS], share: f64| {
        let cells = of.map(|one| format!("{one:.4}"));
        row(name, cells, &format!("{share:.4}"))
    };
    let horizons = HORIZON_SECONDS.map(|seconds| format!("{seconds} s"));
    let mut text = row("loss within", horizons, "of naive");
    for (name, score) in scores {
        text += &losses(name, score.network, score.share());
    }
    text += &losses("naive", first.naive, 1.0);
    text + &format!("on {} examples\n", first.examples)
}

/// Losses on each recipe, as shares of the naive forecast's.
fn recipes(trained: &Trained) -> String {
    let shares = |(name, score): (&&str, &Score)| {
        let cells = score.shares().map(|share| format!("{share:.3}"));
        row(name, cells, &format!("{:.4}", score.share()))
    };
    let rows: String = trained.recipes.iter().map(shares).collect();
    format!("\nof naive, on each recipe\n{rows}")
}

/// Tells people something. Nobody may be there.
fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
