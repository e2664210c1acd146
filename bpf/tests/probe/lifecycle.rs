//! Loading, watching, unwatching, and what is left behind: nothing.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use libbpf_rs::query::ProgInfoIter;
use tier_bpf::{
    DeviceNumber, KernelFeature, MAX_MEMBERS, MAX_VOLUMES, Probe, ProbeConfig, ProbeError,
};

use crate::rig::{Disk, MIB, SHIFT, can_run, counts, watch};

/// A device that does not exist: the probe knows only numbers.
fn device(minor: usize) -> DeviceNumber {
    DeviceNumber {
        major: 4000,
        minor: u32::try_from(minor).unwrap(),
    }
}

fn load() -> Probe {
    Probe::load(ProbeConfig::default()).unwrap()
}

#[test]
fn a_probe_that_goes_leaves_nothing() {
    if !can_run("a_probe_that_goes_leaves_nothing") {
        return;
    }
    let disk = Disk::new(8 * MIB);
    let probe = watch(&disk, 8, ProbeConfig::default());
    let ids = probe.program_ids().to_vec();
    let alive = || {
        ProgInfoIter::default()
            .filter(|program| ids.contains(&program.id))
            .count()
    };
    assert_eq!(alive(), 5);
    drop(probe);
    // The kernel frees programs after a grace period.
    let deadline = Instant::now() + Duration::from_secs(10);
    while alive() > 0 {
        assert!(Instant::now() < deadline, "programs are left in the kernel");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_probe_may_be_used_from_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<Probe>();
}

#[test]
fn an_unwatched_volume_is_not_counted_and_its_slot_starts_afresh() {
    if !can_run("an_unwatched_volume_is_not_counted_and_its_slot_starts_afresh") {
        return;
    }
    let disk = Disk::new(8 * MIB);
    let mut probe = watch(&disk, 8, ProbeConfig::default());
    disk.write(0, 4096);
    probe.unwatch_volume(disk.number()).unwrap();
    assert!(matches!(
        probe.swap(disk.number()),
        Err(ProbeError::NotWatched(_))
    ));
    assert_eq!(probe.stats().unwrap().region_memory_bytes, 0);
    disk.write(MIB, 4096);

    probe.watch_volume(disk.number(), 8, SHIFT).unwrap();
    disk.write(2 * MIB, 4096);
    let interval = probe.swap(disk.number()).unwrap();
    assert_eq!(interval.regions, [counts(2, (0, 0), (1, 4096))]);
    assert_eq!(interval.totals.writes, 1);
}

#[test]
fn as_many_volumes_and_members_as_said_and_no_more() {
    if !can_run("as_many_volumes_and_members_as_said_and_no_more") {
        return;
    }
    let mut probe = load();
    for minor in 0..MAX_VOLUMES {
        probe.watch_volume(device(minor), 64, SHIFT).unwrap();
    }
    assert!(matches!(
        probe.watch_volume(device(MAX_VOLUMES), 64, SHIFT),
        Err(ProbeError::TooManyVolumes)
    ));
    probe.unwatch_volume(device(7)).unwrap();
    probe.watch_volume(device(MAX_VOLUMES), 64, SHIFT).unwrap();

    for minor in 0..MAX_MEMBERS {
        probe.watch_member(device(minor)).unwrap();
    }
    assert!(matches!(
        probe.watch_member(device(MAX_MEMBERS)),
        Err(ProbeError::TooManyMembers)
    ));
    assert_eq!(probe.member_loads().unwrap().len(), MAX_MEMBERS);
}

#[test]
fn bad_requests_are_refused_and_change_nothing() {
    if !can_run("bad_requests_are_refused_and_change_nothing") {
        return;
    }
    let mut probe = load();
    let one = device(1);
    for (regions, shift) in [(0, 20), (8, 11), (8, 33), (8, 64), (u32::MAX, 32)] {
        let refused = probe.watch_volume(one, regions, shift);
        assert!(
            matches!(refused, Err(ProbeError::BadRegions { .. })),
            "{regions} {shift}"
        );
    }
    probe.watch_volume(one, 8, 20).unwrap();
    assert!(matches!(
        probe.watch_volume(one, 8, 20),
        Err(ProbeError::AlreadyWatched(_))
    ));
    probe.watch_member(one).unwrap();
    assert!(matches!(
        probe.watch_member(one),
        Err(ProbeError::AlreadyWatched(_))
    ));
    let two = device(2);
    assert!(matches!(
        probe.unwatch_volume(two),
        Err(ProbeError::NotWatched(_))
    ));
    assert!(matches!(
        probe.unwatch_member(two),
        Err(ProbeError::NotWatched(_))
    ));
    assert!(matches!(
        probe.set_threshold(two, 1),
        Err(ProbeError::NotWatched(_))
    ));
    assert!(matches!(
        probe.latencies(two),
        Err(ProbeError::NotWatched(_))
    ));
    for config in [
        ProbeConfig {
            hot_ring_bytes: 5000,
            ..ProbeConfig::default()
        },
        ProbeConfig {
            hot_ring_bytes: 2048,
            ..ProbeConfig::default()
        },
        ProbeConfig {
            sample_one_in: u32::MAX,
            ..ProbeConfig::default()
        },
    ] {
        assert!(
            matches!(Probe::load(config), Err(ProbeError::BadConfig(_))),
            "{config:?}"
        );
    }
}

#[test]
fn a_spent_budget_is_refused_with_figures_and_arrays_keep_to_it() {
    if !can_run("a_spent_budget_is_refused_with_figures_and_arrays_keep_to_it") {
        return;
    }
    let config = ProbeConfig {
        region_memory_bytes: 1 << 20,
        ..ProbeConfig::default()
    };
    let mut probe = Probe::load(config).unwrap();
    let before = probe.stats().unwrap().memory_bytes;
    probe.watch_volume(device(1), 20_000, SHIFT).unwrap();
    let stats = probe.stats().unwrap();
    let taken = stats.memory_bytes - before;
    assert!(
        taken >= 2 * 20_000 * 24 && taken <= stats.region_memory_bytes,
        "{taken} {stats:?}"
    );
    let refused = probe.watch_volume(device(2), 1 << 20, SHIFT);
    let Err(ProbeError::BudgetSpent {
        budget_bytes,
        left_bytes,
        needed_bytes,
        ..
    }) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(budget_bytes, 1 << 20);
    assert_eq!(left_bytes, (1 << 20) - stats.region_memory_bytes);
    assert!(needed_bytes > left_bytes);
}

/// Set in the process that tries to load without any rights.
const WITHOUT_RIGHTS: &str = "TIER_BPF_TEST_WITHOUT_RIGHTS";

#[test]
fn without_the_right_to_load_that_is_what_is_said() {
    if env::var_os(WITHOUT_RIGHTS).is_some() {
        let error = Probe::load(ProbeConfig::default()).unwrap_err();
        assert!(
            matches!(
                error,
                ProbeError::Missing {
                    feature: KernelFeature::Permission
                }
            ),
            "{error}"
        );
        assert!(error.to_string().contains("CAP_BPF"), "{error}");
        return;
    }
    if !can_run("without_the_right_to_load_that_is_what_is_said") {
        return;
    }
    // A copy where anyone may run it from.
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let program = folder.path().join("probe");
    fs::copy(env::current_exe().unwrap(), &program).unwrap();
    let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), everyone).unwrap();
    let output = Command::new(&program)
        .args([
            "--exact",
            "lifecycle::without_the_right_to_load_that_is_what_is_said",
        ])
        .env(WITHOUT_RIGHTS, "1")
        .current_dir("/")
        .uid(65_534)
        .gid(65_534)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}
