//! The start: what the record says, what the kernel still runs, and how they go together
//! (recovery rules A to F of [`super`]).

use super::{Device, Former, Gate, Migrate, Move};
use crate::alloc::Alloc;
use crate::command::Reason;
use crate::event::{AdoptedMove, AdoptedStage, Kept};
use crate::map::Map;
use crate::units::Now;
use crate::volume::{Leg, VolumeState};

impl Migrate {
    /// Takes in the durable state, and the moves that the kernel still runs. The shell has seen
    /// that the rest of the kernel's table is what the record says.
    pub(crate) fn start(&mut self, state: VolumeState, adopted: &[AdoptedMove], now: Now) {
        self.region_size = state.region_size;
        self.generation = state.generation;
        self.alloc = Alloc::new(&state.members);
        self.members = state.members;
        match Map::new(state.regions, &state.extents) {
            Ok(map) => self.map = map,
            Err(error) => {
                self.latch(error.to_string());
                return;
            }
        }
        for (first, leg, count) in owned(&state.extents) {
            if !self.alloc.take(leg, count) {
                self.latch(format!(
                    "the record gives regions of member {} from {} on to two extents, or they do \
                     not exist (extent at region {first})",
                    leg.member, leg.first
                ));
            }
        }
        let gate = if adopted.is_empty() {
            Gate::Open
        } else {
            Gate::Adopted
        };
        for retired in state.retired {
            if !self.alloc.take(retired.leg, retired.count) {
                self.latch(format!(
                    "the record retires regions of member {} from {} on that are in use",
                    retired.leg.member, retired.leg.first
                ));
            }
            self.retired.push(Former {
                retired,
                gate,
                failed: false,
            });
        }
        for found in adopted {
            self.reserve_id(found.id);
            if let Err(why) = self.adopt(found, now) {
                self.latch(format!(
                    "move {} was found in the kernel's tables, {why}",
                    found.id
                ));
            }
        }
    }

    fn adopt(&mut self, found: &AdoptedMove, now: Now) -> Result<(), &'static str> {
        let end = found.first.0.checked_add(found.count);
        if found.count == 0 || end.is_none_or(|end| end > self.map.regions()) {
            return Err("beyond the volume's end");
        }
        if self.mover_of(found.first, found.count).is_some() {
            return Err("in the way of another");
        }
        let is_home = |leg: Leg| self.map.is_home(found.first, found.count, leg);
        let mut one = self.new_move(
            found.id,
            found.first,
            found.count,
            found.source,
            found.target,
            Reason::Adopted,
            now,
        );
        one.adopted = true;
        one.home = if is_home(found.target) {
            Kept::Target
        } else if is_home(found.source) {
            Kept::Source
        } else {
            return Err("but the record names neither of its legs");
        };
        match found.stage {
            AdoptedStage::Linear(leg) if is_home(leg) => {
                one.device = Device::Linear(one.home);
                // The other leg is behind it: retired, or reserved by nobody any more.
                (one.source, one.target) = (leg, leg);
            }
            AdoptedStage::Linear(_) => {
                return Err("linear on a leg that the record does not name");
            }
            AdoptedStage::Mirror(_) if found.source == found.target => {
                return Err("a mirror of one leg");
            }
            AdoptedStage::Mirror(state) => {
                one.device = Device::Mirror;
                self.adopt_other_leg(&mut one)?;
                one.observe(state);
                // While its target is tried, no flush has been ordered.
                if one.home == Kept::Source && one.was_complete && !one.is_on_trial() {
                    one.fail(
                        "it was complete when the daemon ended, and its flush may have failed",
                    );
                }
            }
        }
        self.claim(&one);
        self.live.insert(one.id, one);
        Ok(())
    }

    /// Finds out to whom the leg of a live mirror belongs that is not its home.
    fn adopt_other_leg(&mut self, one: &mut Move) -> Result<(), &'static str> {
        let other = if one.home == Kept::Target {
            one.source
        } else {
            one.target
        };
        let retired = self
            .retired
            .iter()
            .any(|former| former.retired.leg == other && former.retired.count == one.count);
        if retired {
            // Which generation made the home is not recorded; marking the newest covers it.
            one.home_since = self.generation;
        }
        match (one.home, retired) {
            // It was complete when its commit was made, or there would be none.
            (Kept::Target, true) => one.was_complete = true,
            (Kept::Target, false) => return Err("but its former home was freed"),
            (Kept::Source, true) => one.fail("it was being wound back when the daemon ended"),
            (Kept::Source, false) if self.alloc.take(other, one.count) => {}
            (Kept::Source, false) => {
                return Err("writing to regions that the record gives to others");
            }
        }
        Ok(())
    }
}

/// Every leg of every extent, with the extent's first region and count.
fn owned(
    extents: &[crate::volume::Extent],
) -> impl Iterator<Item = (crate::units::VolumeRegion, Leg, u32)> + '_ {
    extents.iter().flat_map(|extent| {
        extent
            .legs
            .iter()
            .map(|&leg| (extent.first, leg, extent.count))
    })
}
