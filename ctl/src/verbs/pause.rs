//! `tierctl pause`: keeps the policy from beginning moves.

use clap::Args;
use tier_wire::{Pause as Asked, PauseState, VolumeName, route};

use crate::client::Client;
use crate::failure::Failure;
use crate::printer::Printer;

#[derive(Args, Debug)]
pub(crate) struct Pause {
    /// The volume
    volume: Option<VolumeName>,
}

impl Pause {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        set(client, printer, self.volume, route::PAUSE).await
    }
}

/// Pauses or resumes, by the route, and says what is so now.
pub(super) async fn set(
    client: &Client,
    printer: &mut Printer,
    volume: Option<VolumeName>,
    pattern: &str,
) -> Result<(), Failure> {
    let name = client.volume_or_only(volume).await?;
    let state: PauseState = client
        .post(&route::of_volume(pattern, &name), &Asked {})
        .await?;
    printer.show(&state, |state, _| {
        if state.paused {
            format!(
                "Volume {}: paused. Moves under way go on; `tierctl resume` ends the pause.\n",
                state.volume
            )
        } else {
            format!("Volume {}: the policy is active.\n", state.volume)
        }
    })
}
