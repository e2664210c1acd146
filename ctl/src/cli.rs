//! The command line: one definition that feeds the parsing, the help, the man pages and the
//! completions.
//!
//! Owns: the verbs' names and the options that all share. Each verb's own options stand in its
//! file.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::exit::Exit;
use crate::units::parse_duration;
use crate::verbs;

/// Volumes over NVMe, SSD and HDD: what they hold, where it is hot, what moves and why.
///
/// Data go to stdout, everything else to stderr. Verbs that take a VOLUME may leave it out where
/// there is only one.
#[derive(Debug, Parser)]
#[command(name = "tierctl", version, after_help = Exit::table(), max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) shared: Shared,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Options of every verb.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of every verb")]
pub(crate) struct Shared {
    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The socket on which tierd listens
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "TIERD_SOCKET",
        default_value = tier_wire::DEFAULT_SOCKET
    )]
    pub(crate) socket: PathBuf,
    /// How long to wait for an answer
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        default_value = "150s",
        value_parser = parse_duration
    )]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Create, list, show, start, stop and destroy volumes
    #[command(subcommand)]
    Volume(verbs::volume::Verb),
    /// The devices of a volume
    #[command(subcommand)]
    Member(verbs::member::Verb),
    /// How a volume is doing: tiers, probe, moves, budget, holds
    Status(verbs::status::Status),
    /// Where a volume is hot, and on which tier that is: a map
    Heat(verbs::heat::Heat),
    /// What the policy would move now, and why; nothing is begun
    Plan(verbs::plan::Plan),
    /// Why a region is where it is, what is expected of it, and what came of a move
    Explain(verbs::explain::Explain),
    /// The models by which a volume's network forecasts
    #[command(subcommand)]
    Model(verbs::model::Verb),
    /// Move part of a volume by hand
    Move(verbs::move_by_hand::MoveByHand),
    /// Moves under way, pending and past
    Moves(verbs::moves::Moves),
    /// Take a move back, which leaves its data where they were
    Cancel(verbs::cancel::Cancel),
    /// Change how fast a move goes, on volumes on ublk
    Priority(verbs::priority::SetPriority),
    /// Keep the policy from beginning moves
    Pause(verbs::pause::Pause),
    /// Let the policy begin moves again
    Resume(verbs::resume::Resume),
    /// How tierd itself is doing
    Health(verbs::health::Health),
    /// Check the metadata of members, without tierd and without writing
    ///
    /// While the volume runs its metadata change, so what is found then may be gone a moment
    /// later: check again, or stop the volume first.
    ///
    /// Ends with 13 where the volume cannot be opened for writing as it stands, with 10 where a
    /// member or a replica is lacking, and with 0 where the next start mends by itself what was
    /// found.
    Check(verbs::check::Check),
    /// Print the metadata of members as JSON, without tierd and without writing
    ///
    /// It says where every extent lives and what stands in each label. The output is JSON with and
    /// without --json. Keep one beside a backup: a restore of lost metadata starts from it.
    Dump(verbs::dump::Dump),
    /// Record what is asked of a device, for simulate
    ///
    /// Any block device will do, and nothing about it changes: its reads and writes are seen in the
    /// kernel as they are submitted, and kept with their time, place and length, but without their
    /// content.
    Record(verbs::record::Record),
    /// What tiering would make of a recorded load, before anything is bought or moved
    ///
    /// Runs the policy of tierd over traces of block I/O, on models of a fast and a slow device
    /// whose moves take their time, beside policies that only react. For each, the time for which
    /// the slow device works is shown as a share of what it would be with everything on it.
    Simulate(verbs::simulate::Simulate),
    /// Print a completion script for a shell
    Completions(verbs::completions::Completions),
    /// Print the manual page, or write one for each verb
    Man(verbs::man::Man),
}
