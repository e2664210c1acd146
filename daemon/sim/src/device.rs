//! Models of devices: how long a request takes, and how long it keeps others waiting.
//!
//! Owns: [`Device`], a device with its queue. A hard disk has one head, which takes its time to
//! get anywhere but to where the last request ended, and serves one request after the other. Flash
//! serves several at a time, whose bytes share one bus. Requests are served in the order in which
//! they are given, which must be that of time.

use tier_core::units::nanos;
use tier_core::volume::{Class, Profile};

use crate::trace::Op;

/// Requests that flash serves at a time.
const fn channels(class: Class) -> usize {
    match class {
        Class::Nvme => 16,
        Class::Ssd => 8,
        Class::Hdd => 1,
    }
}

/// How a request was served, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// When it was done.
    pub(crate) done_nanos: u64,
    /// How long the device worked for it.
    pub(crate) busy_nanos: u64,
}

/// A device and its queue.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    class: Class,
    profile: Profile,
    /// When each channel is free.
    free_nanos: Vec<u64>,
    /// When the bus is free.
    bus_nanos: u64,
    /// Where the head stands.
    head: u64,
}

impl Device {
    pub(crate) fn new(class: Class, profile: Profile) -> Self {
        Self {
            class,
            profile,
            free_nanos: vec![0; channels(class)],
            bus_nanos: 0,
            head: u64::MAX,
        }
    }

    /// Serves a request that comes at `now_nanos`, no earlier than those before it.
    pub(crate) fn serve(&mut self, now_nanos: u64, op: Op, offset: u64, length: u64) -> Served {
        let access_seconds = match op {
            Op::Read => self.profile.read_seconds,
            Op::Write => self.profile.write_seconds,
        };
        #[allow(clippy::cast_precision_loss, reason = "a length has no 53 bits")]
        let transfer = nanos(length as f64 / self.profile.bytes_per_second);
        let access = nanos(access_seconds);
        if self.class == Class::Hdd {
            self.serve_by_head(now_nanos, offset, length, access, transfer)
        } else {
            self.serve_by_channel(now_nanos, access, transfer)
        }
    }

    fn serve_by_head(
        &mut self,
        now: u64,
        offset: u64,
        length: u64,
        access: u64,
        transfer: u64,
    ) -> Served {
        let positioning = if offset == self.head { 0 } else { access };
        self.head = offset.saturating_add(length);
        let busy = positioning.saturating_add(transfer);
        let free = self.free_nanos.first_mut();
        let done = now
            .max(free.as_deref().copied().unwrap_or(0))
            .saturating_add(busy);
        if let Some(free) = free {
            *free = done;
        }
        Served {
            done_nanos: done,
            busy_nanos: busy,
        }
    }

    fn serve_by_channel(&mut self, now: u64, access: u64, transfer: u64) -> Served {
        let Some(free) = self.free_nanos.iter_mut().min() else {
            return Served {
                done_nanos: now,
                busy_nanos: 0,
            };
        };
        let begun = now.max(*free);
        self.bus_nanos = self.bus_nanos.max(begun).saturating_add(transfer);
        let done = self.bus_nanos.max(begun.saturating_add(access));
        *free = done;
        Served {
            done_nanos: done,
            busy_nanos: access.max(transfer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn disk() -> Device {
        let profile = Profile {
            read_seconds: 0.008,
            write_seconds: 0.008,
            bytes_per_second: 2e8,
        };
        Device::new(Class::Hdd, profile)
    }

    #[test]
    fn a_disk_serves_one_at_a_time_and_seeks_but_where_it_goes_on() {
        let mut disk = disk();
        let first = disk.serve(0, Op::Read, 1 << 30, 200_000);
        assert_eq!((first.done_nanos, first.busy_nanos), (9 * MS, 9 * MS));
        let next = disk.serve(MS, Op::Read, (1 << 30) + 200_000, 200_000);
        assert_eq!((next.done_nanos, next.busy_nanos), (10 * MS, MS));
        let elsewhere = disk.serve(100 * MS, Op::Write, 0, 0);
        assert_eq!(elsewhere.done_nanos, 108 * MS);
    }

    #[test]
    fn flash_overlaps_accesses_and_shares_its_bus() {
        let profile = Profile {
            read_seconds: 0.001,
            write_seconds: 0.001,
            bytes_per_second: 1e9,
        };
        let mut flash = Device::new(Class::Ssd, profile);
        let done: Vec<u64> = (0..9)
            .map(|_| flash.serve(0, Op::Read, 0, 0).done_nanos)
            .collect();
        assert_eq!(done[..8], [MS; 8], "eight at a time");
        assert_eq!(done[8], 2 * MS);
        let mut flash = Device::new(Class::Ssd, profile);
        let large = |flash: &mut Device| flash.serve(0, Op::Write, 0, 5_000_000).done_nanos;
        assert_eq!((large(&mut flash), large(&mut flash)), (5 * MS, 10 * MS));
    }
}
