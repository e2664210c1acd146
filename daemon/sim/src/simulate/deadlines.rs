//! Sets whose times are known: whether each is there when its time comes.

use std::collections::BTreeMap;

use tier_core::command::{Reason, Stage};
use tier_core::forecast::ExpertName;
use tier_core::units::{Bytes, Micros};
use tier_core::volume::{Class, Profile};

use super::*;
use crate::field::MemberSetup;
use crate::trace::{Op, Request};

const MIB: u64 = 1 << 20;
const SECOND: u64 = 1_000_000_000;

/// A set that is used at its time of every period.
#[derive(Clone, Copy)]
struct Set {
    first: u64,
    regions: u64,
    /// Seconds into the period.
    from: u32,
    until: u32,
    reads_per_second: u32,
}

/// A large set, after whose time there is a pause, and then two small ones, one directly after the
/// other; the second is used far more than the first.
struct Load {
    period: u32,
    periods: u32,
    sets: [Set; 3],
}

const HOURLY: Load = Load {
    period: 1_200,
    periods: 10,
    sets: [
        Set {
            first: 0,
            regions: 8,
            from: 0,
            until: 240,
            reads_per_second: 2,
        },
        Set {
            first: 128,
            regions: 8,
            from: 240,
            until: 480,
            reads_per_second: 10,
        },
        Set {
            first: 256,
            regions: 16,
            from: 600,
            until: 960,
            reads_per_second: 10,
        },
    ],
};

impl Load {
    fn trace(&self) -> Trace {
        let mut requests = Vec::new();
        let mut state = 7_u64;
        for period in 0..self.periods {
            for set in self.sets {
                for number in 0..(set.until - set.from) * set.reads_per_second {
                    // Knuth's constants (MMIX).
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let region = set.first + (state >> 33) % set.regions;
                    let at = f64::from(period * self.period + set.from)
                        + f64::from(number) / f64::from(set.reads_per_second);
                    requests.push(Request {
                        at: Micros(tier_core::units::nanos(at) / 1_000),
                        op: Op::Read,
                        offset: Bytes(region * MIB + (state >> 20) % 250 * 4_096),
                        length: Bytes(4_096),
                    });
                }
            }
        }
        Trace {
            requests,
            lines_passed_over: 0,
        }
    }

    /// When a region is used next.
    fn next_use(&self, region: u32, at_nanos: u64) -> Option<u64> {
        let region = u64::from(region);
        let has = |set: &&Set| (set.first..set.first + set.regions).contains(&region);
        let set = self.sets.iter().find(has)?;
        let period = u64::from(self.period) * SECOND;
        let from = u64::from(set.from) * SECOND;
        let begins = at_nanos / period * period + from;
        let until = begins + u64::from(set.until - set.from) * SECOND;
        if at_nanos < begins {
            Some(begins)
        } else if at_nanos < until {
            Some(at_nanos)
        } else {
            Some(begins + period)
        }
    }
}

/// What came of a load.
#[derive(Debug)]
struct Came {
    /// Regions that who knows the rhythm had brought, and of these, those whose copy had ended
    /// before their use began.
    brought: u32,
    in_time: u32,
    moved_bytes: u64,
    slow_seconds: f64,
}

impl Came {
    fn share_in_time(&self) -> f64 {
        f64::from(self.in_time) / f64::from(self.brought.max(1))
    }
}

fn run(load: &Load, fast: u64, copy_bytes_per_second_max: f64) -> Came {
    let trace = load.trace();
    let member = |class, regions: u64| MemberSetup {
        class,
        capacity: Bytes(regions * MIB),
        profile: Profile::typical(class),
    };
    let setup = Setup {
        devices: Devices::Members(vec![member(Class::Hdd, 400), member(Class::Nvme, fast)]),
        policy: PolicyConfig {
            copy_bytes_per_second_max,
            ..PolicyConfig::default()
        },
        ..Setup::default()
    };
    let field = Field::new(&trace, &setup).unwrap();
    let (outcome, driver) = field.run_engine(&setup, None);
    assert_eq!(driver.latched(), None);
    assert_eq!(driver.believed(), Some(ExpertName::Rhythm));
    let mut came = Came {
        brought: 0,
        in_time: 0,
        moved_bytes: outcome.outcome.second_half.moved_bytes,
        slow_seconds: outcome.outcome.second_half.slow_seconds,
    };
    let mut wanted: BTreeMap<u64, u64> = BTreeMap::new();
    for (at, report) in &driver.reports {
        let is_of_rhythm = matches!(
            report.reason,
            Reason::Promotion {
                expert: ExpertName::Rhythm,
                ..
            }
        );
        if !is_of_rhythm {
            continue;
        }
        let since = *wanted.entry(report.id.0).or_insert(*at);
        if report.stage == Stage::Done {
            let used = load.next_use(report.first.0, since);
            came.brought += report.count;
            if used.is_some_and(|used| *at < used) {
                came.in_time += report.count;
            }
        }
    }
    came
}

/// Each has its turn of five and a half minutes, and the second is used far less than the others.
fn turns() -> Load {
    let set = |first, from, reads_per_second| Set {
        first,
        regions: 8,
        from,
        until: from + 333,
        reads_per_second,
    };
    Load {
        period: 1_500,
        periods: 8,
        sets: [set(0, 0, 10), set(128, 500, 2), set(256, 1_000, 10)],
    }
}

/// With so many bytes per second, what is used soonest and what is used most cannot both come first.
/// By gain alone, two thirds were there in time.
#[test]
fn what_is_due_first_comes_first() {
    let came = run(&HOURLY, 17, 0.1 * 1_048_576.0);
    assert!(came.brought > 200, "{came:?}");
    assert!(came.share_in_time() > 0.75, "{came:?}");
    assert!(
        came.moved_bytes <= 326_107_136,
        "as by gain alone: {came:?}"
    );
}

/// On a tier for one and a half sets. Without deadlines what has the next turn was displaced by what
/// has the one after that and is used more, so that a quarter came too late, more was moved, and the
/// slow device worked five times as long.
#[test]
fn who_has_the_next_turn_does_not_leave_for_who_has_a_later_one() {
    let came = run(&turns(), 13, 5.0 * 1_048_576.0);
    assert!(came.brought > 100, "{came:?}");
    assert!(came.share_in_time() > 0.9, "{came:?}");
    assert!(came.moved_bytes < 220_000_000, "{came:?}");
    assert!(came.slow_seconds < 5.0, "{came:?}");
}

/// Turns and pauses of four minutes together, and what has come stays for five. When nothing left
/// before that, 6 regions of 264 were there in time, and the slow device worked twenty times as long.
#[test]
fn what_has_had_its_turn_makes_room_for_the_next_one_as_soon_as_it_is_over() {
    let set = |first, from| Set {
        first,
        regions: 8,
        from,
        until: from + 90,
        reads_per_second: 10,
    };
    let load = Load {
        period: 720,
        periods: 14,
        sets: [set(0, 0), set(128, 240), set(256, 480)],
    };
    let came = run(&load, 13, 5.0 * 1_048_576.0);
    assert!(came.brought > 100, "{came:?}");
    assert!(came.share_in_time() > 0.9, "{came:?}");
    assert!(came.slow_seconds < 10.0, "{came:?}");
}
