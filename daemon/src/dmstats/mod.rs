//! Counting I/O without eBPF: the kernel's own device-mapper statistics on the volume.
//!
//! Owns: [`DmStats`], which creates one statistics region over the volume with one area per region
//! of the volume, and drains it. What it gives is coarser than the probe's: nothing tells
//! sequential from random, no region is reported within an interval, and what the kernel counts
//! between printing an area and clearing it is lost. Counts are hints in any case (rule 8).
//!
//! Kernel facts: Documentation/admin-guide/device-mapper/statistics.rst; drivers/md/dm-stats.c.

mod area;
mod channel;

#[cfg(test)]
mod tests;

use tier_core::event::Samples;
use tier_core::units::{Bytes, Micros, Now, RegionSize, Sectors, VolumeRegion};

use self::area::Area;
pub use self::channel::{DmVolume, Messages, possible_cpus};

/// By which the kernel's list tells our statistics from those of others (`dmstats`).
const PROGRAM: &str = "tierd";

/// Areas asked for in one message: at 60 bytes each, half a megabyte of answer.
const AREAS_PER_MESSAGE: u32 = 8192;

/// Kernel memory that one area takes besides its counters (`struct dm_stat_shared`).
const SHARED_BYTES: u64 = 120;
/// Kernel memory that one area takes on each CPU that may come to exist
/// (`struct dm_stat_percpu`).
const PER_CPU_BYTES: u64 = 104;

/// What is to be counted, and what that may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Number of regions of the volume.
    pub regions: u32,
    /// Size of each.
    pub region_size: RegionSize,
    /// CPUs that may come to exist ([`possible_cpus`]).
    pub cpus: u32,
    /// Kernel memory that the counters may take.
    pub budget: Bytes,
}

impl Plan {
    /// Kernel memory that the counters take.
    #[must_use]
    pub fn memory(&self) -> Bytes {
        let area = SHARED_BYTES + PER_CPU_BYTES * u64::from(self.cpus);
        Bytes(area * u64::from(self.regions))
    }
}

/// Statistics on a running volume. Dropping it leaves them in the kernel, where the next start
/// finds and removes them; [`DmStats::end`] removes them at once.
#[derive(Debug)]
pub struct DmStats<M> {
    channel: M,
    plan: Plan,
    id: u64,
    drained: Now,
}

/// Why nothing is counted.
#[derive(Debug, thiserror::Error)]
pub enum DmStatsError {
    /// The counters would take more kernel memory than they may.
    #[error(
        "device-mapper statistics for {regions} regions on {cpus} CPUs take {needed} bytes of \
         kernel memory, over the budget of {budget}; raise probe.memory, or run a kernel that can \
         load the eBPF probe"
    )]
    OverBudget {
        /// Regions to count.
        regions: u32,
        /// CPUs to count on.
        cpus: u32,
        /// Bytes needed.
        needed: Bytes,
        /// Bytes allowed.
        budget: Bytes,
    },
    /// The kernel refused a message.
    #[error("device-mapper message \"{message}\" to {device} failed")]
    Message {
        /// Which message.
        message: String,
        /// To which device.
        device: String,
        /// What the kernel said.
        source: Box<devicemapper::DmError>,
    },
    /// The kernel's answer is not what its documentation describes.
    #[error("device-mapper answered \"{message}\" with {answer:?}, which is not understood")]
    Answer {
        /// The message.
        message: String,
        /// The answer, or the line of it.
        answer: String,
    },
}

impl<M: Messages> DmStats<M> {
    /// Begins to count. Statistics that an earlier tierd left on the volume are removed; those of
    /// other programs stay.
    pub fn begin(mut channel: M, plan: Plan, now: Now) -> Result<Self, DmStatsError> {
        let needed = plan.memory();
        if needed > plan.budget {
            let Plan {
                regions,
                cpus,
                budget,
                ..
            } = plan;
            return Err(DmStatsError::OverBudget {
                regions,
                cpus,
                needed,
                budget,
            });
        }
        remove_leftovers(&mut channel)?;
        let Sectors(step) = plan.region_size.sectors();
        let end = step * u64::from(plan.regions);
        let message = format!("@stats_create 0+{end} {step} {PROGRAM}");
        let answer = ask(&mut channel, &message)?;
        let id = answer
            .trim()
            .parse()
            .map_err(|_| unexpected(&message, &answer))?;
        Ok(Self {
            channel,
            plan,
            id,
            drained: now,
        })
    }

    /// What was counted since the drain before, which is thereby forgotten in the kernel.
    pub fn drain(&mut self, now: Now) -> Result<Samples, DmStatsError> {
        let mut samples = Samples {
            interval: Micros(now.nanos_since(self.drained) / 1000),
            ..Samples::default()
        };
        let mut first = 0;
        while first < self.plan.regions {
            let count = AREAS_PER_MESSAGE.min(self.plan.regions - first);
            self.drain_areas(first, count, &mut samples)?;
            first += count;
        }
        self.drained = now;
        Ok(samples)
    }

    /// Removes the statistics from the volume.
    pub fn end(mut self) -> Result<(), DmStatsError> {
        self.channel
            .send(&format!("@stats_delete {}", self.id))
            .map(|_| ())
    }

    fn drain_areas(
        &mut self,
        first: u32,
        count: u32,
        samples: &mut Samples,
    ) -> Result<(), DmStatsError> {
        let message = format!("@stats_print_clear {} {first} {count}", self.id);
        let answer = ask(&mut self.channel, &message)?;
        let Sectors(step) = self.plan.region_size.sectors();
        let mut lines = 0;
        for line in answer.lines() {
            let expected = u64::from(first + lines) * step;
            let area = Area::parse(line)
                .filter(|area| lines < count && area.start == Sectors(expected))
                .ok_or_else(|| unexpected(&message, line))?;
            if !area.is_idle() {
                samples
                    .regions
                    .push(area.on_region(VolumeRegion(first + lines)));
            }
            lines += 1;
        }
        if lines == count {
            Ok(())
        } else {
            Err(unexpected(&message, &format!("{lines} lines")))
        }
    }
}

fn remove_leftovers(channel: &mut impl Messages) -> Result<(), DmStatsError> {
    let message = format!("@stats_list {PROGRAM}");
    // No answer is an empty list.
    let answer = channel.send(&message)?.unwrap_or_default();
    for line in answer.lines() {
        let id = line
            .split_once(':')
            .and_then(|(id, _)| id.parse::<u64>().ok());
        let id = id.ok_or_else(|| unexpected(&message, line))?;
        channel.send(&format!("@stats_delete {id}"))?;
    }
    Ok(())
}

fn ask(channel: &mut impl Messages, message: &str) -> Result<String, DmStatsError> {
    channel
        .send(message)?
        .ok_or_else(|| unexpected(message, "nothing"))
}

fn unexpected(message: &str, answer: &str) -> DmStatsError {
    DmStatsError::Answer {
        message: message.to_owned(),
        answer: answer.to_owned(),
    }
}
