use std::collections::BTreeSet;

use tier_core::command::Reason;
use tier_core::event::{MemberLoad, RegionCount};
use tier_core::units::{MemberIndex, MemberRegion, MoveId, RequestId, VolumeRegion};
use tier_core::volume::Leg;
use tier_core::wear::WearRule;

use metrics::Unit;

use super::*;

fn report(stage: Stage) -> MoveReport {
    let leg = |member| Leg {
        member: MemberIndex(member),
        first: MemberRegion(0),
    };
    MoveReport {
        id: MoveId(1),
        first: VolumeRegion(0),
        count: 4,
        source: leg(1),
        target: leg(0),
        from: Class::Hdd,
        to: Class::Nvme,
        stage,
        reason: Reason::ByHand {
            request: RequestId(1),
        },
        error: None,
    }
}

fn samples() -> Samples {
    let region = RegionCount {
        region: VolumeRegion(3),
        reads: 5,
        writes: 2,
        read_bytes: Bytes(5 << 12),
        written_bytes: Bytes(2 << 12),
        sequential: 1,
    };
    Samples {
        interval: Micros(10_000_000),
        regions: vec![region],
        lost: 1,
    }
}

fn resources() -> Resources {
    let load = MemberLoad {
        member: MemberIndex(1),
        busy: 0.5,
        in_flight: 2.0,
        read_latency: Some(Micros(8000)),
        write_latency: None,
        written_bytes: Bytes(0),
    };
    Resources {
        members: vec![load],
        foreground_p50: Some(Micros(90)),
        foreground_p99: Some(Micros(2000)),
        ..Resources::default()
    }
}

/// Reports every fact once, and gives what the endpoint then shows.
fn everything() -> String {
    let recorder = builder().unwrap().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        describe();
        let volume = VolumeMetrics::new("data");
        volume.samples(&samples());
        volume.hot();
        volume.resources(&resources());
        volume.moved(&report(Stage::Copying), Bytes(4 << 20));
        volume.moved(&report(Stage::Done), Bytes(4 << 20));
        volume.moved(&report(Stage::Failed), Bytes(4 << 20));
        volume.moves(2, 7);
        let hold = Hold {
            total: Duration::from_micros(700),
            drain: Duration::from_micros(300),
            moves: 4,
        };
        volume.hold("set_map", &hold);
        volume.step(Duration::from_millis(3));
        volume.commit(CommitOutcome::Durable);
        volume.metadata(Generation(12), 2);
        volume.wear(&MemberWearStatus {
            member: MemberIndex(1),
            class: Class::Nvme,
            written_bytes: 4096.0,
            allowed_bytes: 8192.0,
            bytes_per_year: 16384.0,
            seconds_per_gib: 0.05,
            rule: WearRule::Endurance,
        });
        volume.tier(Class::Nvme, Bytes(1 << 30), Bytes(8 << 30));
        let regions = ClassCounts {
            hot: 5,
            warm: 2,
            cold: 93,
        };
        let class = Class::Nvme;
        volume.forecast(&TierForecast { class, regions });
        dropped_log_lines(3);
    });
    recorder.handle().render()
}

#[test]
fn every_described_metric_is_emitted_and_every_emitted_one_is_described() {
    let rendered = everything();
    let emitted: BTreeSet<&str> = rendered
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .filter_map(|line| line.split(['{', ' ']).next())
        .map(|name| {
            let histogram = ["_bucket", "_sum", "_count"];
            histogram
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix))
                .unwrap_or(name)
        })
        .collect();
    let described: BTreeSet<&str> = METRICS.iter().map(|Metric(name, ..)| *name).collect();
    assert_eq!(emitted, described);
    assert_eq!(described.len(), METRICS.len(), "a name is described twice");
}

#[test]
fn names_end_in_their_unit() {
    for Metric(name, kind, unit, meaning) in METRICS {
        assert!(name.starts_with("tierd_"), "{name}");
        assert_eq!(kind == Counter, name.ends_with("_total"), "{name}");
        let expected: &[&str] = match unit {
            Unit::Seconds => &["_seconds"],
            Unit::Bytes => &["_bytes", "_bytes_total"],
            Unit::CountPerSecond => &["_per_second"],
            Unit::Percent => &["_ratio"],
            // A plain count is named by what it counts.
            _ => continue,
        };
        assert!(
            expected.iter().any(|suffix| name.ends_with(suffix)),
            "{name}"
        );
        assert!(!meaning.is_empty());
    }
}

#[test]
fn values_arrive_with_their_labels() {
    let rendered = everything();
    for line in [
        "tierd_bios_total{volume=\"data\",direction=\"read\"} 5",
        "tierd_bio_bytes_total{volume=\"data\",direction=\"write\"} 8192",
        "tierd_lost_bios_total{volume=\"data\"} 1",
        "tierd_foreground_latency_seconds{volume=\"data\",quantile=\"0.99\"} 0.002",
        "tierd_member_latency_seconds{volume=\"data\",member=\"1\",direction=\"read\"} 0.008",
        "tierd_moves_total{volume=\"data\",from=\"hdd\",to=\"nvme\",outcome=\"done\"} 1",
        "tierd_moves_total{volume=\"data\",from=\"hdd\",to=\"nvme\",outcome=\"failed\"} 1",
        "tierd_moved_bytes_total{volume=\"data\",from=\"hdd\",to=\"nvme\"} 4194304",
        "tierd_hold_seconds_bucket{volume=\"data\",verb=\"set_map\",le=\"0.001\"} 1",
        "tierd_hold_seconds_bucket{volume=\"data\",verb=\"set_map\",le=\"0.0005\"} 0",
        "tierd_hold_own_seconds_bucket{volume=\"data\",verb=\"set_map\",le=\"0.0005\"} 1",
        "tierd_hold_own_seconds_bucket{volume=\"data\",verb=\"set_map\",le=\"0.0002\"} 0",
        "tierd_wear_allowed_bytes{volume=\"data\",member=\"1\"} 8192",
        "tierd_wear_price_per_gib_seconds{volume=\"data\",member=\"1\"} 0.05",
        "tierd_generation{volume=\"data\"} 12",
        "tierd_dropped_log_lines_total 3",
    ] {
        assert!(
            rendered.lines().any(|shown| shown == line),
            "{line}\nis not in\n{rendered}"
        );
    }
}

#[test]
fn a_move_that_has_not_ended_is_not_counted() {
    let recorder = builder().unwrap().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        VolumeMetrics::new("data").moved(&report(Stage::Copying), Bytes(1));
    });
    assert!(!recorder.handle().render().contains("tierd_moves_total"));
}
