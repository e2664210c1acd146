//! The verbs, one per file. Each owns its options and what it prints, and nothing else.

pub(crate) mod cancel;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod dump;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod heat;
pub(crate) mod man;
pub(crate) mod member;
pub(crate) mod model;
pub(crate) mod move_by_hand;
pub(crate) mod moves;
pub(crate) mod pause;
pub(crate) mod plan;
pub(crate) mod priority;
pub(crate) mod record;
pub(crate) mod resume;
pub(crate) mod simulate;
pub(crate) mod status;
pub(crate) mod volume;

use crate::cli::{Cli, Verb};
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::Printer;

/// Does what the command line says.
pub(crate) fn run(cli: Cli, printer: &mut Printer) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(
                Exit::Internal,
                format!("cannot start the asynchronous runtime: {error}"),
            )
            .with_errno(error.raw_os_error())
        })?;
    let client = Client::new(cli.shared.socket, cli.shared.timeout);
    runtime.block_on(async {
        match cli.verb {
            Verb::Volume(verb) => verb.run(&client, printer).await,
            Verb::Member(verb) => verb.run(&client, printer).await,
            Verb::Status(verb) => verb.run(&client, printer).await,
            Verb::Heat(verb) => verb.run(&client, printer).await,
            Verb::Plan(verb) => verb.run(&client, printer).await,
            Verb::Explain(verb) => verb.run(&client, printer).await,
            Verb::Model(verb) => verb.run(&client, printer).await,
            Verb::Move(verb) => verb.run(&client, printer).await,
            Verb::Moves(verb) => verb.run(&client, printer).await,
            Verb::Cancel(verb) => verb.run(&client, printer).await,
            Verb::Priority(verb) => verb.run(&client, printer).await,
            Verb::Pause(verb) => verb.run(&client, printer).await,
            Verb::Resume(verb) => verb.run(&client, printer).await,
            Verb::Health(verb) => verb.run(&client, printer).await,
            Verb::Check(verb) => verb.run(printer),
            Verb::Dump(verb) => verb.run(printer),
            Verb::Record(verb) => verb.run(printer).await,
            Verb::Simulate(verb) => verb.run(printer),
            Verb::Completions(verb) => verb.run(printer),
            Verb::Man(verb) => verb.run(printer),
        }
    })
}
