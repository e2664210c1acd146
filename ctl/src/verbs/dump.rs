//! `tierctl dump`: the labels and the newest whole metadata of a volume's members, as JSON.

use clap::Args;
use tier_store::dump::dump;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::offline::{Devices, not_readable};
use crate::printer::Printer;

#[derive(Args, Debug)]
pub(crate) struct Dump {
    #[command(flatten)]
    devices: Devices,
}

impl Dump {
    pub(crate) fn run(self, printer: &mut Printer) -> Result<(), Failure> {
        let dump = dump(&self.devices.open()?).map_err(|error| not_readable(&error))?;
        let text = serde_json::to_string_pretty(&dump).map_err(|error| {
            Failure::new(
                Exit::Internal,
                format!("cannot write the dump as JSON: {error}"),
            )
        })?;
        printer.show(&dump, |_, _| format!("{text}\n"))
    }
}
