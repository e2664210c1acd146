use super::*;
use crate::testing::{Shell, config, extent, leg, state};
use crate::volume::VolumeState;

fn shell(extents: Vec<Extent>) -> Shell {
    let config = PolicyConfig {
        move_bytes_max: 4 << 20,
        ..config()
    };
    Shell::new(config, VolumeState { extents, ..state() }, Vec::new())
}

fn run(shell: &Shell, region: u32, most: u32, takes: impl Fn(u32) -> bool) -> (u32, u32) {
    let known = shell.engine.known();
    let run = known
        .run_around(VolumeRegion(region), most, |region| takes(region.0))
        .unwrap();
    assert_eq!(run.home(), shell.engine.map().home(run.first));
    (run.first.0, run.count)
}

#[test]
fn a_run_ends_where_the_home_has_a_gap_where_it_is_refused_and_where_a_move_ends() {
    let shell = shell(vec![extent(0, 10, leg(1, 0)), extent(10, 30, leg(1, 20))]);
    assert_eq!(
        run(&shell, 8, 9, |_| true),
        (5, 4),
        "four regions are one move's most"
    );
    assert_eq!(run(&shell, 8, 2, |_| true), (7, 2));
    assert_eq!(
        run(&shell, 8, 9, |region| region >= 8),
        (8, 2),
        "region 10 is elsewhere"
    );
    assert_eq!(run(&shell, 10, 9, |region| region != 12), (10, 2));
    assert_eq!(
        run(&shell, 39, 9, |region| region == 39),
        (39, 1),
        "the volume's end"
    );
    assert_eq!(run(&shell, 0, 9, |_| true), (0, 4));
}

#[test]
fn headroom_is_kept_and_half_of_it_may_be_used_to_make_room() {
    // The fast member has 20 regions, 19 of them used; the hard disk 25, 21 of them used.
    let mut state = state();
    state.members[1].regions = 25;
    state.extents = vec![extent(0, 19, leg(0, 0)), extent(19, 21, leg(1, 0))];
    let shell = Shell::new(config(), state, Vec::new());
    let known = shell.engine.known();
    assert_eq!(
        (known.headroom(Class::Nvme), known.headroom(Class::Hdd)),
        (2, 3)
    );
    assert_eq!(known.room(Class::Nvme), 0);
    assert_eq!(
        known.demotes_to(Class::Nvme),
        Some((Class::Hdd, 2)),
        "four free, two of them kept"
    );
    assert_eq!(known.demotes_to(Class::Hdd), None, "nothing is slower");
}

#[test]
fn a_small_tier_is_asked_for_a_whole_region_only_where_others_make_room_in_it() {
    // Of a hundredth of 20 and of 60 regions.
    let config = PolicyConfig {
        tier_headroom: 0.01,
        ..config()
    };
    let shell = Shell::new(config, state(), Vec::new());
    let known = shell.engine.known();
    assert_eq!(
        (known.headroom(Class::Nvme), known.headroom(Class::Hdd)),
        (0, 1)
    );
    assert_eq!(known.room(Class::Nvme), 20);
}

#[test]
fn the_coldest_are_the_first_victims() {
    let mut shell = shell(vec![extent(0, 4, leg(0, 0)), extent(4, 36, leg(1, 0))]);
    shell.sample(0, 9, 0);
    shell.sample(2, 3, 0);
    let victims = shell.engine.known().victims(Class::Nvme);
    let order: Vec<u32> = victims[LAST].iter().map(|victim| victim.region.0).collect();
    assert_eq!(order, [1, 3, 2, 0]);
}

#[test]
fn a_copy_costs_the_time_of_both_devices_and_the_wear_and_requests_may_wait_for_it() {
    let mut shell = shell(vec![extent(0, 40, leg(1, 0))]);
    let price = |shell: &Shell| shell.engine.known().price(leg(1, 0), Class::Nvme);
    let wear = PolicyConfig::default().wear_seconds_per_gib / 1024.0;
    let idle = price(&shell);
    // 8 ms of access and 5.8 ms of transfer; on flash, less than one.
    assert!(
        (0.0138..0.0148).contains(&(idle.seconds - wear)),
        "{idle:?}"
    );
    assert!(idle.is_idle() && !idle.is_free());
    shell.load(3.0, 8_000);
    let loaded = price(&shell);
    assert!(
        (loaded.seconds - idle.seconds).abs() < 1e-9,
        "it takes as long"
    );
    assert!((loaded.waiting_seconds - wear - 3.0 * loaded.device_seconds).abs() < 1e-2);
    assert!(!loaded.is_idle());
}
