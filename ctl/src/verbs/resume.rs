//! `tierctl resume`: lets the policy begin moves again.

use clap::Args;
use tier_wire::{VolumeName, route};

use super::pause::set;
use crate::client::Client;
use crate::failure::Failure;
use crate::printer::Printer;

#[derive(Args, Debug)]
pub(crate) struct Resume {
    /// The volume
    volume: Option<VolumeName>,
}

impl Resume {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        set(client, printer, self.volume, route::RESUME).await
    }
}
