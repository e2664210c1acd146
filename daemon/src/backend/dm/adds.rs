//! Owns: what must be true of legs before they are added. Pure.

use tier_core::command::AddLeg;
use tier_core::units::VolumeRegion;
use tier_core::volume::Leg;

use super::map::{VolumeMap, check_leg};
use crate::backend::{BackendError, Layout};

/// Sees that these runs are where they are said to be, and that their targets are on a member and
/// hold nothing: `used` are the legs that the kernel's tables name.
pub(crate) fn check(
    layout: &Layout,
    map: &VolumeMap,
    mut used: Vec<(Leg, u32)>,
    adds: &[AddLeg],
) -> Result<(), BackendError> {
    for (at, add) in adds.iter().enumerate() {
        check_one(layout, map, &used, &adds[..at], add).map_err(|why| {
            let last = add.first.0.saturating_add(add.count).saturating_sub(1);
            BackendError::Contradiction {
                first: add.first,
                last: VolumeRegion(last),
                why,
            }
        })?;
        used.push((add.target, add.count));
    }
    Ok(())
}

fn check_one(
    layout: &Layout,
    map: &VolumeMap,
    used: &[(Leg, u32)],
    before: &[AddLeg],
    add: &AddLeg,
) -> Result<(), String> {
    if add.count == 0 {
        return Err("there are none".into());
    }
    let here = map.leg_of(add.first, add.count);
    if here != Some(add.source) {
        let found = here.map_or("on no single leg".into(), show);
        return Err(format!(
            "the kernel has them {found}, not {}",
            show(add.source)
        ));
    }
    check_leg(layout, add.target, add.count)?;
    if let Some((leg, _)) = used.iter().find(|(leg, count)| {
        leg.member == add.target.member
            && overlap(leg.first.0, *count, add.target.first.0, add.count)
    }) {
        return Err(format!(
            "their target {} holds other data {}",
            show(add.target),
            show(*leg)
        ));
    }
    for other in before {
        if other.id == add.id {
            return Err(format!("move {} is asked for twice", add.id));
        }
        if overlap(other.first.0, other.count, add.first.0, add.count) {
            return Err(format!("moves {} and {} overlap", other.id, add.id));
        }
    }
    Ok(())
}

fn show(leg: Leg) -> String {
    format!("on member {} from region {}", leg.member, leg.first)
}

fn overlap(first: u32, count: u32, other: u32, other_count: u32) -> bool {
    let end = u64::from(first) + u64::from(count);
    let other_end = u64::from(other) + u64::from(other_count);
    u64::from(first) < other_end && u64::from(other) < end
}
