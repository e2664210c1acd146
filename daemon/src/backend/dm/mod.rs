//! The device-mapper backend: the kernel maps, copies and mirrors; no byte passes through here.
//!
//! The volume is one device whose table holds only `linear` targets. A move is two devices of its
//! own under one of them:
//!
//! ```text
//! tierd-NAME            linear … linear to tierd-NAME-move-7 … linear …
//! tierd-NAME-move-7     the gate: zeros, then linear to tierd-NAME-mirror-7
//! tierd-NAME-mirror-7   zeros, then mirror of source and target
//! ```
//!
//! A gate begins and ends linear on a leg. The volume is held only to lead I/O through gates, or
//! past them: to start a device takes some tenths of a millisecond, and while the volume is held
//! all of its I/O waits. The mirror is swapped in and out beneath the gate, while the gate alone is
//! held: see [`hold`] for why the mirror itself must not be.
//!
//! Invariants:
//! - A verb that fails leaves the kernel as it was ([`BackendError::Stuck`] says where it could
//!   not).
//! - Mirrors always have `handle_errors` and never `nosync`, and start inside the hold that puts
//!   their gate's I/O behind them: what was written before would be missing on the target.
//! - The kernel is the only memory: each verb reads the tables it is about to change.
//! - Nothing is removed on drop.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use tier_core::command::{AddLeg, DropLeg};
use tier_core::event::{AdoptedMove, AdoptedStage, Kept, MirrorState};
use tier_core::units::{MemberIndex, MoveId, VolumeRegion};
use tier_core::volume::Leg;
use tier_sys::block::DeviceNumber;
use tier_sys::dm::UdevRules;

pub mod activate;
pub(super) mod adds;
mod calls;
#[cfg(feature = "canary")]
pub mod canary;
mod control;
mod doubt;
pub mod events;
pub mod flush;
mod hold;
pub(super) mod map;
mod moves;
pub mod names;
pub mod status;
pub mod table;

use self::control::Control;
use self::hold::GateSwap;
use self::map::{Home, VolumeMap, leg_at};
use self::names::{Device, Names};
use self::table::{Mirror, Place, Segment, Target, after_lead_in, difference};
use super::{Added, Backend, BackendError, DropOutcome, Hold, KernelMap, Layout, LegState};

pub use self::activate::{Activated, Activation, Missing};

/// How long a hold waits for I/O in flight before it is given up: 500 ms.
pub const HOLD_LIMIT: Duration = Duration::from_millis(500);

/// One volume on device-mapper.
pub struct DmBackend {
    control: Control,
    layout: Layout,
    names: Names,
    /// Members that a device which fails all I/O stands in for; `layout` has that device.
    missing: BTreeSet<MemberIndex>,
    hold_limit: Duration,
    #[cfg(feature = "canary")]
    canary: canary::Canary,
}

/// What is behind a move's gate.
#[derive(Clone, Copy, Debug)]
enum Behind {
    Mirror(Mirror),
    /// One leg: of the gate itself or, where a death came between the two swaps of a mirror that
    /// had lost a leg, of the mirror's device.
    Leg(Place),
}

impl DmBackend {
    /// For a volume that runs or is to be activated. Opens the control device; touches nothing.
    pub fn new(layout: Layout) -> Result<Self, BackendError> {
        Ok(Self {
            control: Control::open()?,
            names: Names::new(layout.name.clone(), layout.volume),
            layout,
            missing: BTreeSet::new(),
            hold_limit: HOLD_LIMIT,
            #[cfg(feature = "canary")]
            canary: canary::Canary::default(),
        })
    }

    /// Gives up a hold after `limit` instead of [`HOLD_LIMIT`].
    pub const fn set_hold_limit(&mut self, limit: Duration) {
        self.hold_limit = limit;
    }

    /// What this backend maps.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The node of the volume's device, such as `/dev/dm-3`.
    pub fn device_path(&self) -> Result<PathBuf, BackendError> {
        self.node(Device::Volume)
    }

    /// The number of the volume's device.
    pub fn device_number(&self) -> Result<DeviceNumber, BackendError> {
        self.number(Device::Volume)
    }

    /// The node of the device over a member's label and metadata area.
    pub fn area_path(&self, member: MemberIndex) -> Result<PathBuf, BackendError> {
        self.node(Device::Area(member))
    }

    fn node(&self, device: Device) -> Result<PathBuf, BackendError> {
        Ok(format!("/dev/dm-{}", self.number(device)?.minor).into())
    }

    fn number(&self, device: Device) -> Result<DeviceNumber, BackendError> {
        let name = self.names.name(device);
        match self.control.info(&name)? {
            Some(info) => Ok(info.number),
            None => Err(BackendError::NotRunning { device: name }),
        }
    }

    /// This volume's move devices, by number.
    fn moves(&self) -> Result<BTreeMap<DeviceNumber, MoveId>, BackendError> {
        let devices = self.control.list()?.into_iter();
        Ok(devices
            .filter_map(|listed| match self.names.parse(&listed.name) {
                Some(Device::Move(id)) => Some((listed.number, id)),
                _ => None,
            })
            .collect())
    }

    /// The volume's live table.
    fn volume_map(
        &self,
        moves: &BTreeMap<DeviceNumber, MoveId>,
    ) -> Result<VolumeMap, BackendError> {
        let name = self.names.name(Device::Volume);
        match self.control.info(&name)? {
            Some(info) if info.has_table => {}
            _ => return Err(BackendError::NotRunning { device: name }),
        }
        VolumeMap::from_table(&self.layout, &name, &self.control.table(&name)?, moves)
    }

    /// What a move's gate leads to.
    fn behind(&self, id: MoveId) -> Result<Behind, BackendError> {
        let gate = self.names.name(Device::Move(id));
        if self.control.info(&gate)?.is_none() {
            return Err(BackendError::NoSuchMove(id));
        }
        let place = match self.inner_target(&gate)? {
            Target::Linear(place) => place,
            other => return Err(not_ours(&gate, &format!("{other:?} behind its lead-in"))),
        };
        if self.layout.member_on(place.device).is_some() {
            return Ok(Behind::Leg(place));
        }
        let mirror = self.names.name(Device::Mirror(id));
        if self.control.info(&mirror)?.map(|info| info.number) != Some(place.device) {
            let why = format!(
                "it leads to {}, neither a member nor its mirror",
                place.device
            );
            return Err(not_ours(&gate, &why));
        }
        match self.inner_target(&mirror)? {
            Target::Mirror(found) => Ok(Behind::Mirror(found)),
            Target::Linear(place) => Ok(Behind::Leg(place)),
            Target::Zero => Err(not_ours(&mirror, "it has been taken down")),
            Target::Error => Err(not_ours(&mirror, "it fails all I/O")),
        }
    }

    fn inner_target(&self, name: &str) -> Result<Target, BackendError> {
        after_lead_in(&self.control.table(name)?)
            .map(|(_, target)| target)
            .ok_or_else(|| not_ours(name, "it does not begin with the lead-in"))
    }

    fn mirror_state(&mut self, id: MoveId) -> Result<MirrorState, BackendError> {
        self.control
            .mirror_state(&self.names.name(Device::Mirror(id)))
    }

    /// Sees that no live mirror has lost a leg. Its parked writes never drain, so that a hold of
    /// the volume would only keep all I/O waiting until its limit.
    fn check_healthy(&mut self, map: &VolumeMap) -> Result<(), BackendError> {
        for run in map.runs() {
            let Home::Move(id) = run.home else { continue };
            if let Behind::Mirror(_) = self.behind(id)? {
                let state = self.mirror_state(id)?;
                if !state.is_well() {
                    return Err(BackendError::UnhealthyMove { id, state });
                }
            }
        }
        Ok(())
    }

    fn adopted(&mut self, id: MoveId, first: u32, count: u32) -> Result<AdoptedMove, BackendError> {
        let device = self.names.name(Device::Move(id));
        let leg = |place| leg_at(&self.layout, place, count).map_err(|why| not_ours(&device, &why));
        let first = VolumeRegion(first);
        match self.behind(id)? {
            Behind::Mirror(mirror) => {
                let (source, target) = (leg(mirror.source)?, leg(mirror.target)?);
                let stage = AdoptedStage::Mirror(self.mirror_state(id)?);
                Ok(AdoptedMove {
                    id,
                    first,
                    count,
                    source,
                    target,
                    stage,
                })
            }
            Behind::Leg(place) => {
                let leg = leg(place)?;
                let stage = AdoptedStage::Linear(leg);
                Ok(AdoptedMove {
                    id,
                    first,
                    count,
                    source: leg,
                    target: leg,
                    stage,
                })
            }
        }
    }

    fn read_map(&mut self) -> Result<KernelMap, BackendError> {
        let moves = self.moves()?;
        let map = self.volume_map(&moves)?;
        let mut found = KernelMap {
            direct: map.direct(),
            moves: Vec::new(),
        };
        for run in map.runs() {
            if let Home::Move(id) = run.home {
                found.moves.push(self.adopted(id, run.first, run.count)?);
            }
        }
        Ok(found)
    }

    /// Every leg that the kernel's tables name: none of these can be a target.
    fn used_legs(&self, map: &VolumeMap) -> Result<Vec<(Leg, u32)>, BackendError> {
        let mut used = Vec::with_capacity(map.runs().len());
        for run in map.runs() {
            let id = match run.home {
                Home::Member(leg) => {
                    used.push((leg, run.count));
                    continue;
                }
                Home::Move(id) => id,
            };
            let places = match self.behind(id)? {
                Behind::Mirror(mirror) => vec![mirror.source, mirror.target],
                Behind::Leg(place) => vec![place],
            };
            let device = self.names.name(Device::Move(id));
            for place in places {
                let leg = leg_at(&self.layout, place, run.count);
                used.push((leg.map_err(|why| not_ours(&device, &why))?, run.count));
            }
        }
        Ok(used)
    }

    /// Sees that the live table is the wanted one.
    fn check_live(&self, name: &str, wanted: &[Segment]) -> Result<(), BackendError> {
        difference(&self.control.table(name)?, wanted).map_or(Ok(()), |(sector, found, wanted)| {
            Err(BackendError::Mismatch {
                device: name.to_owned(),
                sector,
                found,
                wanted,
            })
        })
    }
}

impl Backend for DmBackend {
    fn read_back(&mut self) -> Result<KernelMap, BackendError> {
        self.read_map()
    }

    fn add_legs(&mut self, adds: &[AddLeg]) -> Result<Added, BackendError> {
        if adds.is_empty() {
            return Ok(Added::default());
        }
        let mut moves = self.moves()?;
        let mut map = self.volume_map(&moves)?;
        adds::check(&self.layout, &map, self.used_legs(&map)?, adds)?;
        self.check_healthy(&map)?;
        moves.append(&mut self.make_moves(adds)?);
        for add in adds {
            map.set(add.first, add.count, Home::Move(add.id));
        }
        let volume = self.names.name(Device::Volume);
        let swapped = map
            .to_table(&self.layout, &moves)
            .and_then(|table| self.control.load(&volume, &table))
            .and_then(|()| {
                self.control
                    .swap_volume(&volume, UdevRules::Swapped, self.hold_limit)
            });
        let hold = match swapped {
            Ok(hold) => Hold {
                moves: count(adds.len()),
                ..hold
            },
            Err(first) => return Err(self.unmake(adds, first)),
        };
        let copies = adds
            .iter()
            .map(|add| (add.id, self.begin_copy(add)))
            .collect();
        Ok(Added { hold, copies })
    }

    fn leg_state(&mut self, id: MoveId) -> Result<LegState, BackendError> {
        match self.behind(id)? {
            Behind::Mirror(_) => Ok(LegState::Mirror(self.mirror_state(id)?)),
            Behind::Leg(_) => Ok(LegState::Linear),
        }
    }

    fn drop_leg(&mut self, drop: DropLeg) -> Result<DropOutcome, BackendError> {
        let id = drop.id;
        let swap = match self.behind(id)? {
            Behind::Leg(place) => return self.finish_drop(drop, place),
            Behind::Mirror(mirror) => {
                let kept = match drop.keep {
                    Kept::Source => mirror.source,
                    Kept::Target => mirror.target,
                };
                self.check_leg(&drop, kept)?;
                if self.mirror_state(id)?.is_in_doubt() {
                    self.drop_in_doubt(id, &mirror, drop.keep)?
                } else if drop.require_complete {
                    self.drop_if_complete(id, kept)?
                } else {
                    self.drop_unconditionally(id, kept)?
                }
            }
        };
        match swap {
            GateSwap::Incomplete(state) => Ok(DropOutcome::Refused(state)),
            GateSwap::Swapped(hold) => {
                self.take_down_mirror(id)
                    .map_err(|error| BackendError::StillCopies {
                        id,
                        source: Box::new(error),
                    })?;
                Ok(DropOutcome::Dropped(hold))
            }
        }
    }

    fn set_map(&mut self, fold: &[MoveId]) -> Result<Hold, BackendError> {
        if fold.is_empty() {
            return Ok(Hold::default());
        }
        let moves = self.moves()?;
        let mut map = self.volume_map(&moves)?;
        for id in fold {
            let run = map.move_run(*id).ok_or(BackendError::NoSuchMove(*id))?;
            let Behind::Leg(place) = self.behind(*id)? else {
                return Err(BackendError::StillMirrors(*id));
            };
            let leg = leg_at(&self.layout, place, run.count)
                .map_err(|why| not_ours(&self.names.name(Device::Move(*id)), &why))?;
            map.set(VolumeRegion(run.first), run.count, Home::Member(leg));
        }
        self.check_healthy(&map)?;
        let table = map.to_table(&self.layout, &moves)?;
        let volume = self.names.name(Device::Volume);
        self.control.load(&volume, &table)?;
        let hold = self
            .control
            .swap_volume(&volume, UdevRules::Swapped, self.hold_limit)?;
        self.check_live(&volume, &table)?;
        for id in fold {
            self.remove_folded(*id);
        }
        Ok(Hold {
            moves: count(fold.len()),
            ..hold
        })
    }
}

fn not_ours(device: &str, why: &str) -> BackendError {
    BackendError::Foreign {
        device: device.to_owned(),
        sector: 0,
        why: why.to_owned(),
    }
}

fn count(moves: usize) -> u32 {
    u32::try_from(moves).unwrap_or(u32::MAX)
}
