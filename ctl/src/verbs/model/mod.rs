//! `tierctl model`: the models by which a volume's network forecasts.

pub(crate) mod list;
pub(crate) mod retrain;
pub(crate) mod rollback;
pub(crate) mod show;

use clap::Subcommand;
use tier_wire::{ModelList, Network};

use crate::client::Client;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::units::seconds;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// The models there are, which of them is in use, and whether the network runs
    List(list::List),
    /// How a model was judged, and how the network has done of late
    Show(show::Show),
    /// Train a new model with what happened here; it is used if it is better
    ///
    /// The training is a process of its own, at idle priority, and may take some minutes:
    /// `tierctl model list` says how it ended.
    Retrain(retrain::Retrain),
    /// Use an older model again
    Rollback(rollback::Rollback),
}

impl Verb {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        match self {
            Self::List(verb) => verb.run(client, printer).await,
            Self::Show(verb) => verb.run(client, printer).await,
            Self::Retrain(verb) => verb.run(client, printer).await,
            Self::Rollback(verb) => verb.run(client, printer).await,
        }
    }
}

/// Whether the network runs, and how it has done of late.
fn about_network(network: &Network) -> String {
    let mut text = match (&network.library, &network.problem) {
        (_, Some(problem)) => format!("The network does not run: {problem}.\n"),
        (Some(library), None) => format!("The network is run by {library}.\n"),
        (None, None) => "The network runs.\n".to_owned(),
    };
    if let (Some(error), Some(naive)) = (network.error, network.naive_error) {
        text += &format!(
            "Of late it was off by a factor of {:.2}, and the reactive expert by {:.2}.\n",
            error.exp(),
            naive.exp()
        );
    }
    if network.runs {
        text += if network.is_believed {
            "The policy goes by it.\n"
        } else {
            "The policy goes by another expert, who would have saved more.\n"
        };
    }
    text
}

/// What is kept to train with, and what became of the last training.
fn about_training(list: &ModelList) -> String {
    let mut text = format!("{} examples are kept to train with.\n", list.examples);
    if list.training.runs {
        text += "A training is under way.\n";
    } else if let Some(next) = list.training.next_seconds {
        text += &format!("The next training is due in {}.\n", seconds(next));
    }
    if let Some(last) = &list.training.last {
        let ago = seconds(last.ended_seconds_ago);
        text += &format!("The last one ended {ago} ago: {}.\n", last.text);
    }
    text
}

/// Losses by horizon in a few words.
fn losses(of: &[f64]) -> String {
    if of.is_empty() {
        return "-".to_owned();
    }
    let words = of.iter().map(|loss| format!("{loss:.2}"));
    words.collect::<Vec<_>>().join(" ")
}
