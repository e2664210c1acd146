//! When what is wanted has to begin: deadlines in seconds, and the latest start that keeps each.
//!
//! Owns: [`Standing`], how a want stands to the time of its demand, and the order in which wants
//! have their turn. Those whose latest start has come go first, the earliest deadline before all
//! others, which keeps all of them if any order does (J. R. Jackson, "Scheduling a production line to
//! minimize maximum tardiness", 1955). A deadline says when a move is made, not whether: that is
//! for what it gains. May not: begin anything.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::{Policy, Want};
use crate::forecast::{FINITE, horizons_seconds};
use crate::migrate::Migrate;
use crate::units::{Now, VolumeRegion, nanos};
use crate::volume::Class;

/// Copies are taken to last so many times as long as the bytes and the devices say: the pace may be
/// halved on the way, and the members have other work.
const SAFETY: f64 = 2.0;

/// When a move is to begin, and when the demand does for which it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Appointment {
    /// The latest start with which it ends in time.
    pub(crate) begins: Now,
    /// The deadline.
    pub(crate) due: Now,
}

/// How a want stands to the time of its demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its latest start has come; this is its deadline.
    Due(Now),
    /// It has no deadline.
    Open,
    /// Its latest start is to come: it begins earlier only where that takes nothing from anybody.
    Waits(Appointment),
    /// The demand would be over before it is there.
    TooLate,
}

/// How wants stand.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// Of all that do not stand open.
    timed: BTreeMap<VolumeRegion, Standing>,
}

impl Schedule {
    /// How the want of a region stands.
    pub(super) fn of(&self, region: VolumeRegion) -> Standing {
        self.timed.get(&region).copied().unwrap_or(Standing::Open)
    }

    /// Whether the want of a region may have its turn beside one that stands in this way: what waits
    /// is neither brought along by others nor reckoned with when they are weighed.
    pub(super) fn has_turn(&self, region: VolumeRegion, beside: Standing) -> bool {
        match self.of(region) {
            Standing::Due(_) | Standing::Open => true,
            Standing::Waits(_) => matches!(beside, Standing::Waits(_)),
            Standing::TooLate => false,
        }
    }
}

/// Copies that have to be made by a deadline.
#[derive(Clone, Copy, Debug)]
struct Task {
    due: Now,
    seconds: f64,
}

/// The latest start of each, which are given by ascending deadline: what has an earlier deadline or
/// the same one is copied first, and never begins later.
fn latest_starts(tasks: &[Task], margin_seconds: f64) -> Vec<Now> {
    let mut before_seconds = 0.0;
    let mut starts = Vec::with_capacity(tasks.len());
    for same in tasks.chunk_by(|one, other| one.due == other.due) {
        before_seconds += same.iter().map(|task| task.seconds).sum::<f64>();
        let ahead = nanos(before_seconds * SAFETY + margin_seconds);
        starts.extend(
            same.iter()
                .map(|task| Now(task.due.0.saturating_sub(ahead))),
        );
    }
    let mut earliest = Now(u64::MAX);
    for start in starts.iter_mut().rev() {
        earliest = earliest.min(*start);
        *start = earliest;
    }
    starts
}

/// Who of two has the first turn; each with what it gains.
pub(super) fn order(one: (Standing, f64), other: (Standing, f64)) -> Ordering {
    let rank = |standing| match standing {
        Standing::Due(due) => (0, due),
        Standing::Open => (1, Now(0)),
        Standing::Waits(appointment) => (2, appointment.due),
        Standing::TooLate => (3, Now(0)),
    };
    let by_time = rank(one.0).cmp(&rank(other.0));
    by_time.then(other.1.total_cmp(&one.1))
}

/// How a want stands of which the latest start is known.
fn standing(appointment: Appointment, now: Now) -> Standing {
    if appointment.begins <= now {
        Standing::Due(appointment.due)
    } else {
        Standing::Waits(appointment)
    }
}

impl Policy {
    /// How wants stand to their time.
    pub(super) fn schedule(&self, migrate: &Migrate, now: Now) -> Schedule {
        let mut schedule = Schedule::default();
        let mut timed: Vec<(Task, VolumeRegion)> = Vec::new();
        let mut room: BTreeMap<Class, u32> = BTreeMap::new();
        for want in &self.wants {
            let (region, demand) = (want.candidate.region, want.candidate.demand);
            if demand == crate::forecast::Demand::default() {
                continue;
            }
            let to = want.candidate.to;
            let left = room
                .entry(to)
                .or_insert_with(|| self.known(migrate, now).room(to));
            let copies = if *left > 0 { 1.0 } else { 2.0 };
            *left = left.saturating_sub(1);
            let seconds = self.seconds_of_copy(want, migrate, now) * copies;
            let there = Now(now.0.saturating_add(nanos(seconds)));
            if demand.ends.is_some_and(|ends| ends <= there) {
                schedule.timed.insert(region, Standing::TooLate);
            } else if let Some(due) = demand.begins {
                timed.push((Task { due, seconds }, region));
            }
        }
        timed.sort_by_key(|(task, region)| (task.due, *region));
        let tasks: Vec<Task> = timed.iter().map(|(task, _)| *task).collect();
        // What makes room and what comes follow one another; and plans are made now and then.
        let margin_seconds = self.config.plan_seconds + 2.0 * self.copy_seconds;
        let starts = latest_starts(&tasks, margin_seconds);
        for ((task, region), begins) in timed.into_iter().zip(starts) {
            let appointment = Appointment {
                begins,
                due: task.due,
            };
            schedule.timed.insert(region, standing(appointment, now));
        }
        schedule
    }

    /// How long a region's copy keeps others from theirs: by its devices, by the bytes that the pace
    /// presently allows, or by how long moves lately took of which so many are under way at a time.
    fn seconds_of_copy(&self, want: &Want, migrate: &Migrate, now: Now) -> f64 {
        let mirrors = f64::from(self.pace.mirrors(self.config.mirrors_max));
        let bytes = self.known(migrate, now).region_bytes();
        let paced = bytes / self.pace.bytes_per_second().max(1.0);
        let device_seconds = want.candidate.price.device_seconds;
        device_seconds.max(paced).max(self.copy_seconds / mirrors)
    }

    /// The first horizon that is not before a time.
    pub(super) fn horizon_until(&self, until: Now, now: Now) -> usize {
        let horizons = horizons_seconds(self.config.half_life_seconds);
        let seconds = until.seconds_since(now);
        let is_before = |horizon: &&f64| **horizon < seconds;
        let before = horizons.iter().take_while(is_before).count();
        before.min(FINITE)
    }

    /// When a want that waits is to begin.
    pub(crate) fn appointment(
        &self,
        region: VolumeRegion,
        migrate: &Migrate,
        now: Now,
    ) -> Option<Appointment> {
        match self.schedule(migrate, now).of(region) {
            Standing::Waits(appointment) => Some(appointment),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
