//! `tierctl move`: moves part of a volume by hand, and waits for it where that is wanted.

use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use tier_wire::{
    Move, MoveAccepted, MoveList, MoveRange, MoveRequest, MoveTarget, Priority, Stage, VolumeName,
    route,
};

use super::moves::{place, regions, target};
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::{Look, Printer};
use crate::units::{
    count, parse_bytes, parse_priority, parse_regions, parse_target, seconds, size,
};

/// How often the state of moves is looked at while they are waited for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How many ended moves are looked through for those that are waited for.
const HISTORY: u32 = 1_000;

#[derive(Args, Debug)]
pub(crate) struct MoveByHand {
    /// The volume
    volume: Option<VolumeName>,
    #[command(flatten)]
    range: Range,
    /// Where to: nvme, ssd, hdd, or member:N (`tierctl member list` shows N)
    #[arg(long, value_name = "TARGET", value_parser = parse_target)]
    to: MoveTarget,
    /// How fast, on a volume on ublk: low, normal or high (`[policy.trial]` says how fast low and
    /// normal are; high is as fast as it can)
    #[arg(long, value_name = "PRIORITY", default_value = "normal", value_parser = parse_priority)]
    priority: Priority,
    /// Wait until it is done, with its progress
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct Range {
    /// These regions, both ends too: 0-63
    #[arg(long, value_name = "FIRST-LAST", value_parser = parse_regions)]
    regions: Option<MoveRange>,
    /// All regions that these bytes touch: 1G+64M
    #[arg(long, value_name = "OFFSET+LENGTH", value_parser = parse_bytes)]
    bytes: Option<MoveRange>,
    /// The whole volume
    #[arg(long)]
    all: bool,
}

/// What is shown after waiting: the answer to the request, and how each move ended.
#[derive(Serialize)]
struct Waited {
    #[serde(flatten)]
    accepted: MoveAccepted,
    ended: Vec<Move>,
}

impl MoveByHand {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let name = client.volume_or_only(self.volume).await?;
        // The group is required, so that what names neither regions nor bytes is --all.
        let range = self
            .range
            .regions
            .or(self.range.bytes)
            .unwrap_or(MoveRange::All);
        let request = MoveRequest {
            range,
            to: self.to,
            priority: self.priority,
            dry_run: self.dry_run,
        };
        let moves = route::of_volume(route::MOVES, &name);
        let accepted: MoveAccepted = client.post(&moves, &request).await?;
        if !self.wait {
            return printer.show(&accepted, shown);
        }
        let bar = printer.bar(accepted.bytes);
        let ended = wait(client, &name, &accepted, &bar).await;
        bar.finish_and_clear();
        let waited = Waited {
            accepted,
            ended: ended?,
        };
        printer.show(&waited, ended_shown)?;
        outcome(&waited.ended)
    }
}

/// Looks until every accepted move has ended.
async fn wait(
    client: &Client,
    name: &VolumeName,
    accepted: &MoveAccepted,
    bar: &ProgressBar,
) -> Result<Vec<Move>, Failure> {
    let target = target(name, HISTORY);
    loop {
        let list: MoveList = client.get(&target).await?;
        let mut ours: Vec<Move> = list.live;
        ours.extend(list.pending);
        ours.extend(list.history);
        ours.retain(|one| accepted.moves.contains(&one.id));
        ours.sort_by_key(|one| one.id);
        if let Some(lost) = accepted
            .moves
            .iter()
            .find(|&id| !ours.iter().any(|o| o.id == *id))
        {
            return Err(Failure::new(
                Exit::NotFound,
                format!("move {lost} is not among the moves of volume {name} any more"),
            )
            .with_hint("tierd was restarted, or very many moves ended meanwhile"));
        }
        report(&ours, bar);
        if ours.iter().all(|one| one.stage.is_ended()) {
            return Ok(ours);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a share of a length, for a bar on a terminal"
)]
fn report(moves: &[Move], bar: &ProgressBar) {
    let copied: f64 = moves
        .iter()
        .map(|one| if one.stage.is_ended() { 1.0 } else { one.progress } * one.bytes as f64)
        .sum();
    bar.set_position(copied as u64);
    let pending = moves
        .iter()
        .filter(|one| one.stage == Stage::Pending)
        .count();
    let eta = moves
        .iter()
        .filter_map(|one| one.eta_seconds)
        .fold(0.0, f64::max);
    bar.set_message(match (pending, eta > 0.0) {
        (0, false) => String::new(),
        (0, true) => format!("{} to go", seconds(eta)),
        (pending, _) => format!("{pending} pending"),
    });
}

fn outcome(ended: &[Move]) -> Result<(), Failure> {
    let short: Vec<_> = ended
        .iter()
        .filter(|one| one.stage != Stage::Done)
        .collect();
    let Some(first) = short.first() else {
        return Ok(());
    };
    let why = first.error.as_deref().unwrap_or("no error was given");
    Err(Failure::new(
        Exit::MoveFailed,
        format!(
            "{} of {} did not come to an end: move {} is {} ({why})",
            short.len(),
            count(u64::try_from(ended.len()).unwrap_or(u64::MAX), "move"),
            first.id,
            first.stage.name(),
        ),
    )
    .with_hint("what did not move is whole where it was"))
}

fn shown(accepted: &MoveAccepted, _: Look) -> String {
    let what = format!(
        "{} ({}), about {}",
        count(accepted.regions.into(), "region"),
        size(accepted.bytes),
        seconds(accepted.seconds)
    );
    let ids: Vec<_> = accepted.moves.iter().map(u64::to_string).collect();
    match (accepted.regions, accepted.dry_run) {
        (0, _) => "Nothing to move: all of it is there already.\n".into(),
        (_, true) => format!("Would move {what}.\n"),
        (_, false) => format!("Moving {what}: {}.\n", ids.join(", ")),
    }
}

fn ended_shown(waited: &Waited, look: Look) -> String {
    if waited.ended.is_empty() {
        return shown(&waited.accepted, look);
    }
    let line = |one: &Move| {
        format!(
            "Move {} is {}: regions {} from {} to {}\n",
            one.id,
            one.stage.name(),
            regions(one.first, one.count),
            place(one.from),
            place(one.to),
        )
    };
    waited.ended.iter().map(line).collect()
}
