//! `tierctl model retrain`: has a new model trained.

use clap::Args;
use tier_wire::{ModelList, Retrain as Asked, VolumeName, route};

use crate::client::Client;
use crate::failure::Failure;
use crate::printer::Printer;

#[derive(Args, Debug)]
pub(crate) struct Retrain {
    /// The volume
    volume: Option<VolumeName>,
}

impl Retrain {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let name = client.volume_or_only(self.volume).await?;
        let target = route::of_volume(route::RETRAIN, &name);
        let list: ModelList = client.post(&target, &Asked {}).await?;
        printer.show(&list, |list, _| {
            format!(
                "A training with {} examples has begun. `tierctl model list` says how it ends.\n",
                list.examples
            )
        })
    }
}
