//! The map against a plain array of regions, under random commits.

use proptest::prelude::*;
use tier_core::command::Commit;

use super::*;
use crate::fixture::{extent, generation, leg};

fn simple() -> Map {
    let capacity = [
        (MemberIndex(0), 20),
        (MemberIndex(1), 20),
        (MemberIndex(2), 20),
    ];
    let extents = [
        extent(0, 10, &[leg(0, 0)]),
        extent(10, 6, &[leg(1, 5), leg(2, 0)]),
    ];
    Map::from_parts(16, capacity, extents, []).unwrap()
}

fn retired(member: u16, first: u32, count: u32, since: u64) -> Retired {
    Retired {
        leg: leg(member, first),
        count,
        since: generation(since),
    }
}

fn commit(set: Vec<Extent>, retire: Vec<Retired>, free: Vec<Retired>) -> Commit {
    Commit {
        generation: generation(2),
        set,
        retire,
        free,
    }
}

fn plan(map: &Map, commit: &Commit) -> Result<Change, Violation> {
    map.plan(generation(1), commit)
}

type Expected = fn(&Violation) -> bool;

fn refused(map: &Map, cases: &[(Commit, Expected)]) {
    for (at, (commit, expected)) in cases.iter().enumerate() {
        let violation = plan(map, commit).unwrap_err();
        assert!(expected(&violation), "case {at}: {violation}");
    }
}

#[test]
fn an_extent_in_the_middle_cuts_its_neighbour_in_three() {
    let mut map = simple();
    let commit = commit(
        vec![extent(4, 2, &[leg(1, 0)])],
        vec![retired(0, 4, 2, 2)],
        vec![],
    );
    let change = plan(&map, &commit).unwrap();
    map.apply(&change);
    let extents: Vec<Extent> = map.extents().collect();
    assert_eq!(
        extents,
        [
            extent(0, 4, &[leg(0, 0)]),
            extent(4, 2, &[leg(1, 0)]),
            extent(6, 4, &[leg(0, 6)]),
            extent(10, 6, &[leg(1, 5), leg(2, 0)]),
        ]
    );
    assert_eq!(map.retired().collect::<Vec<_>>(), [retired(0, 4, 2, 2)]);
}

#[test]
fn an_extent_over_a_border_and_two_in_one_extent_cut_right() {
    let mut map = simple();
    let set = vec![
        extent(1, 1, &[leg(1, 0)]),
        extent(3, 1, &[leg(1, 1)]),
        extent(9, 3, &[leg(1, 12)]),
    ];
    let retire = vec![
        retired(0, 1, 1, 2),
        retired(0, 3, 1, 2),
        retired(0, 9, 1, 2),
        retired(1, 5, 2, 2),
        retired(2, 0, 2, 2),
    ];
    let change = plan(&map, &commit(set, retire, vec![])).unwrap();
    map.apply(&change);
    let counts: Vec<(u32, u32)> = map.extents().map(|e| (e.first.0, e.count)).collect();
    assert_eq!(
        counts,
        [(0, 1), (1, 1), (2, 1), (3, 1), (4, 5), (9, 3), (12, 4)]
    );
    assert_eq!(
        map.extent_at(VolumeRegion(12)).unwrap().legs[..],
        [leg(1, 7), leg(2, 2)]
    );
}

#[test]
fn a_malformed_extent_is_refused_for_its_own_reason() {
    let map = simple();
    let set = |extents: &[Extent]| commit(extents.to_vec(), vec![], vec![]);
    let malformed: [(Commit, Expected); 7] = [
        (set(&[extent(0, 0, &[leg(0, 0)])]), |v| {
            matches!(v, Violation::Malformed { .. })
        }),
        (set(&[extent(0, 1, &[])]), |v| {
            matches!(v, Violation::Malformed { .. })
        }),
        (set(&[extent(0, 1, &[leg(1, 0), leg(1, 1)])]), |v| {
            matches!(v, Violation::Malformed { .. })
        }),
        (set(&[extent(15, 2, &[leg(0, 12)])]), |v| {
            matches!(v, Violation::OutOfVolume { .. })
        }),
        (set(&[extent(u32::MAX, 2, &[leg(0, 12)])]), |v| {
            matches!(v, Violation::OutOfVolume { .. })
        }),
        (set(&[extent(0, 2, &[leg(0, 19)])]), |v| {
            matches!(v, Violation::OutOfMember { .. })
        }),
        (set(&[extent(0, 2, &[leg(7, 0)])]), |v| {
            matches!(v, Violation::OutOfMember { .. })
        }),
    ];
    refused(&map, &malformed);
}

#[test]
fn a_commit_that_breaks_the_whole_is_refused_for_its_own_reason() {
    let map = simple();
    let set = |extents: &[Extent]| commit(extents.to_vec(), vec![], vec![]);
    let cases: [(Commit, Expected); 5] = [
        (
            set(&[extent(4, 2, &[leg(1, 0)]), extent(5, 1, &[leg(1, 3)])]),
            |v| matches!(v, Violation::Overlap(VolumeRegion(5))),
        ),
        (set(&[extent(0, 1, &[leg(1, 0)])]), |v| {
            *v == Violation::NotRetired {
                member: MemberIndex(0),
                region: MemberRegion(0),
            }
        }),
        (commit(vec![], vec![retired(0, 3, 1, 2)], vec![]), |v| {
            *v == Violation::NotGivenUp {
                member: MemberIndex(0),
                region: MemberRegion(3),
            }
        }),
        (
            commit(
                vec![extent(0, 1, &[leg(1, 0)])],
                vec![retired(0, 0, 1, 1)],
                vec![],
            ),
            |v| matches!(v, Violation::RetiredSince { .. }),
        ),
        (commit(vec![], vec![], vec![retired(0, 12, 1, 1)]), |v| {
            matches!(v, Violation::NotRetiredYet { .. })
        }),
    ];
    refused(&map, &cases);
    let taken = commit(
        vec![extent(0, 1, &[leg(1, 5)])],
        vec![retired(0, 0, 1, 2)],
        vec![],
    );
    let held = Violation::HeldTwice {
        member: MemberIndex(1),
        region: MemberRegion(5),
    };
    assert_eq!(plan(&map, &taken), Err(held.clone()));
    let inside = commit(
        vec![extent(0, 1, &[leg(1, 9)])],
        vec![retired(0, 0, 1, 2)],
        vec![],
    );
    assert!(matches!(
        plan(&map, &inside),
        Err(Violation::HeldTwice { .. })
    ));
}

#[test]
fn a_retired_home_is_held_until_a_later_commit_frees_it_or_takes_it_back() {
    let mut map = simple();
    let away = commit(
        vec![extent(0, 1, &[leg(1, 0)])],
        vec![retired(0, 0, 1, 2)],
        vec![],
    );
    map.apply(&plan(&map, &away).unwrap());
    let next = |set, retire, free| Commit {
        generation: generation(3),
        set,
        retire,
        free,
    };
    let taken = next(
        vec![extent(1, 1, &[leg(0, 0)])],
        vec![retired(0, 1, 1, 3)],
        vec![],
    );
    assert!(matches!(
        map.plan(generation(2), &taken),
        Err(Violation::HeldTwice { .. })
    ));
    let twice = next(
        vec![],
        vec![],
        vec![retired(0, 0, 1, 2), retired(0, 0, 1, 2)],
    );
    assert!(matches!(
        map.plan(generation(2), &twice),
        Err(Violation::NotRetiredYet { .. })
    ));
    // The good leg becomes the home again, in one commit (rule 3).
    let back = next(
        vec![extent(0, 1, &[leg(0, 0)])],
        vec![retired(1, 0, 1, 3)],
        vec![retired(0, 0, 1, 2)],
    );
    map.apply(&map.plan(generation(2), &back).unwrap());
    assert_eq!(
        map.extent_at(VolumeRegion(0)).unwrap().legs[..],
        [leg(0, 0)]
    );
    assert_eq!(map.retired().collect::<Vec<_>>(), [retired(1, 0, 1, 3)]);
}

#[test]
fn broken_parts_make_no_map() {
    let load = |extents: &[Extent], retired: &[Retired]| {
        Map::from_parts(4, [(MemberIndex(0), 8)], extents.to_vec(), retired.to_vec())
    };
    assert_eq!(
        load(&[extent(0, 3, &[leg(0, 0)])], &[]),
        Err(Violation::Uncovered(VolumeRegion(3)))
    );
    assert_eq!(
        load(&[extent(1, 3, &[leg(0, 0)])], &[]),
        Err(Violation::Uncovered(VolumeRegion(0)))
    );
    let overlap = [extent(0, 3, &[leg(0, 0)]), extent(2, 2, &[leg(0, 4)])];
    assert_eq!(
        load(&overlap, &[]),
        Err(Violation::Overlap(VolumeRegion(2)))
    );
    let whole = [extent(0, 4, &[leg(0, 0)])];
    assert!(load(&whole, &[retired(0, 4, 2, 1)]).is_ok());
    assert!(matches!(
        load(&whole, &[retired(0, 3, 2, 1)]),
        Err(Violation::HeldTwice { .. })
    ));
    assert!(matches!(
        load(&whole, &[retired(0, 7, 2, 1)]),
        Err(Violation::OutOfMember { .. })
    ));
}

/// One wish for a commit: regions to move, by how many, where to, and whether to free.
#[derive(Clone, Debug)]
struct Wish {
    first: u32,
    count: u32,
    target: u16,
    at: u32,
    free: bool,
    second: bool,
}

fn wish() -> impl Strategy<Value = Wish> {
    (
        0..16_u32,
        1..6_u32,
        0..3_u16,
        0..20_u32,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(first, count, target, at, free, second)| Wish {
            first,
            count,
            target,
            at,
            free,
            second,
        })
}

/// The regions of the volume and of the members, one by one.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    /// Legs of each region.
    legs: Vec<Vec<Leg>>,
    /// Retired regions, each with its run.
    retired: Vec<Retired>,
}

impl Model {
    fn of(map: &Map) -> Self {
        let legs = (0..map.regions()).map(|region| {
            let extent = map.extent_at(VolumeRegion(region)).unwrap();
            let skip = region - extent.first.0;
            extent
                .legs
                .iter()
                .map(|l| leg(l.member.0, l.first.0 + skip))
                .collect()
        });
        Self {
            legs: legs.collect(),
            retired: map.retired().collect(),
        }
    }

    fn is_held(&self, leg: Leg) -> bool {
        let in_run = |run: &Retired| {
            run.leg.member == leg.member
                && (run.leg.first.0..run.leg.first.0 + run.count).contains(&leg.first.0)
        };
        self.legs.iter().flatten().any(|held| *held == leg) || self.retired.iter().any(in_run)
    }
}

proptest! {
    #[test]
    fn random_commits_do_what_an_array_of_regions_does(wishes in prop::collection::vec(wish(), 1..40)) {
        let mut map = simple();
        let mut generation = generation(1);
        let mut accepted = 0;
        for wish in wishes {
            let before = Model::of(&map);
            let count = wish.count.min(16 - wish.first);
            let mut legs = vec![leg(wish.target, wish.at)];
            if wish.second {
                legs.push(leg((wish.target + 1) % 3, wish.at));
            }
            let since = generation.next();
            let range = wish.first as usize..(wish.first + count) as usize;
            let new = |at: u32| legs.iter().map(|l| leg(l.member.0, l.first.0 + at)).collect::<Vec<_>>();
            let mut after = before.clone();
            for (at, region) in (0..).zip(range.clone()) {
                after.legs[region] = new(at);
            }
            let freed = if wish.free { before.retired.clone() } else { vec![] };
            after.retired.retain(|run| !freed.contains(run));
            let given_up: Vec<Retired> = before.legs[range].iter().flatten()
                .filter(|old| !after.legs.iter().flatten().any(|now| now == *old))
                .map(|old| Retired { leg: *old, count: 1, since })
                .collect();
            let commit = Commit {
                generation: since,
                set: vec![extent(wish.first, count, &legs)],
                retire: given_up.clone(),
                free: freed,
            };
            after.retired.extend(given_up);
            after.retired.sort_by_key(|run| run.leg);
            // The array says whether the commit is sound: every leg exists and is held once.
            let mut every: Vec<Leg> = after.legs.iter().flatten().copied().collect();
            for run in &after.retired {
                every.extend((0..run.count).map(|at| leg(run.leg.member.0, run.leg.first.0 + at)));
            }
            every.sort();
            let sound = every.windows(2).all(|pair| pair[0] != pair[1])
                && every.iter().all(|leg| leg.first.0 < 20);
            match map.plan(generation, &commit) {
                Ok(change) => {
                    prop_assert!(sound, "{commit:?} was accepted");
                    map.apply(&change);
                    generation = since;
                    accepted += 1;
                    prop_assert_eq!(Model::of(&map), after);
                    let capacity = map.capacity.clone();
                    let again = Map::from_parts(16, capacity, map.extents(), map.retired());
                    prop_assert_eq!(again.as_ref(), Ok(&map));
                }
                Err(violation) => prop_assert!(!sound, "{commit:?} was refused: {violation}"),
            }
            prop_assert!(Model::of(&map).is_held(map.extents().next().unwrap().legs[0]));
        }
        prop_assume!(accepted > 0);
    }
}
