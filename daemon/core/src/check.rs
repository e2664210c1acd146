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
    let mut owned: Vec<(MemberIndex, u32, u32, &str)> = Vec::new();
    owned.extend(
        migrate
            .map
            .legs()
            .map(|(m, first, count)| (m, first, count, "an extent")),
    );
    owned.extend(
        migrate
            .alloc
            .free_runs()
            .map(|(m, first, count)| (m, first, count, "nobody")),
    );
    owned.extend(
        migrate
            .alloc
            .set_asides()
            .map(|(m, first, count)| (m, first, count, "a failed copy")),
    );
    for former in &migrate.retired {
        let leg = former.retired.leg;
        owned.push((
            leg.member,
            leg.first.0,
            former.retired.count,
            "a retired home",
        ));
    }
    for one in migrate.live.values().chain(migrate.pending.values()) {
        let target_is_retired = migrate.retired.iter().any(|one_former| {
            one_former.retired.leg == one.target && one_former.retired.count == one.count
        });
        if one.home == Kept::Source && one.target != one.source && !target_is_retired {
            owned.push((
                one.target.member,
                one.target.first.0,
                one.count,
                "a move's target",
            ));
        }
    }
    owned.sort_unstable();
    let mut owned = owned.into_iter().peekable();
    for space in migrate.alloc.spaces() {
        let mut expected = 0;
        while let Some((_, first, count, owner)) =
            owned.next_if(|(member, ..)| *member == space.member())
        {
            if first != expected {
                let how = if first < expected {
                    "two owners"
                } else {
                    "no owner"
                };
                let region = first.min(expected);
                return Err(format!(
                    "region {region} of member {} has {how} (one is {owner})",
                    space.member()
                ));
            }
            expected = first + count;
        }
        if expected != space.regions() {
            return Err(format!(
                "region {expected} of member {} has no owner",
                space.member()
            ));
        }
    }
    owned.next().map_or(Ok(()), |(member, ..)| {
        Err(format!("member {member} is not known"))
    })
}
