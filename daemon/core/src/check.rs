//! What must hold after every step.
//!
//! Owns: the invariants, as code. [`cheap`] costs no more than the live moves and the members;
//! [`full`] looks at every extent. May not: mend anything.
//!
//!  1. The map covers every region of the volume once.
//!  2. Every region of every member has exactly one owner: free, an extent's leg, the target of a
//!     move, a retired home, or set aside after a failure.
//!  3. A move's home is what the map says.
//!  4. No two moves share a region of the volume, and there are no more mirrors than allowed
//!     beside those that were adopted.

use crate::event::Kept;
use crate::migrate::Migrate;
use crate::units::MemberIndex;

/// The invariants that are quick to check.
pub(crate) fn cheap(migrate: &Migrate) -> Result<(), String> {
    let mut end_before = 0;
    let mut moves: Vec<_> = migrate
        .live
        .values()
        .chain(migrate.pending.values())
        .collect();
    moves.sort_by_key(|one| one.first);
    for one in moves {
        if one.first.0 < end_before {
            return Err(format!(
                "move {} shares region {} with another",
                one.id, one.first
            ));
        }
        end_before = one.first.0 + one.count;
        let home = if one.home == Kept::Target {
            one.target
        } else {
            one.source
        };
        if !migrate.map.is_home(one.first, one.count, home) {
            return Err(format!(
                "the home of move {} is not what the map says",
                one.id
            ));
        }
    }
    let adopted = migrate.live.values().filter(|one| one.adopted).count();
    if migrate.mirrors() as usize > migrate.limits.mirrors as usize + adopted {
        return Err(format!("{} mirrors are under way", migrate.mirrors()));
    }
    Ok(())
}

/// All invariants.
pub(crate) fn full(migrate: &Migrate) -> Result<(), String> {
    cheap(migrate)?;
    migrate.map.check()?;
    migrate.alloc.check()?;
    let mut owned = owners(migrate).into_iter().peekable();
    for space in migrate.alloc.spaces() {
        let member = space.member();
        let mut expected = 0;
        while let Some((_, first, count, owner)) = owned.next_if(|range| range.0 == member) {
            if first != expected {
                let how = if first < expected {
                    "two owners"
                } else {
                    "no owner"
                };
                let region = first.min(expected);
                return Err(format!(
                    "region {region} of member {member} has {how}, beside {owner}"
                ));
            }
            expected = first + count;
        }
        if expected != space.regions() {
            return Err(format!("region {expected} of member {member} has no owner"));
        }
    }
    owned.next().map_or(Ok(()), |(member, ..)| {
        Err(format!("member {member} is not known"))
    })
}

/// Who has which regions of the members: (member, first, count, owner), in order.
fn owners(migrate: &Migrate) -> Vec<(MemberIndex, u32, u32, &'static str)> {
    let extents = migrate
        .map
        .legs()
        .map(|(m, first, count)| (m, first, count, "an extent"));
    let free = migrate
        .alloc
        .free_runs()
        .map(|(m, first, count)| (m, first, count, "nobody"));
    let failed = migrate.alloc.set_asides();
    let failed = failed.map(|(m, first, count)| (m, first, count, "a failed copy"));
    let retired = migrate.retired.iter().map(|former| former.retired);
    let retired = retired.map(|one| (one.leg.member, one.leg.first.0, one.count, "a former home"));
    let is_retired = |leg| {
        migrate
            .retired
            .iter()
            .any(|former| former.retired.leg == leg)
    };
    let targets = migrate
        .live
        .values()
        .chain(migrate.pending.values())
        .filter(|one| one.home == Kept::Source && one.target != one.source)
        .filter(|one| !is_retired(one.target))
        .map(|one| {
            (
                one.target.member,
                one.target.first.0,
                one.count,
                "a move's target",
            )
        });
    let mut owners: Vec<_> = extents
        .chain(free)
        .chain(failed)
        .chain(retired)
        .chain(targets)
        .collect();
    owners.sort_unstable();
    owners
}
