//! `tierctl model list`: the models there are.

use clap::Args;
use tier_wire::{Model, ModelList, VolumeName, route};

use super::{about_network, about_training, losses};
use crate::client::Client;
use crate::failure::Failure;
use crate::printer::{Look, Printer};
use crate::table::{Column, table};
use crate::units::{percent, seconds};

#[derive(Args, Debug)]
pub(crate) struct List {
    /// The volume
    volume: Option<VolumeName>,
}

impl List {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let name = client.volume_or_only(self.volume).await?;
        let list: ModelList = client.get(&route::of_volume(route::MODELS, &name)).await?;
        printer.show(&list, listed)
    }
}

/// A line for each model, and beneath them how the network and its training stand.
pub(super) fn listed(list: &ModelList, look: Look) -> String {
    let columns = [
        Column::Right("MODEL"),
        Column::Left("IN USE"),
        Column::Left("FROM"),
        Column::Right("AGE"),
        Column::Right("JUDGED BY"),
        Column::Left("LOSS BY HORIZON"),
        Column::Right("OF NAIVE"),
    ];
    let row = |model: &Model| {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        vec![
            model.number.to_string(),
            if model.is_current { "yes" } else { "" }.to_owned(),
            model
                .from
                .map_or_else(|| "comes with tierd".to_owned(), |from| from.to_string()),
            or_none(model.age_seconds.map(seconds)),
            or_none(model.judged_by.map(|count| count.to_string())),
            losses(&model.loss),
            or_none(of_naive(model).map(percent)),
        ]
    };
    let models = table(look, &columns, list.models.iter().map(row));
    format!(
        "{models}\n{}{}",
        about_network(&list.network),
        about_training(list)
    )
}

/// Mean of the horizons of what the loss is of the naive forecast's.
fn of_naive(model: &Model) -> Option<f64> {
    let pairs = model.loss.iter().zip(&model.loss_naive);
    let shares: Vec<f64> = pairs.map(|(loss, naive)| loss / naive).collect();
    #[allow(clippy::cast_precision_loss, reason = "some horizons")]
    let count = shares.len() as f64;
    let mean = shares.iter().sum::<f64>() / count;
    mean.is_finite().then_some(mean)
}
