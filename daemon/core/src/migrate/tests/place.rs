//! Where the targets of moves lie.

use crate::event::Target;
use crate::policy::PolicyConfig;
use crate::testing::{Shell, extent, leg, member, state};
use crate::units::{MemberIndex, VolumeRegion};
use crate::volume::{Class, VolumeState};

const FAST: Target = Target::Class(Class::Nvme);
const SLOW: Target = Target::Class(Class::Hdd);

fn home(shell: &Shell, region: u32) -> crate::volume::Leg {
    shell.engine.map().home(VolumeRegion(region)).unwrap()
}

#[test]
fn what_comes_back_fills_its_own_gap_and_is_one_extent_with_its_neighbours() {
    let mut shell = Shell::by_hand();
    for region in [10, 20, 30] {
        shell.ask(region, 1, FAST);
        shell.settle();
    }
    for region in [20, 30, 10] {
        shell.ask(region, 1, SLOW);
        shell.settle();
        assert_eq!(home(&shell, region), leg(1, region));
    }
    assert_eq!(shell.engine.map().len(), 1);
}

#[test]
fn neighbours_go_side_by_side_while_both_are_on_their_way() {
    let mut shell = Shell::by_hand();
    for region in [10, 30, 11, 9] {
        shell.ask(region, 1, FAST);
    }
    shell.settle();
    assert_eq!(home(&shell, 10), leg(0, 0));
    assert_eq!(home(&shell, 30), leg(0, 1), "nothing lies beside it");
    assert_eq!(home(&shell, 11), leg(0, 2), "another is in its place");
    assert_eq!(home(&shell, 9), leg(0, 3), "nothing lies before the first");
    shell.ask(12, 2, FAST);
    shell.ask(31, 1, FAST);
    shell.settle();
    assert_eq!(home(&shell, 12), leg(0, 4), "its place was taken");
}

#[test]
fn neighbours_keep_together_only_while_their_tier_fills_evenly() {
    let state = VolumeState {
        members: vec![
            member(0, Class::Nvme, 8),
            member(1, Class::Hdd, 60),
            member(2, Class::Nvme, 8),
        ],
        extents: vec![extent(0, 40, leg(1, 0))],
        ..state()
    };
    let config = PolicyConfig {
        enabled: false,
        ..PolicyConfig::default()
    };
    let mut shell = Shell::new(config, state, Vec::new());
    for region in 0..10 {
        shell.ask(region, 1, FAST);
        shell.settle();
    }
    let on = |member: u16| {
        let homes = (0..10).map(|region| home(&shell, region).member);
        homes.filter(|&one| one == MemberIndex(member)).count()
    };
    assert_eq!((on(0), on(2)), (5, 5));
    assert_eq!(home(&shell, 4), leg(0, 4), "together at first");
}
