//! `tierctl member`: the devices of a volume.

pub(crate) mod list;

use clap::Subcommand;

use crate::client::Client;
use crate::failure::Failure;
use crate::printer::Printer;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// The members of a volume: state, room, speed, load
    List(list::List),
}

impl Verb {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        match self {
            Self::List(verb) => verb.run(client, printer).await,
        }
    }
}
