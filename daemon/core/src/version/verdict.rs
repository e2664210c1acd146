//! What a start makes of an extent's legs.
//!
//! Owns: [`judge`]. It says which legs may be read, which are copied from them, and what nobody
//! may decide but a person. In doubt it says stale, or conflict: see the head of [`super`]. May
//! not: change anything.

use smallvec::SmallVec;

use super::record::{Held, Versions};
use super::{Changed, Differences, Order, Version};
use crate::volume::Leg;

/// How the extent was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Every leg that took writes was flushed after the last one, and its record says so; on every
    /// side, where there are several.
    Clean,
    /// Anything else: legs at equal versions may differ in these blocks. All, unless a write-intent
    /// log that is durable says less.
    Unclean(Changed),
}

/// When those that serve have to go on without others ([`Versions::go_on`]), durably. That takes no
/// turn if they did in this epoch already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// Not now: every leg serves, and none was ever without another.
    Not,
    /// Before a write or a flush is acknowledged.
    BeforeWrites,
    /// Before anything is read.
    BeforeReads,
}

/// A leg that has to be copied before it may be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// The leg.
    pub leg: Leg,
    /// From which leg.
    pub from: Leg,
    /// Which blocks. The first copy after [`Versions::copy_begun`]; if that is interrupted, all.
    pub blocks: Changed,
}

/// An extent that may be read and written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    /// Which legs may be read, the home first if it may; every write goes to all of them. Never
    /// empty.
    pub current: SmallVec<[Leg; 2]>,
    /// Which legs that are present may not.
    pub stale: Vec<Stale>,
    /// Which legs are missing and are, as far as is known, as new: they may have gone on elsewhere.
    pub may_be_newer: Vec<Leg>,
    /// What comes first.
    pub advance: Advance,
}

/// Legs that took part in the same turns, in a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// The turns.
    pub version: Version,
    /// Its legs that are present and whole. Any may be kept; after an unclean stop they may
    /// differ, so that the first alone is read.
    pub present: Vec<Leg>,
    /// Its legs that are missing. No leg at all: only a record tells of this side.
    pub missing: Vec<Leg>,
}

/// What a start may do with an extent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Serve it.
    Serve(Serving),
    /// Serve nothing: what is known to be newest is on no leg that is present.
    Behind {
        /// Legs that are missing and have it. None: only a record tells of it.
        missing: Vec<Leg>,
        /// Legs that are present, whole and older: what a person might keep, giving up the rest.
        older: Vec<Leg>,
    },
    /// Serve reads of one side at most, and show it: each side may hold what no other does.
    Conflict {
        /// Two at least, that of the home first.
        sides: Vec<Side>,
    },
}

/// What a start may do with an extent whose legs are those of `versions`.
///
/// Where records of several sides of a split are there, the caller puts `versions` together. Of a
/// leg that is `present` they say what the newest record of its own side has, which is the side
/// whose epoch is in its member's label, or else one that knows this epoch; of one that is missing,
/// the newest that any side has. A leg that a side gave up is none, unless its own side has it: so
/// a record has to remember what was given up while another side may turn up. `known` are all versions that any side's newest record names, of
/// whatever leg; records that a later one of the same line has overtaken say nothing.
/// `differences` is what the clean stops of all sides kept.
#[must_use]
pub fn judge(
    versions: &Versions,
    present: &[Leg],
    known: &[Version],
    stop: &Stop,
    differences: &Differences,
) -> Verdict {
    let legs = versions.legs();
    let heads = heads(&legs.iter().map(|held| &held.version).chain(known));
    let is_present = |held: &&Held| present.contains(&held.leg);
    let sides: Vec<Side> = heads
        .into_iter()
        .map(|version| {
            let of = legs
                .iter()
                .filter(|held| held.whole && held.version == *version);
            let (here, away): (Vec<&Held>, Vec<&Held>) = of.partition(is_present);
            Side {
                version: version.clone(),
                present: here.iter().map(|held| held.leg).collect(),
                missing: away.iter().map(|held| held.leg).collect(),
            }
        })
        .collect();
    if sides.len() > 1 {
        return Verdict::Conflict { sides };
    }
    let serving = sides
        .first()
        .and_then(|newest| Some((newest, *newest.present.first()?)));
    let Some((newest, first)) = serving else {
        let older = legs.iter().filter(is_present).filter(|held| held.whole);
        return Verdict::Behind {
            missing: sides.into_iter().flat_map(|side| side.missing).collect(),
            older: older.map(|held| held.leg).collect(),
        };
    };
    let current: SmallVec<[Leg; 2]> = match stop {
        Stop::Clean => newest.present.iter().copied().collect(),
        Stop::Unclean(_) => SmallVec::from_elem(first, 1),
    };
    let stale = legs
        .iter()
        .filter(is_present)
        .filter(|held| !current.contains(&held.leg))
        .map(|held| Stale {
            leg: held.leg,
            from: first,
            blocks: to_copy(held, &newest.version, stop, differences),
        });
    let newest_legs = newest.present.len() + newest.missing.len();
    let advance = match stop {
        Stop::Unclean(_) if newest_legs > 1 => Advance::BeforeReads,
        _ if current.len() == legs.len() && newest.version.is_empty() => Advance::Not,
        _ => Advance::BeforeWrites,
    };
    Verdict::Serve(Serving {
        stale: stale.collect(),
        may_be_newer: newest.missing.clone(),
        advance,
        current,
    })
}

/// The versions that no other dominates, each once, in the order in which they come.
fn heads<'a>(versions: &(impl Iterator<Item = &'a Version> + Clone)) -> Vec<&'a Version> {
    let mut heads: Vec<&Version> = Vec::new();
    for one in versions.clone() {
        let is_behind = versions
            .clone()
            .any(|other| other.compare(one) == Order::Dominates);
        if !is_behind && !heads.contains(&one) {
            heads.push(one);
        }
    }
    heads
}

/// In which blocks a leg may differ from one that is whole and at the `newest` version.
fn to_copy(held: &Held, newest: &Version, stop: &Stop, differences: &Differences) -> Changed {
    match stop {
        _ if !held.whole => differences.all(),
        Stop::Unclean(unflushed) if held.version == *newest => unflushed.clone(),
        // What was kept at the last clean stop lacks what was written since.
        Stop::Unclean(_) => differences.all(),
        Stop::Clean => differences.between(&held.version, newest),
    }
}
