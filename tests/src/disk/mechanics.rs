//! How long a disk takes.
//!
//! Owns: the time at which a request's answer is due. May not: sleep; answers are held back by
//! the connection, so a slow disk still takes requests in.

use std::time::{Duration, Instant};

/// How fast a disk is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// As fast as the host lets it.
    Full,
    /// Flash: requests overlap, their bytes share one bus.
    Flash {
        /// From the request to its answer.
        latency: Duration,
        /// Bytes per second of all requests together.
        bytes_per_second: u64,
    },
    /// One head over turning platters: one request at a time.
    Rotating {
        /// A seek over the whole disk; a shorter one takes less, by the root of its distance.
        full_seek: Duration,
        /// One turn; a request that does not follow the last one waits half of it.
        turn: Duration,
        /// Bytes per second under the head.
        bytes_per_second: u64,
    },
}

/// The moving parts.
#[derive(Debug)]
pub(super) struct Mechanics {
    speed: Speed,
    disk_bytes: u64,
    /// Until when the bus or the head is taken.
    busy_until: Instant,
    /// Where the head stands.
    head: u64,
}

impl Mechanics {
    pub(super) fn new(speed: Speed, disk_bytes: u64) -> Self {
        Self {
            speed,
            disk_bytes,
            busy_until: Instant::now(),
            head: 0,
        }
    }

    pub(super) fn set_speed(&mut self, speed: Speed) {
        self.speed = speed;
    }

    /// When the answer to a request that came at `now` is due.
    pub(super) fn due(&mut self, now: Instant, offset: u64, length: u64) -> Instant {
        let free = self.busy_until.max(now);
        match self.speed {
            Speed::Full => now,
            Speed::Flash {
                latency,
                bytes_per_second,
            } => {
                self.busy_until = free + transfer(length, bytes_per_second);
                self.busy_until + latency
            }
            Speed::Rotating {
                full_seek,
                turn,
                bytes_per_second,
            } => {
                let mut service = transfer(length, bytes_per_second);
                if offset != self.head && length > 0 {
                    #[allow(clippy::cast_precision_loss, reason = "a share of the disk's width")]
                    let share = offset.abs_diff(self.head) as f64 / self.disk_bytes as f64;
                    service += full_seek.mul_f64(share.min(1.0).sqrt()) + turn / 2;
                }
                if length > 0 {
                    self.head = offset + length;
                }
                self.busy_until = free + service;
                self.busy_until
            }
        }
    }
}

fn transfer(length: u64, bytes_per_second: u64) -> Duration {
    Duration::from_nanos(length.saturating_mul(1_000_000_000) / bytes_per_second.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_rotating_disk_serves_one_at_a_time_and_sequential_ones_without_a_seek() {
        let speed = Speed::Rotating {
            full_seek: 16 * MS,
            turn: 8 * MS,
            bytes_per_second: 100 << 20,
        };
        let mut disk = Mechanics::new(speed, 1 << 30);
        let now = Instant::now() + MS;
        let first = disk.due(now, 1 << 28, 1 << 20);
        // A quarter of the disk is half of a full seek; half a turn; 10 ms of bytes.
        assert_eq!((first - now).as_millis(), 8 + 4 + 10);
        let second = disk.due(now, (1 << 28) + (1 << 20), 1 << 20);
        assert_eq!((second - first).as_millis(), 10);
    }

    #[test]
    fn flash_overlaps_latency_and_shares_its_bus() {
        let speed = Speed::Flash {
            latency: 5 * MS,
            bytes_per_second: 1 << 30,
        };
        let mut disk = Mechanics::new(speed, 1 << 30);
        let now = Instant::now() + MS;
        let first = disk.due(now, 0, 1 << 20);
        let second = disk.due(now, 1 << 29, 1 << 20);
        assert!(first - now > 5 * MS && first - now < 7 * MS);
        assert!(second - first < MS, "latencies overlap");
    }
}
