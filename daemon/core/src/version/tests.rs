//! Versions, sets of blocks and verdicts, each by itself.

use proptest::prelude::*;

use super::*;
use crate::units::MemberRegion;
use crate::volume::Leg;

const BLOCKS: u64 = 256;

fn leg(member: u16) -> Leg {
    Leg {
        member: MemberIndex(member),
        first: MemberRegion(7),
    }
}

fn version(entries: &[(u16, u64, u32)]) -> Version {
    let entries = entries
        .iter()
        .map(|&(member, epoch, count)| (MemberIndex(member), epoch, count));
    Version::try_from(entries.collect::<Vec<_>>()).unwrap()
}

fn clean(versions: &Versions, present: &[Leg], known: &[Version]) -> Verdict {
    let differences = Differences::unknown(BLOCKS);
    judge(versions, present, known, &Stop::Clean, &differences)
}

fn serving(verdict: Verdict) -> Serving {
    match verdict {
        Verdict::Serve(serving) => serving,
        other => panic!("{other:?}"),
    }
}

#[test]
fn versions_stand_to_one_another_as_their_turns_do() {
    let none = Version::default();
    let one = version(&[(0, 1, 1)]);
    let two = version(&[(0, 1, 2)]);
    let later = version(&[(0, 2, 1)]);
    let other = version(&[(1, 1, 1)]);
    assert_eq!(none.compare(&none), Order::Equal);
    assert_eq!(one.compare(&none), Order::Dominates);
    assert_eq!(none.compare(&one), Order::Dominated);
    assert_eq!(two.compare(&one), Order::Dominates);
    assert_eq!(later.compare(&two), Order::Dominates);
    assert_eq!(one.compare(&other), Order::Concurrent);
    assert_eq!(two.joined(&other).compare(&later), Order::Concurrent);
}

#[test]
fn a_count_begins_again_in_each_epoch_and_never_goes_back() {
    let one = Version::default().advanced(MemberIndex(4), 3).unwrap();
    let two = one.advanced(MemberIndex(4), 3).unwrap();
    let three = two.advanced(MemberIndex(4), 5).unwrap();
    assert_eq!(two, version(&[(4, 3, 2)]));
    assert_eq!(three, version(&[(4, 5, 1)]));
    let back = three.advanced(MemberIndex(4), 4).unwrap();
    assert_eq!(back, version(&[(4, 5, 2)]));
    let last = version(&[(4, 5, u32::MAX)]);
    let more = last.advanced(MemberIndex(4), 5);
    assert_eq!(more, Err(VersionError::Overflow));
    assert!(last.advanced(MemberIndex(4), 6).is_ok());
}

#[test]
fn a_version_names_no_more_members_than_it_may() {
    let all: Vec<(u16, u64, u32)> = (0..32).map(|member| (member, 1, 1)).collect();
    let full = version(&all);
    assert!(full.advanced(MemberIndex(31), 2).is_ok());
    assert_eq!(full.advanced(MemberIndex(32), 2), Err(VersionError::Full));
}

#[test]
fn what_is_no_version_is_refused() {
    let malformed = Err(VersionError::Malformed);
    let whole = version(&[(3, 7, 300), (9, 1 << 40, 1)]).to_bytes();
    for length in 1..whole.len() {
        let cut = Version::from_bytes(&whole[..length]);
        let is_first_alone = cut == Ok(version(&[(3, 7, 300)]));
        assert!(cut == malformed || is_first_alone, "{length}: {cut:?}");
    }
    // No count, a member beyond the last, a number of more than 64 bits.
    assert_eq!(Version::from_bytes(&[1, 1, 0]), malformed);
    assert_eq!(Version::from_bytes(&[0xff, 0xff, 0x04, 1, 1]), malformed);
    let long = [
        0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1,
    ];
    assert_eq!(Version::from_bytes(&long), malformed);
    assert!(serde_json::from_str::<Version>("[[2,1,1],[2,1,1]]").is_err());
    assert!(serde_json::from_str::<Version>("[[3,1,1],[2,1,1]]").is_err());
}

fn any_version() -> impl Strategy<Value = Version> {
    let entry = (0..6_u16, 0..4_u64, 1..4_u32);
    prop::collection::btree_map(0..6_u16, entry, 0..5).prop_map(|entries| {
        let entries: Vec<(u16, u64, u32)> = entries
            .into_iter()
            .map(|(member, (_, epoch, count))| (member * 100, epoch, count))
            .collect();
        version(&entries)
    })
}

proptest! {
    #[test]
    fn a_version_reads_back(version in any_version()) {
        prop_assert_eq!(Version::from_bytes(&version.to_bytes()), Ok(version.clone()));
        let json = serde_json::to_string(&version).unwrap();
        prop_assert_eq!(serde_json::from_str::<Version>(&json).unwrap(), version);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
        if let Ok(version) = Version::from_bytes(&bytes) {
            prop_assert_eq!(Version::from_bytes(&version.to_bytes()), Ok(version));
        }
    }

    #[test]
    fn a_join_is_the_least_that_has_all(
        one in any_version(),
        other in any_version(),
        third in any_version(),
    ) {
        let join = one.joined(&other);
        prop_assert!(join.is_as_new_as(&one) && join.is_as_new_as(&other));
        prop_assert_eq!(&join, &other.joined(&one));
        if third.is_as_new_as(&one) && third.is_as_new_as(&other) {
            prop_assert!(third.is_as_new_as(&join));
        }
        let more = join.advanced(MemberIndex(100), 2).unwrap();
        prop_assert_eq!(more.compare(&one), Order::Dominates);
    }

    /// Whatever is added is in it, and little else: no chunk that nothing touched.
    #[test]
    fn a_set_has_what_was_added(
        blocks in prop_oneof![1..300_u64, 4_090..4_200_u64, 1_000_000..1_100_000_u64],
        adds in prop::collection::vec((any::<u64>(), 1..40_u64), 0..12),
    ) {
        let mut set = Changed::none(blocks);
        let mut other = Changed::none(blocks);
        let adds: Vec<(u64, u64)> = adds
            .into_iter()
            .map(|(first, count)| (first % blocks, count))
            .map(|(first, count)| (first, count.min(blocks - first)))
            .collect();
        for (at, &(first, count)) in adds.iter().enumerate() {
            [&mut set, &mut other][at % 2].add(first, count);
        }
        set.add_all_of(&other);
        let chunk = blocks.div_ceil(changed::CHUNKS_MAX).next_power_of_two();
        let mut end_before = None;
        let mut covered = 0;
        for (first, count) in set.runs() {
            prop_assert!(end_before.is_none_or(|end| end < first), "runs touch");
            prop_assert!(count > 0 && first + count <= blocks);
            end_before = Some(first + count);
            covered += count;
            for block in [first, first + count / 2, first + count - 1] {
                prop_assert!(set.has(block));
                let of = |&(first, count): &(u64, u64)| first / chunk..=(first + count - 1) / chunk;
                let touched = adds.iter().any(|add| of(add).contains(&(block / chunk)));
                prop_assert!(touched, "block {} was not added, nor its chunk", block);
            }
        }
        for &(first, count) in &adds {
            let has = |block| set.runs().any(|(first, count)| (first..first + count).contains(&block));
            prop_assert!((first..first + count).all(|block| set.has(block) && has(block)));
        }
        prop_assert_eq!(set.is_none(), covered == 0);
        let json = serde_json::to_string(&set).unwrap();
        prop_assert_eq!(serde_json::from_str::<Changed>(&json).unwrap(), set);
    }
}

#[test]
fn what_is_not_known_of_blocks_is_all() {
    let all = Changed::all(BLOCKS);
    assert_eq!(all.runs().collect::<Vec<_>>(), [(0, BLOCKS)]);
    let mut beyond = Changed::none(BLOCKS);
    beyond.add(BLOCKS - 1, 2);
    assert!(beyond.is_all());
    let mut endless = Changed::none(BLOCKS);
    endless.add(1, u64::MAX);
    assert!(endless.is_all());
    let mut other_size = Changed::none(BLOCKS);
    other_size.add_all_of(&Changed::none(BLOCKS + 1));
    assert!(other_size.is_all());
    let short: Changed = serde_json::from_str(r#"{"blocks":256,"bits":[1]}"#).unwrap();
    assert!(short.is_all());
    let lost: Changed = serde_json::from_str(r#"{"blocks":256,"bits":null}"#).unwrap();
    assert!(lost.is_all());
}

#[test]
fn differences_lead_from_version_to_version() {
    let base = Version::default();
    let (one, other) = (version(&[(0, 2, 1)]), version(&[(1, 2, 1)]));
    let mut unflushed = Changed::none(BLOCKS);
    unflushed.add(9, 1);
    let mut first = Differences::unknown(BLOCKS);
    first.go_on(&base, &one, &unflushed);
    first.write(&one, 20, 2);
    // Nobody is there any more to be written at the base.
    first.write(&base, 100, 1);
    let mut second = Differences::unknown(BLOCKS);
    second.go_on(&base, &other, &Changed::none(BLOCKS));
    second.write(&other, 40, 1);
    assert!(first.between(&one, &other).is_all());
    first.add_all_of(&second);
    let runs = |of: &Changed| of.runs().collect::<Vec<_>>();
    assert_eq!(
        runs(&first.between(&one, &other)),
        [(9, 1), (20, 2), (40, 1), (100, 1)]
    );
    let kept = version(&[(0, 3, 1), (1, 2, 1)]);
    first.kept(&one, &kept);
    first.write(&kept, 60, 1);
    let back = first.between(&other, &kept);
    assert_eq!(runs(&back), [(9, 1), (20, 2), (40, 1), (60, 1), (100, 1)]);
    // What is left where the kept one was need not be like it.
    assert!(first.between(&one, &kept).is_all());
    first.forget();
    assert!(first.between(&other, &kept).is_all());
}

#[test]
fn differences_do_not_grow() {
    let mut differences = Differences::unknown(BLOCKS);
    let mut versions = vec![Version::default()];
    for epoch in 1..20 {
        let next = versions[versions.len() - 1]
            .advanced(MemberIndex(0), epoch)
            .unwrap();
        let before = versions[versions.len() - 1].clone();
        differences.go_on(&before, &next, &Changed::none(BLOCKS));
        versions.push(next);
    }
    let newest = &versions[19];
    assert!(differences.between(&versions[11], newest).is_none());
    assert!(
        differences.between(&versions[10], newest).is_all(),
        "the oldest are forgotten"
    );
}

#[test]
fn legs_that_never_parted_all_serve_after_a_clean_stop() {
    let versions = Versions::new(&[leg(0), leg(1)]);
    let serving = serving(clean(&versions, &[leg(1), leg(0)], &[]));
    assert_eq!(serving.current.as_slice(), [leg(0), leg(1)]);
    assert_eq!(serving.advance, Advance::Not);
    assert!(serving.stale.is_empty() && serving.may_be_newer.is_empty());
}

#[test]
fn after_an_unclean_stop_the_home_is_believed_and_the_others_are_copied() {
    let versions = Versions::new(&[leg(0), leg(1)]);
    let mut unflushed = Changed::none(BLOCKS);
    unflushed.add(3, 1);
    let stop = Stop::Unclean(unflushed.clone());
    let known = Differences::unknown(BLOCKS);
    let both = serving(judge(&versions, &[leg(0), leg(1)], &[], &stop, &known));
    assert_eq!(both.current.as_slice(), [leg(0)]);
    assert_eq!(both.advance, Advance::BeforeReads);
    assert_eq!(both.stale[0].blocks, unflushed);
    // The home is missing: the other is as good, and reading it is a choice like that.
    let other = serving(judge(&versions, &[leg(1)], &[], &stop, &known));
    assert_eq!(other.current.as_slice(), [leg(1)]);
    assert_eq!(other.advance, Advance::BeforeReads);
    assert_eq!(other.may_be_newer, [leg(0)]);
    let alone = Versions::new(&[leg(0)]);
    let alone = serving(judge(&alone, &[leg(0)], &[], &stop, &known));
    assert_eq!(alone.advance, Advance::Not);
}

#[test]
fn a_leg_that_missed_a_turn_serves_nothing_alone() {
    let before = Versions::new(&[leg(0), leg(1)]);
    let versions = before.go_on(&[leg(0)], 2).unwrap();
    assert!(versions.may_write(&[leg(0)], 2));
    let verdict = clean(&versions, &[leg(1)], &[]);
    let older = vec![leg(1)];
    assert_eq!(
        verdict,
        Verdict::Behind {
            missing: vec![leg(0)],
            older: older.clone()
        }
    );
    // Also where the leg's own record does not know it, but another does.
    let known = [versions.newest().unwrap().clone()];
    let verdict = clean(&before, &[leg(1)], &known);
    assert_eq!(
        verdict,
        Verdict::Behind {
            missing: Vec::new(),
            older
        }
    );
    let both = serving(clean(&versions, &[leg(0), leg(1)], &[]));
    assert_eq!(both.current.as_slice(), [leg(0)]);
    assert_eq!(both.stale[0].from, leg(0));
}

#[test]
fn two_sides_that_went_on_are_a_conflict_until_a_person_keeps_one() {
    let before = Versions::new(&[leg(0), leg(1), leg(2)]);
    let one = before.go_on(&[leg(0)], 2).unwrap();
    let other = before.go_on(&[leg(1), leg(2)], 2).unwrap();
    let held = [&one, &other, &other].into_iter().zip([0, 1, 2]);
    let all = Versions::of(held.map(|(side, at)| side.held(leg(at)).unwrap().clone()));
    let present = [leg(0), leg(1)];
    let Verdict::Conflict { sides } = clean(&all, &present, &[]) else {
        panic!("no conflict");
    };
    assert_eq!(sides.len(), 2);
    assert_eq!(sides[0].present, [leg(0)]);
    assert_eq!(
        (&sides[1].present[..], &sides[1].missing[..]),
        (&[leg(1)][..], &[leg(2)][..])
    );
    assert_eq!(all.newest(), None);
    assert_eq!(
        all.go_on(&[leg(0)], 3),
        Err(Refused::NotNewest(MemberIndex(0)))
    );
    assert_eq!(
        all.copy_begun(leg(0)),
        Err(Refused::NotStale(MemberIndex(0)))
    );
    let kept = all.keep(leg(0), &[], 3).unwrap();
    let after = serving(clean(&kept, &present, &[]));
    assert_eq!(after.current.as_slice(), [leg(0)]);
    // Also the leg that is away is behind, so that nothing need be said of it.
    assert!(after.may_be_newer.is_empty());
}

#[test]
fn a_torn_leg_is_neither_read_nor_kept_and_is_copied_in_full() {
    let versions = Versions::new(&[leg(0), leg(1)])
        .go_on(&[leg(0)], 2)
        .unwrap();
    let torn = versions.copy_begun(leg(1)).unwrap();
    assert_eq!(
        torn.keep(leg(1), &[], 3),
        Err(Refused::Torn(MemberIndex(1)))
    );
    assert_eq!(torn.go_on(&[leg(1)], 3), Err(Refused::Torn(MemberIndex(1))));
    let verdict = clean(&torn, &[leg(1)], &[]);
    assert_eq!(
        verdict,
        Verdict::Behind {
            missing: vec![leg(0)],
            older: Vec::new()
        }
    );
    let mut known = Differences::unknown(BLOCKS);
    let (old, new) = (
        &versions.held(leg(1)).unwrap().version,
        versions.newest().unwrap(),
    );
    known.go_on(old, new, &Changed::none(BLOCKS));
    let both = [leg(0), leg(1)];
    let stale = |of: &Versions| serving(judge(of, &both, &[], &Stop::Clean, &known)).stale;
    assert!(stale(&versions)[0].blocks.is_none());
    assert!(stale(&torn)[0].blocks.is_all());
    let done = torn.copy_done(leg(1), leg(0)).unwrap();
    // Though they are all that there are: one that was given up may know how they are now.
    assert!(done.may_write(&both, 2) && !done.may_write(&both, 9));
    assert_eq!(stale(&done), Vec::new());
}

#[test]
fn a_leg_is_added_torn_and_removed_by_a_turn() {
    let versions = Versions::new(&[leg(0)]);
    let again = versions.add(Leg {
        first: MemberRegion(99),
        ..leg(0)
    });
    assert_eq!(again, Err(Refused::SecondOnMember(MemberIndex(0))));
    let added = versions.add(leg(5)).unwrap();
    assert_eq!(
        added.go_on(&[leg(5)], 1),
        Err(Refused::Torn(MemberIndex(5)))
    );
    let both = added.copy_done(leg(5), leg(0)).unwrap();
    assert_eq!(
        both.remove(leg(0), &[leg(0), leg(5)], 1),
        Err(Refused::NotStale(MemberIndex(0)))
    );
    let moved = both.remove(leg(0), &[leg(5)], 1).unwrap();
    assert_eq!(moved.newest(), Some(&version(&[(5, 1, 1)])));
    // An entry of a member without a leg is dropped once nobody is away.
    let third = moved
        .add(leg(6))
        .unwrap()
        .copy_done(leg(6), leg(5))
        .unwrap();
    let back = third.remove(leg(5), &[leg(6)], 2).unwrap();
    assert_eq!(back.newest(), Some(&version(&[(5, 1, 1), (6, 2, 1)])));
    assert_eq!(back.settled(&[]), back);
    assert_eq!(
        back.settled(&[leg(6)]).newest(),
        Some(&version(&[(6, 2, 1)]))
    );
}

#[test]
fn those_that_go_on_name_one_that_has_an_entry() {
    let versions = Versions::new(&[leg(0), leg(1), leg(2)]);
    let two = versions.go_on(&[leg(2), leg(1)], 1).unwrap();
    let again = two.go_on(&[leg(1), leg(2)], 2).unwrap();
    assert_eq!(again.newest(), Some(&version(&[(2, 2, 1)])));
    // In the same epoch there is nothing more to be said.
    assert_eq!(again.go_on(&[leg(1), leg(2)], 2).unwrap(), again);
    let one = again.go_on(&[leg(1)], 2).unwrap();
    assert_eq!(one.newest(), Some(&version(&[(1, 2, 1), (2, 2, 1)])));
}
