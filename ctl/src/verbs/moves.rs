//! `tierctl moves`: moves under way, pending and past.

use clap::Args;
use tier_wire::{Move, MoveList, MovesQuery, Place, Priority, Trial, VolumeName, route};

use crate::client::Client;
use crate::failure::Failure;
use crate::printer::{Look, Printer};
use crate::table::{Column, table};
use crate::units::{percent, seconds, size};
use crate::watch::Watch;

#[derive(Args, Debug)]
pub(crate) struct Moves {
    /// The volume
    volume: Option<VolumeName>,
    /// Show past moves too, at most N of them, newest first
    #[arg(
        long,
        value_name = "N",
        num_args = 0..=1,
        default_missing_value = "20",
        require_equals = true,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MovesQuery::HISTORY_MAX))
    )]
    history: Option<u32>,
    #[command(flatten)]
    watch: Watch,
}

impl Moves {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let name = client.volume_or_only(self.volume).await?;
        let history = self.history.unwrap_or(0);
        let target = target(&name, history);
        self.watch
            .show(printer, || client.get::<MoveList>(&target), listed)
            .await
    }
}

/// Where a volume's moves are asked for, with so many of the past ones.
pub(super) fn target(name: &VolumeName, history: u32) -> String {
    format!("{}?history={history}", route::of_volume(route::MOVES, name))
}

/// A line of figures for each move, and beneath it why.
fn listed(list: &MoveList, look: Look) -> String {
    let all = || list.live.iter().chain(&list.pending).chain(&list.history);
    if all().next().is_none() {
        return "No moves.\n".into();
    }
    let columns = [
        Column::Right("ID"),
        Column::Left("STAGE"),
        Column::Right("REGIONS"),
        Column::Left("FROM"),
        Column::Left("TO"),
        Column::Right("SIZE"),
        Column::Right("DONE"),
        Column::Left("TIME"),
    ];
    // Never wrapped, so that each move is one line and its reason finds it.
    let figures = table(
        Look {
            columns: None,
            ..look
        },
        &columns,
        all().map(row),
    );
    let mut lines = figures.lines();
    let mut text = format!("{}\n", lines.next().unwrap_or_default());
    for (line, shown) in lines.zip(all()) {
        text += &format!("{line}\n    {}\n", shown.reason.text);
        if let Some(priority @ (Priority::Low | Priority::High)) = shown.priority {
            text += &format!("    priority: {}\n", priority.name());
        }
        if let Some(error) = &shown.error {
            text += &format!("    error: {error}\n");
        }
    }
    text
}

fn row(shown: &Move) -> Vec<String> {
    let when = match (shown.ended_seconds_ago, shown.eta_seconds) {
        (Some(ago), _) => format!("{} ago", seconds(ago)),
        (None, Some(eta)) => format!("{} to go", seconds(eta)),
        (None, None) => format!("for {}", seconds(shown.age_seconds)),
    };
    vec![
        shown.id.to_string(),
        stage(shown),
        regions(shown.first, shown.count),
        place(shown.from),
        place(shown.to),
        size(shown.bytes),
        percent(shown.progress),
        when,
    ]
}

/// What is being done.
fn stage(shown: &Move) -> String {
    match shown.trial {
        None => shown.stage.name().into(),
        Some(Trial::ReadingBack { percent }) => format!("reading back {percent} %"),
        Some(Trial::ShadowingReads { percent }) => format!("shadowing {percent} % of reads"),
        Some(Trial::RedirectingWrites { percent }) => format!("redirecting {percent} % of writes"),
    }
}

/// A run of regions as `FIRST-LAST`, the form that `tierctl move --regions` reads.
pub(super) fn regions(first: u32, count: u32) -> String {
    match count {
        0 | 1 => first.to_string(),
        _ => format!("{first}-{}", u64::from(first) + u64::from(count) - 1),
    }
}

/// A place as `CLASS:INDEX`.
pub(super) fn place(place: Place) -> String {
    format!("{}:{}", place.class, place.member)
}
