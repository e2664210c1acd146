//! `tierctl model show`: how a model was judged.

use clap::Args;
use tier_wire::{Model, ModelList, VolumeName, route};

use super::{about_network, losses};
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::units::seconds;

#[derive(Args, Debug)]
pub(crate) struct Show {
    /// The model's number; the one in use unless given
    #[arg(value_name = "MODEL")]
    number: Option<u32>,
    /// The volume
    #[arg(long)]
    volume: Option<VolumeName>,
}

impl Show {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let name = client.volume_or_only(self.volume).await?;
        let list: ModelList = client.get(&route::of_volume(route::MODELS, &name)).await?;
        let is_wanted = |model: &&Model| match self.number {
            Some(number) => model.number == number,
            None => model.is_current,
        };
        let Some(model) = list.models.iter().find(is_wanted) else {
            let number = self.number.unwrap_or_default();
            let error = format!("volume {name} has no model {number}");
            return Err(Failure::new(Exit::NotFound, error)
                .with_hint("`tierctl model list` shows those there are"));
        };
        printer.show(model, |model, _| {
            let network = model.is_current.then(|| about_network(&list.network));
            shown(model) + &network.unwrap_or_default()
        })
    }
}

fn shown(model: &Model) -> String {
    let mut text = match (model.from, model.age_seconds) {
        (Some(from), Some(age)) => format!(
            "Model {} was trained on from model {from}, {} ago.\n",
            model.number,
            seconds(age)
        ),
        _ => format!("Model {} comes with tierd.\n", model.number),
    };
    let by = model.judged_by.map_or_else(
        || "made-up loads".to_owned(),
        |count| format!("{count} examples that it had not learned from"),
    );
    text += &format!("Its mean loss by horizon, judged by {by}:\n");
    let mut row = |who: &str, loss: &[f64]| {
        if !loss.is_empty() {
            text += &format!("  {who:<24}{}\n", losses(loss));
        }
    };
    row("this model", &model.loss);
    row("the one it came from", &model.loss_before);
    row("the naive forecast", &model.loss_naive);
    if model.is_current {
        text += "It is in use.\n";
    }
    text
}
