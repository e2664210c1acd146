use proptest::prelude::*;
use tier_core::units::{Bytes, MemberIndex, RegionSize};
use uuid::Uuid;

use super::*;
use crate::backend::MemberDevice;

const GATE: DeviceNumber = DeviceNumber {
    major: 252,
    minor: 9,
};

fn member(index: u16, minor: u32) -> MemberDevice {
    MemberDevice {
        index: MemberIndex(index),
        path: format!("/dev/m{index}").into(),
        number: DeviceNumber { major: 8, minor },
        data_start: Bytes(4 << 20),
        regions: 64,
    }
}

fn layout() -> Layout {
    Layout {
        volume: Uuid::nil(),
        name: "data".parse().unwrap(),
        region_size: RegionSize::MIN,
        regions: 16,
        block_bytes: Bytes(512),
        members: vec![member(0, 0), member(1, 16)],
    }
}

fn leg(member: u16, first: u32) -> Leg {
    Leg {
        member: MemberIndex(member),
        first: MemberRegion(first),
    }
}

fn extent(first: u32, count: u32, leg: Leg) -> Extent {
    Extent {
        first: VolumeRegion(first),
        count,
        legs: Legs::from_iter([leg]),
    }
}

fn two_halves() -> VolumeMap {
    let extents = [extent(0, 8, leg(0, 0)), extent(8, 8, leg(1, 0))];
    VolumeMap::from_extents(&layout(), &extents).unwrap()
}

fn no_moves() -> BTreeMap<DeviceNumber, MoveId> {
    BTreeMap::new()
}

#[test]
fn runs_that_adjoin_on_volume_and_leg_become_one_target() {
    let extents = [
        extent(0, 4, leg(0, 10)),
        extent(4, 4, leg(0, 14)),
        extent(8, 8, leg(0, 30)),
    ];
    let map = VolumeMap::from_extents(&layout(), &extents).unwrap();
    let table = map.to_table(&layout(), &no_moves()).unwrap();
    let lines: Vec<_> = table.iter().map(ToString::to_string).collect();
    // Data start 8192 sectors, 2048 sectors a region.
    assert_eq!(
        lines,
        ["0 16384 linear 8:0 28672", "16384 16384 linear 8:0 69632"]
    );
}

#[test]
fn extents_that_leave_a_gap_or_a_member_are_refused() {
    let refuse = |extents: &[Extent]| VolumeMap::from_extents(&layout(), extents).unwrap_err();
    for extents in [
        vec![extent(0, 8, leg(0, 0))],
        vec![extent(0, 8, leg(0, 0)), extent(9, 7, leg(1, 0))],
        vec![extent(0, 9, leg(0, 0)), extent(8, 8, leg(1, 0))],
        vec![extent(0, 17, leg(0, 0))],
        vec![extent(0, 16, leg(0, 49))],
        vec![extent(0, 16, leg(2, 0))],
        vec![extent(0, 16, leg(0, u32::MAX))],
        vec![Extent {
            first: VolumeRegion(0),
            count: 16,
            legs: Legs::new(),
        }],
    ] {
        assert!(
            matches!(refuse(&extents), BackendError::Layout(_)),
            "{extents:?}"
        );
    }
}

#[test]
fn a_run_is_put_behind_a_move_and_folded_again() {
    let mut map = two_halves();
    let moves = BTreeMap::from([(GATE, MoveId(7))]);
    assert_eq!(map.leg_of(VolumeRegion(2), 3), Some(leg(0, 2)));
    map.set(VolumeRegion(2), 3, Home::Move(MoveId(7)));
    assert_eq!(map.leg_of(VolumeRegion(2), 3), None);
    assert_eq!(
        map.move_run(MoveId(7)).map(|run| (run.first, run.count)),
        Some((2, 3))
    );
    let table = map.to_table(&layout(), &moves).unwrap();
    assert_eq!(table.len(), 4);
    assert_eq!(table[1].to_string(), "4096 6144 linear 252:9 896");
    let name = "tierd-data";
    assert_eq!(
        VolumeMap::from_table(&layout(), name, &table, &moves).unwrap(),
        map
    );
    map.set(VolumeRegion(2), 3, Home::Member(leg(0, 2)));
    assert_eq!(map, two_halves());
}

#[test]
fn a_leg_over_a_border_or_behind_a_move_is_none() {
    let map = two_halves();
    assert_eq!(map.leg_of(VolumeRegion(6), 4), None);
    assert_eq!(map.leg_of(VolumeRegion(15), 2), None);
    assert_eq!(map.leg_of(VolumeRegion(16), 1), None);
    assert_eq!(map.leg_of(VolumeRegion(1), u32::MAX), None);
}

#[test]
fn a_table_that_tierd_did_not_make_is_refused_where_it_differs() {
    let table = two_halves().to_table(&layout(), &no_moves()).unwrap();
    let read = |table: &[Segment]| match VolumeMap::from_table(
        &layout(),
        "tierd-data",
        table,
        &no_moves(),
    )
    .unwrap_err()
    {
        BackendError::Foreign { sector, .. } => sector,
        other => panic!("{other}"),
    };
    let with = |target| [table[0], Segment { target, ..table[1] }];
    let place = Place {
        device: DeviceNumber {
            major: 8,
            minor: 16,
        },
        offset: Sectors(8192),
    };
    assert_eq!(read(&with(Target::Zero)), 16384);
    assert_eq!(
        read(&with(Target::Linear(Place {
            device: GATE,
            ..place
        }))),
        16384
    );
    assert_eq!(read(&with(Target::Linear(place.plus(Sectors(8))))), 16384);
    assert_eq!(
        read(&with(Target::Linear(Place {
            offset: Sectors(0),
            ..place
        }))),
        16384
    );
    assert_eq!(read(&table[..1]), 16384);
    assert_eq!(
        read(&[
            Segment {
                length: Sectors(100),
                ..table[0]
            },
            table[1]
        ]),
        0
    );
    assert_eq!(read(&[table[1], table[0]]), 16384);
}

proptest! {
    #[test]
    fn editing_changes_the_named_regions_and_no_other(
        edits in prop::collection::vec((0_u32..16, 1_u32..8, 0_u16..2, 0_u32..40), 1..24)
    ) {
        let mut map = two_halves();
        let mut model: Vec<Leg> =
            (0..16).map(|at| leg(at / 8, u32::from(at) % 8)).collect();
        for (first, count, member, to) in edits {
            let count = count.min(16 - first);
            map.set(VolumeRegion(first), count, Home::Member(leg(member, to)));
            for at in 0..count {
                model[(first + at) as usize] = leg(member, to + at);
            }
        }
        for (at, wanted) in (0_u32..).zip(&model) {
            prop_assert_eq!(map.leg_of(VolumeRegion(at), 1), Some(*wanted));
        }
        let table = map.to_table(&layout(), &no_moves()).unwrap();
        let back = VolumeMap::from_table(&layout(), "v", &table, &no_moves()).unwrap();
        prop_assert_eq!(&back, &map);
        prop_assert!(map.runs().windows(2).all(|pair| !pair[0].continues_in(pair[1])));
    }
}
