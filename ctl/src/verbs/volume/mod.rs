//! `tierctl volume`: the life of a volume.

pub(crate) mod create;
pub(crate) mod destroy;
pub(crate) mod list;
pub(crate) mod show;
pub(crate) mod start;
pub(crate) mod stop;

use clap::Subcommand;
use tier_wire::VolumeChange;

use crate::client::Client;
use crate::failure::Failure;
use crate::printer::{Look, Printer};
use crate::units::{count, size};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Join devices into a volume and start it
    Create(create::Create),
    /// All volumes
    List(list::List),
    /// One volume and its members
    Show(show::Show),
    /// Start a volume that is stopped
    Start(start::Start),
    /// Stop a volume; its data stay
    Stop(stop::Stop),
    /// Destroy a volume and all data on it
    Destroy(destroy::Destroy),
}

impl Verb {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        match self {
            Self::Create(verb) => verb.run(client, printer).await,
            Self::List(verb) => verb.run(client, printer).await,
            Self::Show(verb) => verb.run(client, printer).await,
            Self::Start(verb) => verb.run(client, printer).await,
            Self::Stop(verb) => verb.run(client, printer).await,
            Self::Destroy(verb) => verb.run(client, printer).await,
        }
    }
}

/// What was done to a volume, or would be, and the volume.
fn changed(change: &VolumeChange, look: Look, did: &str, would: &str) -> String {
    format!(
        "{}\n{}",
        summary(change, did, would),
        show::volume(&change.volume, look)
    )
}

/// What was done to a volume, or would be: a sentence, what is overwritten, notes.
fn summary(change: &VolumeChange, did: &str, would: &str) -> String {
    let volume = &change.volume;
    let verb = if change.dry_run { would } else { did };
    let mut text = format!(
        "{verb} volume {} ({} on {})\n",
        volume.name,
        size(volume.size_bytes),
        count(
            u64::try_from(volume.members.len()).unwrap_or(u64::MAX),
            "member"
        ),
    );
    let overwritten = if change.dry_run {
        "would be lost"
    } else {
        "overwritten"
    };
    for overwrite in &change.overwrites {
        text += &format!(
            "{overwritten}: {} on {}\n",
            overwrite.signature, overwrite.path
        );
    }
    for note in &change.notes {
        text += &format!("note: {note}\n");
    }
    text
}
