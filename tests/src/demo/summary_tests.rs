//! Tests of the summary: the line that people trust must not stand where it is not true.

use std::time::Duration;

use super::*;
use crate::demo::outcome::Latency;

fn outcome(complaints: &[&str], moved_in_seconds: Option<f64>) -> Outcome {
    let mut before = Measured {
        seconds: 10.0,
        reads: Latency::of(&[Duration::from_millis(30); 1000]),
        ..Measured::default()
    };
    before.served.insert(Class::Hdd, 1.0);
    Outcome {
        kernel: "6.12".to_owned(),
        probe: ProbeStatus::Off {
            reason: "a test".to_owned(),
        },
        files: 7,
        file_bytes: 3 << 20,
        hot_bytes: 1 << 20,
        after: Measured {
            reads: Latency::of(&vec![Duration::from_micros(200); 5000]),
            ..before.clone()
        },
        before,
        moved_in_seconds,
        moves: tier_wire::samples::moves().history,
        explained: None,
        holds: tier_wire::HoldStatistics::default(),
        heat: ["map before".to_owned(), "map after".to_owned()],
        ledger_writes: 3,
        complaints: complaints.iter().map(ToString::to_string).collect(),
        seconds: 1.0,
    }
}

#[test]
fn a_good_outcome_says_so_with_its_figures() {
    let good = outcome(&[], Some(12.0));
    let text = summary(&good);
    assert!(good.is_good());
    assert_eq!(text.lines().last(), Some(VERIFIED), "{text}");
    for figure in ["100", "500", "30.0 ms", "200 µs", "100.0 %", "in 12 s"] {
        assert!(text.contains(figure), "{figure} is missing:\n{text}");
    }
    for part in ["promotion hdd → nvme", "map before", "map after"] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
}

#[test]
fn a_spoilt_file_is_told_and_nothing_is_verified() {
    let bad = outcome(&["a/b: 3 bytes"], Some(12.0));
    let text = summary(&bad);
    assert!(!bad.is_good());
    assert!(text.contains("WRONG: a/b: 3 bytes"), "{text}");
    assert!(!text.contains(VERIFIED), "{text}");
}

#[test]
fn data_that_did_not_move_are_no_success() {
    let bad = outcome(&[], None);
    assert!(!bad.is_good());
    assert!(summary(&bad).contains("did not move"));
}

#[test]
fn latencies_are_ranked_and_no_access_has_none() {
    let some: Vec<_> = (1..=100).map(Duration::from_secs).collect();
    let ranked = Latency::of(&some);
    let figures = [
        ranked.p50_seconds,
        ranked.p99_seconds,
        ranked.max_seconds,
        ranked.mean_seconds,
    ];
    for (figure, wanted) in figures.into_iter().zip([50.0, 99.0, 100.0, 50.5]) {
        assert!((figure - wanted).abs() < 1e-9, "{figure}, not {wanted}");
    }
    assert_eq!(Latency::of(&[]), Latency::default());
}
