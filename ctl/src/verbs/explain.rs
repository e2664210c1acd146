//! `tierctl explain`: why a region is where it is, and what came of a move.

use clap::{ArgGroup, Args};
use tier_wire::{Came, ExpertView, Explanation, Move, Offer, VolumeName, route};

use super::moves::{place, regions};
use crate::client::Client;
use crate::failure::Failure;
use crate::printer::{Look, Printer};
use crate::table::{Column, table};
use crate::units::seconds;

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").required(true))]
pub(crate) struct Explain {
    /// The volume
    volume: Option<VolumeName>,
    /// A region of the volume
    #[arg(long, value_name = "N", group = "what")]
    region: Option<u32>,
    /// A move: under way, pending or past
    #[arg(long = "move", value_name = "ID", group = "what")]
    id: Option<u64>,
}

impl Explain {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let name = client.volume_or_only(self.volume).await?;
        let region = self.region.map(|region| format!("region={region}"));
        let id = self.id.map(|id| format!("move={id}"));
        let query = region.or(id).unwrap_or_default();
        let target = format!("{}?{query}", route::of_volume(route::EXPLAIN, &name));
        let explained: Explanation = client.get(&target).await?;
        printer.show(&explained, shown)
    }
}

fn shown(explained: &Explanation, look: Look) -> String {
    let mut text = explained
        .newest_move
        .as_ref()
        .map_or_else(String::new, |newest| {
            about_move(newest, explained.came.as_ref())
        });
    let home = explained.home.map_or_else(|| "nowhere".to_owned(), place);
    let since = explained
        .resident_seconds
        .map_or_else(String::new, |resident| {
            format!(", for {}", seconds(resident))
        });
    text += &format!(
        "Region {} is on {home}{since}: {}.\n",
        explained.region, explained.text
    );
    text += &match explained.age_seconds {
        Some(age) => format!(
            "It had {:.1} touches since tierd took the volume up, the first {} ago; {:.1} lately.\n",
            explained.touches_in_all,
            seconds(age),
            explained.touches,
        ),
        None => "Nothing touched it since tierd took the volume up.\n".to_owned(),
    };
    text += &forecast(explained);
    text += &expectations(explained, look);
    if !explained.offers.is_empty() {
        text += "\nWhat it would be worth to have it on a faster tier:\n";
        text += &offers(&explained.offers, look);
    }
    text
}

/// What its forecast makes of it, and what the table beneath is of.
fn forecast(explained: &Explanation) -> String {
    let class = explained.class.name();
    match explained.pays_from_touches {
        Some(touches) => format!(
            "By its forecast it is {class}: {touches:.1} touches pay for a move to the fastest tier.\n\n\
             Touches that are expected of it, by expert and until when, and how sure it is that so \
             many\ncome as pay for a move:\n"
        ),
        None => format!(
            "By its forecast it is {class}: no tier is faster than the others.\n\n\
             Touches that are expected of it, by expert and until when:\n"
        ),
    }
}

fn about_move(one: &Move, came: Option<&Came>) -> String {
    let mut text = format!(
        "Move {} of regions {} from {} to {} is {}.\nWhy: {}.\n",
        one.id,
        regions(one.first, one.count),
        place(one.from),
        place(one.to),
        one.stage.name(),
        one.reason.text,
    );
    if let Some(error) = &one.error {
        text += &format!("It went wrong: {error}.\n");
    }
    if let Some(came) = came {
        let (word, time) = if came.saved_seconds < 0.0 {
            ("cost", -came.saved_seconds)
        } else {
            ("saved", came.saved_seconds)
        };
        text += &format!(
            "In the {} since it ended, {:.1} touches came, and it {word} {} of waiting.\n",
            seconds(came.seconds),
            came.touches,
            seconds(time),
        );
    }
    text + "\n"
}

fn expectations(explained: &Explanation, look: Look) -> String {
    let until: Vec<String> = explained
        .horizons_seconds
        .iter()
        .map(|horizon| horizon.map_or_else(|| "FOR GOOD".to_owned(), seconds))
        .collect();
    let mut columns = vec![Column::Left("EXPERT")];
    columns.extend(until.iter().map(|until| Column::Right(until)));
    let pays = explained.pays_from_touches.is_some();
    let cell = |touches: f64, confidence| {
        if pays {
            format!("{touches:.1} ({})", sure(confidence))
        } else {
            format!("{touches:.1}")
        }
    };
    let row = |expert: &ExpertView| {
        let believed = if expert.is_believed {
            " (believed)"
        } else {
            ""
        };
        let mut row = vec![format!("{}{believed}", expert.name)];
        let expected = expert.touches.iter().zip(&expert.confidence);
        row.extend(expected.map(|(touches, confidence)| cell(*touches, *confidence)));
        row
    };
    table(look, &columns, explained.experts.iter().map(row))
}

/// A confidence: in whole percent, as it is not known more exactly.
fn sure(confidence: f64) -> String {
    format!("{:.0} %", confidence * 100.0)
}

fn offers(offers: &[Offer], look: Look) -> String {
    let columns = [
        Column::Left("TIER"),
        Column::Right("SAVES"),
        Column::Right("HAS TO EARN"),
        Column::Right("WEAR"),
        Column::Right("WRITES WEAR"),
        Column::Right("GIB WEARS"),
        Column::Right("DEVICE"),
        Column::Right("OTHERS WAIT"),
        Column::Right("CONFIDENCE"),
    ];
    let row = |offer: &Offer| {
        vec![
            offer.to.name().to_owned(),
            seconds(offer.benefit_seconds),
            seconds(offer.cost_seconds),
            seconds(offer.wear_seconds),
            seconds(offer.writes_wear_seconds),
            seconds(offer.wear_seconds_per_gib),
            seconds(offer.device_seconds),
            seconds(offer.waiting_seconds),
            sure(offer.confidence),
        ]
    };
    table(look, &columns, offers.iter().map(row))
}
