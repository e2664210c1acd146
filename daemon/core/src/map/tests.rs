//! The map against a plain list of homes.

use proptest::prelude::*;

use super::*;
use crate::units::MemberRegion;

const REGIONS: u32 = 24;

fn leg(member: u16, first: u32) -> Leg {
    Leg {
        member: MemberIndex(member),
        first: MemberRegion(first),
    }
}

fn extent(first: u32, count: u32, home: Leg) -> Extent {
    Extent {
        first: VolumeRegion(first),
        count,
        legs: Legs::from_slice(&[home]),
    }
}

#[test]
fn neighbours_that_go_on_from_one_another_are_one_run() {
    let extents = [
        extent(0, 4, leg(0, 10)),
        extent(4, 4, leg(0, 14)),
        extent(8, 2, leg(0, 0)),
    ];
    let map = Map::new(10, &extents).unwrap();
    assert_eq!(
        map.iter().collect::<Vec<_>>(),
        [extent(0, 8, leg(0, 10)), extent(8, 2, leg(0, 0))]
    );
    assert!(map.is_home(VolumeRegion(2), 6, leg(0, 12)));
    assert!(
        !map.is_home(VolumeRegion(2), 7, leg(0, 12)),
        "region 8 is elsewhere"
    );
}

#[test]
fn a_run_is_cut_and_joined_again() {
    let mut map = Map::new(10, &[extent(0, 10, leg(0, 0))]).unwrap();
    map.set(&extent(3, 4, leg(1, 7)));
    assert_eq!(
        map.iter().collect::<Vec<_>>(),
        [
            extent(0, 3, leg(0, 0)),
            extent(3, 4, leg(1, 7)),
            extent(7, 3, leg(0, 7))
        ]
    );
    assert_eq!(map.home(VolumeRegion(5)), Some(leg(1, 9)));
    assert_eq!(map.home(VolumeRegion(10)), None);
    map.set(&extent(3, 4, leg(0, 3)));
    assert_eq!(map.iter().collect::<Vec<_>>(), [extent(0, 10, leg(0, 0))]);
}

#[test]
fn extents_that_do_not_cover_the_volume_once_are_no_map() {
    let wrong = [
        (vec![extent(0, 4, leg(0, 0))], 5),
        (vec![extent(0, 4, leg(0, 0)), extent(3, 2, leg(1, 0))], 5),
        (vec![extent(0, 4, leg(0, 0)), extent(5, 1, leg(1, 0))], 6),
        (vec![extent(0, 0, leg(0, 0))], 0),
        (vec![extent(0, 6, leg(0, 0))], 5),
    ];
    for (extents, regions) in wrong {
        assert!(
            Map::new(regions, &extents).is_err(),
            "{extents:?} for {regions} regions"
        );
    }
}

#[test]
fn an_extent_beyond_the_end_changes_nothing() {
    let mut map = Map::new(10, &[extent(0, 10, leg(0, 0))]).unwrap();
    let before = map.clone();
    map.set(&extent(8, 3, leg(1, 0)));
    map.set(&extent(u32::MAX, 2, leg(1, 0)));
    map.set(&extent(4, 0, leg(1, 0)));
    assert_eq!(map, before);
}

proptest! {
    #[test]
    fn it_agrees_with_a_list_of_homes(
        changes in prop::collection::vec((0..REGIONS, 1..8_u32, 0..3_u16, 0..30_u32), 1..60)
    ) {
        let mut map = Map::new(REGIONS, &[extent(0, REGIONS, leg(0, 0))]).unwrap();
        let mut homes: Vec<Leg> = (0..REGIONS).map(|at| leg(0, at)).collect();
        for (first, count, member, at) in changes {
            let count = count.min(REGIONS - first);
            map.set(&extent(first, count, leg(member, at)));
            for offset in 0..count {
                homes[(first + offset) as usize] = leg(member, at + offset);
            }
            prop_assert_eq!(map.check(), Ok(()));
            let found: Vec<Leg> =
                (0..REGIONS).filter_map(|region| map.home(VolumeRegion(region))).collect();
            prop_assert_eq!(&found, &homes);
            let borders = homes.windows(2).filter(|pair| pair[0].plus(1) != pair[1]).count();
            prop_assert_eq!(map.len(), borders + 1, "runs that could be one");
            let pieces: u32 =
                map.pieces(VolumeRegion(first), count).map(|piece| piece.count).sum();
            prop_assert_eq!(pieces, count);
        }
    }
}
