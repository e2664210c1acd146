//! Showing something again and again.
//!
//! Owns: the options of `--watch` and its loop.

use std::future::Future;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::failure::Failure;
use crate::printer::{Look, Printer};
use crate::units::parse_duration;

/// How often to show.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Watch {
    /// Show again and again until interrupted
    #[arg(long = "watch")]
    again: bool,
    /// Time between two looks, for --watch
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    interval: Duration,
    /// Stop after so many looks (implies --watch)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
}

impl Watch {
    /// Fetches and shows, once or again and again.
    pub(crate) async fn show<T: Serialize, F: Future<Output = Result<T, Failure>>>(
        self,
        printer: &mut Printer,
        mut fetch: impl FnMut() -> F,
        human: impl Fn(&T, Look) -> String,
    ) -> Result<(), Failure> {
        if !self.again && self.count.is_none() {
            return printer.show(&fetch().await?, human);
        }
        let mut shown = 0_u32;
        loop {
            printer.show_again(&fetch().await?, shown == 0, &human)?;
            shown = shown.saturating_add(1);
            if self.count.is_some_and(|count| shown >= count) {
                return Ok(());
            }
            tokio::time::sleep(self.interval).await;
        }
    }
}
