//! Owns: a volume's table in regions, as it is edited between reading it from the kernel and
//! loading it again.
//!
//! Pure. Invariants: runs are in order, cover every region of the volume once, and no two that
//! could be one stand side by side (fewer targets, cheaper flushes).

use std::collections::BTreeMap;

use tier_core::units::{MemberRegion, MoveId, Sectors, VolumeRegion};
use tier_core::volume::{Extent, Leg, Legs};
use tier_sys::block::DeviceNumber;

use super::table::{LEAD_IN, Place, Segment, Target};
use crate::backend::{BackendError, Layout};

/// Where a run of the volume's table points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// To a member, directly.
    Member(Leg),
    /// To a move's device.
    Move(MoveId),
}

/// Adjacent regions that point to one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) home: Home,
}

impl Run {
    const fn end(self) -> u32 {
        self.first.saturating_add(self.count)
    }

    /// The part of it from `first` on, `count` long; both lie within it.
    const fn part(self, first: u32, count: u32) -> Self {
        let home = match self.home {
            Home::Member(leg) => Home::Member(leg.plus(first - self.first)),
            Home::Move(id) => Home::Move(id),
        };
        Self { first, count, home }
    }

    /// Whether `next` only goes on with this one.
    fn continues_in(self, next: Self) -> bool {
        match (self.home, next.home) {
            (Home::Member(here), Home::Member(there)) => {
                self.end() == next.first && here.plus(self.count) == there
            }
            _ => false,
        }
    }
}

/// A volume's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VolumeMap {
    runs: Vec<Run>,
}

impl VolumeMap {
    /// What the records want: each extent on its home.
    pub(crate) fn from_extents(layout: &Layout, extents: &[Extent]) -> Result<Self, BackendError> {
        let mut runs = Vec::with_capacity(extents.len());
        let mut next = 0;
        for extent in extents {
            let bad = |why: &str| {
                BackendError::Layout(format!("the extent at region {}: {why}", extent.first))
            };
            let leg = extent.home().ok_or_else(|| bad("has no home"))?;
            if extent.first.0 != next || extent.count == 0 {
                return Err(bad(&format!("region {next} should come here")));
            }
            check_leg(layout, leg, extent.count).map_err(|why| bad(&why))?;
            next = extent.end().0;
            runs.push(Run {
                first: extent.first.0,
                count: extent.count,
                home: Home::Member(leg),
            });
        }
        if next != layout.regions {
            return Err(BackendError::Layout(format!(
                "the extents end at region {next}, and the volume at {}",
                layout.regions
            )));
        }
        Ok(Self {
            runs: coalesce(runs),
        })
    }

    /// What the kernel holds. `moves` are the volume's move devices by number.
    pub(crate) fn from_table(
        layout: &Layout,
        device: &str,
        table: &[Segment],
        moves: &BTreeMap<DeviceNumber, MoveId>,
    ) -> Result<Self, BackendError> {
        let mut runs = Vec::with_capacity(table.len());
        let mut next = 0;
        for segment in table {
            let foreign = |why: String| BackendError::Foreign {
                device: device.to_owned(),
                sector: segment.start.0,
                why,
            };
            let Target::Linear(place) = segment.target else {
                return Err(foreign(format!("{segment} is not linear")));
            };
            let whole = || foreign(format!("{segment} is not made of whole regions in order"));
            let first = to_regions(layout, segment.start).filter(|at| *at == next);
            let first = first.ok_or_else(whole)?;
            let count = to_regions(layout, segment.length).ok_or_else(whole)?;
            let home = if let Some(id) = moves.get(&place.device) {
                if place.offset != LEAD_IN {
                    return Err(foreign(format!(
                        "{segment} does not begin behind the lead-in"
                    )));
                }
                Home::Move(*id)
            } else {
                Home::Member(leg_at(layout, place, count).map_err(foreign)?)
            };
            next = first.saturating_add(count);
            runs.push(Run { first, count, home });
        }
        if next != layout.regions {
            return Err(BackendError::Foreign {
                device: device.to_owned(),
                sector: layout.regions_to_sectors(next).0,
                why: format!(
                    "it ends at region {next}, and the volume at {}",
                    layout.regions
                ),
            });
        }
        Ok(Self {
            runs: coalesce(runs),
        })
    }

    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The run that a move's device serves.
    pub(crate) fn move_run(&self, id: MoveId) -> Option<Run> {
        self.runs
            .iter()
            .copied()
            .find(|run| run.home == Home::Move(id))
    }

    /// Where these regions are, if they are on one member, in order, and not behind a move.
    pub(crate) fn leg_of(&self, first: VolumeRegion, count: u32) -> Option<Leg> {
        let run = self
            .runs
            .iter()
            .find(|run| run.first <= first.0 && first.0 < run.end())?;
        let end = first.0.checked_add(count)?;
        match run.part(first.0, count).home {
            Home::Member(leg) if end <= run.end() => Some(leg),
            _ => None,
        }
    }

    /// Points these regions elsewhere. They lie within the volume.
    pub(crate) fn set(&mut self, first: VolumeRegion, count: u32, home: Home) {
        let new = Run {
            first: first.0,
            count,
            home,
        };
        let mut runs = Vec::with_capacity(self.runs.len() + 2);
        let mut placed = false;
        for run in &self.runs {
            if run.first < new.first {
                let before = run.count.min(new.first - run.first);
                runs.push(run.part(run.first, before));
            }
            if run.end() > new.first && !placed {
                runs.push(new);
                placed = true;
            }
            if run.end() > new.end() {
                let from = run.first.max(new.end());
                runs.push(run.part(from, run.end() - from));
            }
        }
        self.runs = coalesce(runs);
    }

    /// The table for the kernel.
    pub(crate) fn to_table(
        &self,
        layout: &Layout,
        moves: &BTreeMap<DeviceNumber, MoveId>,
    ) -> Result<Vec<Segment>, BackendError> {
        self.runs
            .iter()
            .map(|run| {
                let place = match run.home {
                    Home::Member(leg) => place_of(layout, leg)?,
                    Home::Move(id) => moves
                        .iter()
                        .find(|(_, of)| **of == id)
                        .map(|(device, _)| Place {
                            device: *device,
                            offset: LEAD_IN,
                        })
                        .ok_or(BackendError::NoSuchMove(id))?,
                };
                Ok(Segment {
                    start: layout.regions_to_sectors(run.first),
                    length: layout.regions_to_sectors(run.count),
                    target: Target::Linear(place),
                })
            })
            .collect()
    }

    /// The runs that point to members, as extents.
    pub(crate) fn direct(&self) -> Vec<Extent> {
        let extent = |run: &Run| match run.home {
            Home::Member(leg) => Some(Extent {
                first: VolumeRegion(run.first),
                count: run.count,
                legs: Legs::from_iter([leg]),
            }),
            Home::Move(_) => None,
        };
        self.runs.iter().filter_map(extent).collect()
    }
}

/// Where a leg lies on its member's device.
pub(crate) fn place_of(layout: &Layout, leg: Leg) -> Result<Place, BackendError> {
    let no_place = |why: &str| BackendError::Layout(format!("member {}: {why}", leg.member));
    let member = layout
        .member(leg.member)
        .ok_or_else(|| no_place("there is none"))?;
    let data_start = member
        .data_start
        .to_sectors()
        .ok_or_else(|| no_place("its data start within a sector"))?;
    let into = layout.regions_to_sectors(leg.first.0);
    Ok(Place {
        device: member.number,
        offset: Sectors(data_start.0 + into.0),
    })
}

/// Which leg a place on a member is.
pub(crate) fn leg_at(layout: &Layout, place: Place, count: u32) -> Result<Leg, String> {
    let member = layout
        .member_on(place.device)
        .ok_or_else(|| format!("{} is no member of the volume", place.device))?;
    let data_start = member.data_start.to_sectors().unwrap_or_default();
    let first = place
        .offset
        .0
        .checked_sub(data_start.0)
        .and_then(|into| to_regions(layout, Sectors(into)))
        .ok_or_else(|| {
            format!(
                "sector {} of {} begins no region",
                place.offset, place.device
            )
        })?;
    let leg = Leg {
        member: member.index,
        first: MemberRegion(first),
    };
    check_leg(layout, leg, count)?;
    Ok(leg)
}

/// Sees that a leg of so many regions lies on a member.
pub(crate) fn check_leg(layout: &Layout, leg: Leg, count: u32) -> Result<(), String> {
    let member = layout
        .member(leg.member)
        .ok_or_else(|| format!("there is no member {}", leg.member))?;
    match leg.first.0.checked_add(count) {
        Some(end) if end <= member.regions => Ok(()),
        _ => Err(format!(
            "{count} regions from {} on are not all on member {}, which has {}",
            leg.first, leg.member, member.regions
        )),
    }
}

fn to_regions(layout: &Layout, sectors: Sectors) -> Option<u32> {
    let region = layout.region_size.sectors().0;
    if !sectors.0.is_multiple_of(region) {
        return None;
    }
    u32::try_from(sectors.0 / region).ok()
}

fn coalesce(runs: Vec<Run>) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::with_capacity(runs.len());
    for run in runs {
        match out.last_mut() {
            Some(last) if last.continues_in(run) => last.count += run.count,
            _ => out.push(run),
        }
    }
    out
}

#[cfg(test)]
mod tests;
