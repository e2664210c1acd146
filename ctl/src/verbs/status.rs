//! `tierctl status`: how a volume is doing.

use clap::Args;
use tier_wire::{
    Expert, ForecastCounts, MemberWear, ProbeStatus, Status as Shown, TierStatus, VolumeName,
    WearMoney, route,
};

use crate::client::Client;
use crate::failure::Failure;
use crate::printer::{Look, Printer};
use crate::table::{Column, facts, table};
use crate::units::{count, or_dash, percent, percent_of, rate, seconds, size};
use crate::watch::Watch;

#[derive(Args, Debug)]
pub(crate) struct Status {
    /// The volume
    volume: Option<VolumeName>,
    #[command(flatten)]
    watch: Watch,
}

impl Status {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let name = client.volume_or_only(self.volume).await?;
        let target = route::of_volume(route::STATUS, &name);
        self.watch
            .show(printer, || client.get::<Shown>(&target), status)
            .await
    }
}

fn status(status: &Shown, look: Look) -> String {
    let policy = if status.paused { "paused" } else { "active" };
    let mut text = format!(
        "Volume {}: {}, {}, policy {policy}\n",
        status.volume,
        status.state.name(),
        size(status.size_bytes),
    );
    for problem in &status.problems {
        text += &format!("problem: {problem}\n");
    }
    text.push('\n');
    text += &tiers(status, look);
    text += "\nRegions by what their expected use would be worth:\n";
    text += &regions(status, look);
    text.push('\n');
    let mut rows = vec![
        ("Foreground", foreground(status)),
        ("Probe", probe(&status.probe)),
        ("Moves", moves(status)),
        ("Forecast", forecast(status)),
        ("Account", account(status)),
        ("Budget", budget(status)),
        ("Holds", holds(status)),
        (
            "Metadata",
            format!(
                "{} of {} replicas",
                status.replicas.live, status.replicas.wanted
            ),
        ),
    ];
    let names = std::iter::once("Wear").chain(std::iter::repeat(""));
    rows.extend(names.zip(wear(status)));
    text += &facts(&rows);
    text
}

fn tiers(status: &Shown, look: Look) -> String {
    let columns = [
        Column::Left("TIER"),
        Column::Right("MEMBERS"),
        Column::Right("CAPACITY"),
        Column::Right("USED"),
        Column::Right("USED %"),
        Column::Right("FREE"),
        Column::Right("HEADROOM"),
        Column::Right("READS"),
        Column::Right("WRITES"),
    ];
    let rows = status.tiers.iter().map(|tier| {
        vec![
            tier.class.to_string(),
            tier.members.to_string(),
            size(tier.capacity_bytes),
            size(tier.used_bytes),
            percent_of(tier.used_bytes, tier.capacity_bytes),
            size(tier.free_bytes),
            size(tier.headroom_bytes),
            or_dash(tier.read_share, percent),
            or_dash(tier.write_share, percent),
        ]
    });
    table(look, &columns, rows)
}

fn foreground(status: &Shown) -> String {
    or_dash(status.foreground, |latency| {
        format!(
            "p50 {}, p99 {} (moves slow down above {})",
            seconds(latency.p50_seconds),
            seconds(latency.p99_seconds),
            seconds(latency.target_seconds),
        )
    })
}

fn probe(probe: &ProbeStatus) -> String {
    match probe {
        ProbeStatus::On {
            counted,
            lost,
            skipped,
            memory_bytes,
        } => format!(
            "on: {counted} counted, {lost} lost, {skipped} skipped, {} of memory",
            size(*memory_bytes)
        ),
        ProbeStatus::Fallback { source, reason } => format!("{source} instead: {reason}"),
        ProbeStatus::Off { reason } => format!("off: {reason}"),
    }
}

fn moves(status: &Shown) -> String {
    let moves = &status.moves;
    format!(
        "{} live, {} pending; {} done ({}), {} undone, {} failed",
        moves.live,
        moves.pending,
        moves.done,
        size(moves.done_bytes),
        moves.undone,
        moves.failed,
    )
}

fn forecast(status: &Shown) -> String {
    let expert = |expert: &Expert| {
        let mark = if expert.is_believed {
            " (believed)"
        } else {
            ""
        };
        format!("{} {:+.1} s{mark}", expert.name, expert.lead_seconds)
    };
    let experts: Vec<String> = status.experts.iter().map(expert).collect();
    if experts.is_empty() {
        return "-".into();
    }
    experts.join(", ")
}

fn regions(status: &Shown, look: Look) -> String {
    let columns = [
        Column::Left("TIER"),
        Column::Right("HOT"),
        Column::Right("WARM"),
        Column::Right("COLD"),
    ];
    let row = |tier: &TierStatus| {
        let ForecastCounts { hot, warm, cold } = tier.forecast;
        let counts = [hot, warm, cold].map(|count| count.to_string());
        [vec![tier.class.to_string()], counts.to_vec()].concat()
    };
    table(look, &columns, status.tiers.iter().map(row))
}

fn account(status: &Shown) -> String {
    let account = &status.account;
    format!(
        "{} left; {} earned, {} saved, {} spent",
        seconds(account.balance_seconds),
        seconds(account.earned_seconds),
        seconds(account.saved_seconds),
        seconds(account.spent_seconds),
    )
}

fn budget(status: &Shown) -> String {
    let budget = &status.budget;
    let limit = or_dash(budget.limit_bytes_per_second, rate);
    format!(
        "{} used of {} allowed now (limit {limit})",
        rate(budget.used_bytes_per_second),
        rate(budget.allowed_bytes_per_second),
    )
}

/// A line for each member of flash, and one for money.
fn wear(status: &Shown) -> Vec<String> {
    let member = |one: &MemberWear| {
        format!(
            "member {} ({}): {} of {} allowed by now, {} a year; {} a GiB",
            one.member,
            one.class,
            size(one.written_bytes),
            size(one.allowed_bytes),
            size(one.year_bytes),
            seconds(one.seconds_per_gib),
        )
    };
    let money = |money: &WearMoney| {
        let budget = money.allowed.zip(money.per_year);
        let budget = budget.map_or_else(String::new, |(allowed, per_year)| {
            format!(" of {allowed:.2} allowed by now, {per_year:.2} a year")
        });
        format!("money: {:.2} spent{budget}", money.spent)
    };
    let wear = &status.wear;
    let members = wear.members.iter().map(member);
    members.chain(wear.money.as_ref().map(money)).collect()
}

fn holds(status: &Shown) -> String {
    let holds = &status.holds;
    if holds.count == 0 {
        return "none yet".into();
    }
    format!(
        "{} for {}; p50 {}, p99 {}, longest {}; waiting for I/O p99 {}",
        holds.count,
        count(holds.moves, "move"),
        seconds(holds.p50_seconds),
        seconds(holds.p99_seconds),
        seconds(holds.max_seconds),
        seconds(holds.drain_p99_seconds),
    )
}
