use std::collections::VecDeque;

use tier_core::event::RegionCount;

use super::channel::last_cpu;
use super::*;

/// Plays a conversation: each message that is to come, and its answer.
#[derive(Debug)]
struct Script(VecDeque<(String, Option<String>)>);

impl Script {
    fn new<const N: usize>(conversation: [(&str, Option<&str>); N]) -> Self {
        let lines = conversation.into_iter();
        Self(
            lines
                .map(|(message, answer)| (message.into(), answer.map(Into::into)))
                .collect(),
        )
    }
}

impl Messages for Script {
    fn send(&mut self, message: &str) -> Result<Option<String>, DmStatsError> {
        let (expected, answer) = self.0.pop_front().expect("one message too many");
        assert_eq!(message, expected);
        Ok(answer)
    }
}

fn plan(regions: u32) -> Plan {
    Plan {
        regions,
        region_size: RegionSize::MIN,
        cpus: 2,
        budget: Bytes(64 << 20),
    }
}

fn second(seconds: u64) -> Now {
    Now(seconds * 1_000_000_000)
}

#[test]
fn touched_areas_become_counts_and_idle_ones_nothing() {
    // Laid out as statistics.rst and print_stats in dm-stats.c do: two counters close the line.
    let printed = "0+2048 12 0 96 4 0 0 0 0 0 4 4 4 0\n\
                   2048+2048 0 0 0 0 0 0 0 0 0 0 0 0 0\n\
                   4096+2048 3 1 24 0 7 2 1024 31 0 30 31 0 31\n";
    let channel = Script::new([
        ("@stats_list tierd", Some("")),
        ("@stats_create 0+6144 2048 tierd", Some("0\n")),
        ("@stats_print_clear 0 0 3", Some(printed)),
        ("@stats_delete 0", None),
    ]);
    let mut stats = DmStats::begin(channel, plan(3), second(5)).unwrap();
    let samples = stats.drain(second(15)).unwrap();
    assert_eq!(samples.interval, Micros(10_000_000));
    let first = RegionCount {
        reads: 12,
        read_bytes: Bytes(96 * 512),
        ..RegionCount::default()
    };
    let last = RegionCount {
        region: VolumeRegion(2),
        reads: 3,
        writes: 7,
        read_bytes: Bytes(24 * 512),
        written_bytes: Bytes(1024 * 512),
        sequential: 0,
    };
    assert_eq!(samples.regions, [first, last]);
    stats.end().unwrap();
}

#[test]
fn what_an_earlier_daemon_left_is_removed() {
    let listed = "0: 0+6144 2048 tierd\n3: 0+6144 2048 tierd -\n";
    let channel = Script::new([
        ("@stats_list tierd", Some(listed)),
        ("@stats_delete 0", None),
        ("@stats_delete 3", None),
        ("@stats_create 0+2048 2048 tierd", Some("1")),
    ]);
    assert!(DmStats::begin(channel, plan(1), second(0)).is_ok());
}

#[test]
fn large_volumes_are_drained_in_parts() {
    let regions = AREAS_PER_MESSAGE + 1;
    let lines = |range: std::ops::Range<u32>| -> String {
        let line = |area: u32| format!("{}+2048 {area} 0 8 0 0 0 0 0 0 0 0 0 0\n", area * 2048);
        range.map(line).collect()
    };
    let (head, tail) = (
        lines(0..AREAS_PER_MESSAGE),
        lines(AREAS_PER_MESSAGE..regions),
    );
    let create = format!("@stats_create 0+{} 2048 tierd", u64::from(regions) * 2048);
    let channel = Script::new([
        ("@stats_list tierd", None),
        (&create, Some("9")),
        ("@stats_print_clear 9 0 8192", Some(&head)),
        ("@stats_print_clear 9 8192 1", Some(&tail)),
    ]);
    let mut stats = DmStats::begin(channel, plan(regions), second(0)).unwrap();
    let samples = stats.drain(second(1)).unwrap();
    // Region 0 had no reads and no writes.
    assert_eq!(samples.regions.len(), AREAS_PER_MESSAGE as usize);
    let last = samples.regions.last().unwrap();
    assert_eq!((last.region, last.reads), (VolumeRegion(8192), 8192));
}

#[test]
fn counters_over_the_memory_budget_are_refused_before_the_kernel_is_asked() {
    let plan = Plan {
        cpus: 64,
        ..plan(1 << 20)
    };
    assert_eq!(plan.memory(), Bytes((120 + 64 * 104) << 20));
    let error = DmStats::begin(Script::new([]), plan, second(0)).unwrap_err();
    assert!(matches!(error, DmStatsError::OverBudget { .. }), "{error}");
    assert!(error.to_string().contains("probe.memory"), "{error}");
}

#[test]
fn an_answer_that_does_not_fit_is_an_error_and_no_count() {
    let cut = "0+2048 1 0 8 0 0";
    let shifted = "2048+2048 1 0 8 0 0 0 0 0 0 0 0 0 0\n";
    let long = "0+2048 1 0 8 0 0 0 0 0 0 0 0 0 0\n2048+2048 1 0 8 0 0 0 0 0 0 0 0 0 0\n";
    for answer in [cut, shifted, long, "", "garbage\n"] {
        let channel = Script::new([
            ("@stats_list tierd", Some("")),
            ("@stats_create 0+2048 2048 tierd", Some("0")),
            ("@stats_print_clear 0 0 1", Some(answer)),
        ]);
        let mut stats = DmStats::begin(channel, plan(1), second(0)).unwrap();
        let error = stats.drain(second(1)).unwrap_err();
        assert!(
            matches!(error, DmStatsError::Answer { .. }),
            "{answer:?}: {error}"
        );
    }
}

#[test]
fn a_region_id_that_is_no_number_is_an_error() {
    let channel = Script::new([
        ("@stats_list tierd", Some("")),
        ("@stats_create 0+2048 2048 tierd", Some("busy")),
    ]);
    assert!(DmStats::begin(channel, plan(1), second(0)).is_err());
}

#[test]
fn possible_cpus_are_counted_to_the_last() {
    assert_eq!(last_cpu("0\n"), Some(0));
    assert_eq!(last_cpu("0-7\n"), Some(7));
    assert_eq!(last_cpu("0-3,8-11\n"), Some(11));
    assert_eq!(last_cpu("none"), None);
    assert!(possible_cpus().unwrap() >= 1);
}
