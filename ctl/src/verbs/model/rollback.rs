//! `tierctl model rollback`: uses an older model again.

use clap::Args;
use tier_wire::{ModelList, Rollback as Asked, VolumeName, route};

use crate::client::Client;
use crate::failure::Failure;
use crate::printer::Printer;

#[derive(Args, Debug)]
pub(crate) struct Rollback {
    /// The model to use; the one before the one in use unless given
    #[arg(value_name = "MODEL")]
    to: Option<u32>,
    /// The volume
    #[arg(long)]
    volume: Option<VolumeName>,
}

impl Rollback {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let name = client.volume_or_only(self.volume).await?;
        let target = route::of_volume(route::ROLLBACK, &name);
        let list: ModelList = client.post(&target, &Asked { to: self.to }).await?;
        printer.show(&list, |list, _| {
            let current = list.models.iter().find(|model| model.is_current);
            current.map_or_else(
                || "No model is in use.\n".to_owned(),
                |model| {
                    format!(
                        "Volume {}: model {} is in use.\n",
                        list.volume, model.number
                    )
                },
            )
        })
    }
}
