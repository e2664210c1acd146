//! Owns: a move's two devices, from their making to their removal.
//!
//! Invariant: a mirror is removed, or made harmless, before the leg that was dropped is said to be
//! free: one that is only unreachable goes on copying.

use std::collections::BTreeMap;

use tier_core::command::{AddLeg, DropLeg};
use tier_core::units::{MoveId, Sectors};
use tier_core::volume::Leg;
use tier_sys::block::DeviceNumber;
use tier_sys::dm::UdevRules;

use super::hold::GateSwap;
use super::map::{leg_at, place_of};
use super::names::Device;
use super::table::{
    LEAD_IN, Mirror, Place, Segment, Target, after_lead_in, behind_lead_in, chunk_for,
};
use super::{Behind, DmBackend, not_ours};
use crate::backend::{BackendError, DropOutcome, Hold, check_kept};

impl DmBackend {
    /// Makes a move's two devices: the mirror with its table loaded and not yet live, and the gate
    /// live and linear on the source.
    fn make_move(&mut self, add: &AddLeg) -> Result<DeviceNumber, BackendError> {
        let length = self.layout.regions_to_sectors(add.count);
        let mirror = Mirror {
            chunk: chunk_for(length),
            source: place_of(&self.layout, add.source)?,
            target: place_of(&self.layout, add.target)?,
            handle_errors: true,
            nosync: false,
        };
        #[cfg(feature = "canary")]
        let mirror = self.canary.spoil(mirror);
        self.make(Device::Mirror(add.id))?;
        let table = behind_lead_in(mirror.source.device, length, Target::Mirror(mirror));
        self.control
            .load(&self.names.name(Device::Mirror(add.id)), &table)?;
        let gate = self.make(Device::Move(add.id))?;
        let name = self.names.name(Device::Move(add.id));
        let table = behind_lead_in(mirror.source.device, length, Target::Linear(mirror.source));
        self.control.load(&name, &table)?;
        self.control.resume(&name, UdevRules::NodeOnly)?;
        Ok(gate)
    }

    /// Has a gate that is linear on the source mirror, in a hold of that gate. On an error the
    /// gate is as it was, and the mirror is removed.
    pub(super) fn begin_copy(&mut self, add: &AddLeg) -> Result<Hold, BackendError> {
        let id = add.id;
        let first = match self.put_mirror_beneath(add) {
            Ok(hold) => return Ok(hold),
            Err(first) => first,
        };
        // What the kernel maps counts, and not what it answered: writes go to both legs from then
        // on, and are to be found on both.
        if matches!(self.behind(id), Ok(Behind::Mirror(_))) {
            tracing::error!(%id, error = %first, "a copy has begun all the same; if I/O stands \
                still, run `tierd settle`");
            return Ok(Hold {
                moves: 1,
                ..Hold::default()
            });
        }
        Err(match self.take_down_mirror(id) {
            Ok(()) => first,
            // It may have been started, and is then copying.
            Err(_) => BackendError::StillCopies {
                id,
                source: Box::new(first),
            },
        })
    }

    fn put_mirror_beneath(&mut self, add: &AddLeg) -> Result<Hold, BackendError> {
        let gate = self.names.name(Device::Move(add.id));
        let mirror = self.names.name(Device::Mirror(add.id));
        let over = Place {
            device: self.number(Device::Mirror(add.id))?,
            offset: LEAD_IN,
        };
        let length = self.layout.regions_to_sectors(add.count);
        let source = place_of(&self.layout, add.source)?;
        self.control.load(
            &gate,
            &behind_lead_in(source.device, length, Target::Linear(over)),
        )?;
        #[cfg(feature = "canary")]
        let mirror = self.canary.misname(mirror);
        let held = self.control.start_mirror(&gate, &mirror, self.hold_limit)?;
        #[cfg(feature = "canary")]
        self.canary.deny(&gate)?;
        Ok(held)
    }

    pub(super) fn make(&mut self, device: Device) -> Result<DeviceNumber, BackendError> {
        self.control
            .create(&self.names.name(device), &self.names.uuid(device))
    }

    pub(super) fn remove(&mut self, device: Device) -> Result<(), BackendError> {
        self.control.remove(&self.names.name(device))
    }

    /// Removes the devices of moves that did not come to be.
    pub(super) fn unmake(&mut self, adds: &[AddLeg], first: BackendError) -> BackendError {
        for add in adds {
            let removed = self
                .remove(Device::Move(add.id))
                .and_then(|()| self.take_down_mirror(add.id));
            if let Err(BackendError::Kernel {
                what,
                device,
                source,
            }) = removed
            {
                return BackendError::Stuck {
                    first: Box::new(first),
                    what,
                    device,
                    source,
                };
            }
        }
        first
    }

    /// Makes the moves' devices; on an error none of them is left.
    pub(super) fn make_moves(
        &mut self,
        adds: &[AddLeg],
    ) -> Result<BTreeMap<DeviceNumber, MoveId>, BackendError> {
        let mut made = BTreeMap::new();
        for (at, add) in adds.iter().enumerate() {
            // A device of that name belongs to someone: a failed `create` must not remove it.
            for device in [Device::Move(add.id), Device::Mirror(add.id)] {
                let name = self.names.name(device);
                if self.control.info(&name)?.is_some() {
                    let first = not_ours(&name, "it is there already");
                    return Err(self.unmake(&adds[..at], first));
                }
            }
            match self.make_move(add) {
                Ok(gate) => {
                    made.insert(gate, add.id);
                }
                Err(first) => return Err(self.unmake(&adds[..=at], first)),
            }
        }
        Ok(made)
    }

    /// Removes a mirror that nothing leads to any more, or makes it harmless until whatever has it
    /// open lets go: a mirror that is only unreachable goes on copying to its target, where other
    /// data may soon be. [`BackendError::StillMirrors`], and nothing is changed, if the volume's
    /// I/O goes through it.
    pub(super) fn take_down_mirror(&mut self, id: MoveId) -> Result<(), BackendError> {
        let name = self.names.name(Device::Mirror(id));
        let Some(info) = self.control.info(&name)? else {
            return Ok(());
        };
        if info.open_count > 0 && info.has_table {
            self.check_unreachable(id)?;
            let length = self
                .control
                .table(&name)?
                .last()
                .map_or(LEAD_IN, Segment::end);
            let zero = Segment {
                start: Sectors(0),
                length,
                target: Target::Zero,
            };
            self.control.load(&name, &[zero])?;
            self.control.swap_mirror(&name)?;
        }
        self.control.remove(&name)
    }

    /// Sees that the volume does not lead through this mirror: what it wrote would be lost.
    fn check_unreachable(&self, id: MoveId) -> Result<(), BackendError> {
        let map = match self.volume_map(&self.moves()?) {
            Err(BackendError::NotRunning { .. }) => return Ok(()),
            other => other?,
        };
        if map.move_run(id).is_some() && self.leads_through_mirror(id)? {
            return Err(BackendError::StillMirrors(id));
        }
        Ok(())
    }

    /// Makes a mirror that has lost a leg linear on the kept one, so that its parked writes go on.
    fn free_parked(&mut self, id: MoveId, kept: Place) -> Result<(), BackendError> {
        let name = self.load_linear(id, kept)?;
        self.control.swap_mirror(&name)
    }

    /// Loads into a move's mirror, whose name it gives, the table of one leg alone.
    pub(super) fn load_linear(&mut self, id: MoveId, kept: Place) -> Result<String, BackendError> {
        let name = self.names.name(Device::Mirror(id));
        let length = self.inner_length(&name)?;
        self.control.load(
            &name,
            &behind_lead_in(kept.device, length, Target::Linear(kept)),
        )?;
        Ok(name)
    }

    pub(super) fn inner_length(&self, name: &str) -> Result<Sectors, BackendError> {
        after_lead_in(&self.control.table(name)?)
            .map(|(length, _)| length)
            .ok_or_else(|| not_ours(name, "it does not begin with the lead-in"))
    }

    /// Which leg this place is of a move; none if it is on no member that is there.
    fn leg_of(&mut self, id: MoveId, place: Place) -> Result<Option<Leg>, BackendError> {
        let gate = self.names.name(Device::Move(id));
        let count = self.inner_length(&gate)?.0 / self.layout.region_size.sectors().0;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Ok(leg_at(&self.layout, place, count).ok())
    }

    /// Sees that the leg to keep, which is here, is where it is said to be.
    pub(super) fn check_leg(&mut self, drop: &DropLeg, kept: Place) -> Result<(), BackendError> {
        let found = self.leg_of(drop.id, kept)?;
        // One on a member that is missing cannot be told from another.
        found.map_or(Ok(()), |leg| check_kept(drop, leg, leg))
    }

    /// Finishes a drop that an earlier try left half done: the mirror is linear but the gate still
    /// leads to it, or the gate leads to the leg but the mirror is still there.
    pub(super) fn finish_drop(
        &mut self,
        drop: DropLeg,
        place: Place,
    ) -> Result<DropOutcome, BackendError> {
        let id = drop.id;
        if self.leg_of(id, place)? != Some(drop.leg) {
            return Err(BackendError::AlreadyLinear(id));
        }
        let hold = match self.swap_gate(id, place, false)? {
            GateSwap::Swapped(hold) => hold,
            GateSwap::Incomplete(state) => return Ok(DropOutcome::Refused(state)),
        };
        self.take_down_mirror(id)
            .map_err(|error| BackendError::StillCopies {
                id,
                source: Box::new(error),
            })?;
        Ok(DropOutcome::Dropped(hold))
    }

    /// Points the gate at `kept` itself, in a hold of the gate.
    fn swap_gate(
        &mut self,
        id: MoveId,
        kept: Place,
        require_complete: bool,
    ) -> Result<GateSwap, BackendError> {
        let gate = self.names.name(Device::Move(id));
        let mirror = self.names.name(Device::Mirror(id));
        let length = self.inner_length(&gate)?;
        self.control.load(
            &gate,
            &behind_lead_in(kept.device, length, Target::Linear(kept)),
        )?;
        self.control.swap_gate(
            &gate,
            require_complete.then_some(mirror.as_str()),
            self.hold_limit,
        )
    }

    /// Drops the other leg of a mirror that need not be complete.
    pub(super) fn drop_unconditionally(
        &mut self,
        id: MoveId,
        kept: Place,
    ) -> Result<GateSwap, BackendError> {
        let state = self.mirror_state(id)?;
        if !state.is_well() {
            return self.drop_lost(id, kept);
        }
        match self.swap_gate(id, kept, false) {
            Err(BackendError::HoldTimedOut { device, limit }) => {
                // Perhaps because a leg was lost just now, and writes were parked meanwhile.
                let state = self.mirror_state(id)?;
                if state.is_in_doubt() {
                    return Ok(GateSwap::Incomplete(state));
                }
                if state.is_well() {
                    return Err(BackendError::HoldTimedOut { device, limit });
                }
                self.drop_lost(id, kept)
            }
            other => other,
        }
    }

    /// Drops the other leg of a mirror that has lost it.
    pub(super) fn drop_lost(&mut self, id: MoveId, kept: Place) -> Result<GateSwap, BackendError> {
        self.free_parked(id, kept)?;
        self.swap_gate(id, kept, false)
    }

    /// Drops the other leg of a mirror, if it is complete.
    pub(super) fn drop_if_complete(
        &mut self,
        id: MoveId,
        kept: Place,
    ) -> Result<GateSwap, BackendError> {
        let state = self.mirror_state(id)?;
        if !state.is_complete() {
            return Ok(GateSwap::Incomplete(state));
        }
        match self.swap_gate(id, kept, true) {
            Err(BackendError::HoldTimedOut { device, limit }) => {
                let state = self.mirror_state(id)?;
                if state.is_complete() {
                    return Err(BackendError::HoldTimedOut { device, limit });
                }
                Ok(GateSwap::Incomplete(state))
            }
            other => other,
        }
    }

    /// Removes what was under a run that the volume's table no longer leads through. The swap is
    /// done, so that what is left over is no failure of it: the next activation removes it.
    pub(super) fn remove_folded(&mut self, id: MoveId) {
        let removed = self
            .remove(Device::Move(id))
            .and_then(|()| self.take_down_mirror(id));
        if let Err(error) = removed {
            tracing::warn!(%id, %error, "a folded move's device was left over");
        }
    }
}
