//! One whole example of each reply, for the tests of both ends and for the manual. Built with the
//! feature `samples` only.
//!
//! Owns: a made-up volume `data` of three members, on which every example agrees.

#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "the texts are constants"
)]

mod explain;
mod wear;

pub use explain::{explained_move, explanation};

use crate::{
    Backend, Budget, Cause, Class, ClassShare, Expert, ForecastCounts, Foreground, Health,
    HeatBucket, HeatMap, HoldStatistics, InsuranceAccount, Member, MemberList, MemberLoad,
    MemberState, Model, ModelList, Move, MoveAccepted, MoveCounts, MoveList, Network, PauseState,
    Place, Plan, PlannedMove, Priority, ProbeStatus, Profile, Reason, Replicas, Stage, Status,
    TierStatus, Training, TrainingEnd, Trial, Volume, VolumeChange, VolumeList, VolumeName,
    VolumeRunState,
};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// `data`.
#[must_use]
pub fn name() -> VolumeName {
    "data".parse().unwrap()
}

/// The volume.
#[must_use]
pub fn volume() -> Volume {
    Volume {
        name: name(),
        uuid: "0b3c3d0e-6a62-4f0e-9c53-6a2f2b8a7c11".into(),
        state: VolumeRunState::Running,
        backend: Backend::Dm,
        device: Some("/dev/tierd/data".into()),
        size_bytes: 100 * GIB,
        region_bytes: MIB,
        regions: 102_400,
        block_bytes: 512,
        discard: false,
        generation: 42,
        epoch: "5f0c0f2e-57d5-4b0e-8a8b-3f4f4de0a001".into(),
        members: members().members,
    }
}

/// All volumes.
#[must_use]
pub fn volumes() -> VolumeList {
    VolumeList {
        volumes: vec![volume()],
    }
}

/// The volume, just changed.
#[must_use]
pub fn change(dry_run: bool) -> VolumeChange {
    VolumeChange {
        dry_run,
        volume: volume(),
        overwrites: Vec::new(),
        notes: Vec::new(),
    }
}

/// Its members.
#[must_use]
pub fn members() -> MemberList {
    let member = |index: u16, class, path: &str, capacity_bytes, used_bytes, latency| Member {
        index,
        uuid: format!("00000000-0000-4000-8000-00000000000{index}"),
        path: Some(path.into()),
        class,
        state: MemberState::Present,
        capacity_bytes,
        used_bytes,
        block_bytes: 512,
        replica: index < 2,
        profile: Profile {
            measured: true,
            read_seconds: latency,
            write_seconds: latency / 2.0,
            bytes_per_second: 2e5 / latency,
        },
        load: None,
    };
    let mut members = vec![
        member(0, Class::Nvme, "/dev/nvme0n1", 10 * GIB, 9 * GIB, 1e-4),
        member(1, Class::Ssd, "/dev/sda", 30 * GIB, 20 * GIB, 2e-4),
        member(2, Class::Hdd, "/dev/sdb", 80 * GIB, 71 * GIB, 8e-3),
    ];
    if let Some(slowest) = members.last_mut() {
        slowest.load = Some(MemberLoad {
            busy: 0.25,
            in_flight: 1.5,
            read_seconds: Some(0.012),
            write_seconds: None,
        });
    }
    MemberList {
        volume: name(),
        members,
    }
}

fn experts() -> Vec<Expert> {
    vec![
        Expert {
            name: "lasting".into(),
            is_believed: false,
            lead_seconds: 0.0,
        },
        Expert {
            name: "nearby".into(),
            is_believed: true,
            lead_seconds: 1.25,
        },
    ]
}

fn tiers() -> Vec<TierStatus> {
    let regions = |hot, warm, cold| ForecastCounts { hot, warm, cold };
    let tier =
        |class, capacity_bytes: u64, used_bytes: u64, shares: [f64; 2], forecast| TierStatus {
            class,
            members: 1,
            capacity_bytes,
            used_bytes,
            free_bytes: capacity_bytes - used_bytes,
            headroom_bytes: capacity_bytes / 10,
            read_share: Some(shares[0]),
            write_share: Some(shares[1]),
            forecast,
        };
    vec![
        tier(
            Class::Nvme,
            10 * GIB,
            9 * GIB,
            [0.875, 0.5],
            regions(7_000, 1_216, 1_000),
        ),
        tier(
            Class::Ssd,
            30 * GIB,
            20 * GIB,
            [0.1, 0.25],
            regions(480, 5_000, 15_000),
        ),
        tier(
            Class::Hdd,
            80 * GIB,
            71 * GIB,
            [0.025, 0.25],
            regions(12, 192, 72_500),
        ),
    ]
}

/// How it is doing.
#[must_use]
pub fn status() -> Status {
    Status {
        volume: name(),
        state: VolumeRunState::Running,
        device: Some("/dev/tierd/data".into()),
        size_bytes: 100 * GIB,
        paused: false,
        tiers: tiers(),
        foreground: Some(Foreground {
            p50_seconds: 0.000_12,
            p99_seconds: 0.009,
            target_seconds: 0.02,
        }),
        probe: ProbeStatus::On {
            counted: 1_200_345,
            lost: 0,
            skipped: 12,
            memory_bytes: 4 * MIB,
        },
        moves: MoveCounts {
            live: 1,
            pending: 1,
            done: 17,
            undone: 1,
            failed: 0,
            done_bytes: GIB,
        },
        experts: experts(),
        account: InsuranceAccount {
            balance_seconds: 3.5,
            earned_seconds: 4.0,
            saved_seconds: 12.5,
            spent_seconds: 13.0,
        },
        budget: Budget {
            limit_bytes_per_second: Some(200 * MIB),
            allowed_bytes_per_second: 120 * MIB,
            used_bytes_per_second: 80 * MIB,
        },
        wear: wear::wear(),
        holds: HoldStatistics {
            count: 36,
            moves: 54,
            p50_seconds: 0.000_4,
            p99_seconds: 0.001_8,
            max_seconds: 0.022,
            drain_p99_seconds: 0.001_2,
        },
        replicas: Replicas { live: 2, wanted: 2 },
        problems: Vec::new(),
    }
}

/// The daemon.
#[must_use]
pub fn health() -> Health {
    Health {
        version: "0.1.0".into(),
        api: crate::VERSION.into(),
        pid: 4711,
        uptime_seconds: 93_784.0,
        volumes: 1,
        problems: Vec::new(),
    }
}

/// A heat map in four buckets: hot on `NVMe`, warm on both, cold on HDD, never touched.
#[must_use]
pub fn heat() -> HeatMap {
    let bucket = |index: u32, heat, homes: &[(Class, f64)]| HeatBucket {
        first: index * 25_600,
        count: 25_600,
        heat,
        homes: homes
            .iter()
            .map(|&(class, share)| ClassShare { class, share })
            .collect(),
    };
    HeatMap {
        volume: name(),
        region_bytes: MIB,
        regions: 102_400,
        buckets: vec![
            bucket(0, 9_000.0, &[(Class::Nvme, 1.0)]),
            bucket(1, 150.0, &[(Class::Nvme, 0.25), (Class::Ssd, 0.75)]),
            bucket(2, 3.0, &[(Class::Hdd, 1.0)]),
            bucket(3, 0.0, &[(Class::Hdd, 1.0)]),
        ],
    }
}

fn promotion() -> Reason {
    Reason {
        cause: Cause::Promotion {
            expert: "lasting".into(),
            touches: 12,
            confidence: 0.83,
            benefit_seconds: 1.9,
            cost_seconds: 0.2,
        },
        text: "lasting expects 12 touches; saves 1.9 s for 0.2 s".into(),
    }
}

fn demotion() -> Reason {
    Reason {
        cause: Cause::Demotion {
            heat: 0.5,
            room_for: Some(18),
        },
        text: "cold (heat 0.5); makes room for move 18".into(),
    }
}

const FAST: Place = Place {
    member: 0,
    class: Class::Nvme,
};
const MIDDLE: Place = Place {
    member: 1,
    class: Class::Ssd,
};
const SLOW: Place = Place {
    member: 2,
    class: Class::Hdd,
};

/// What the policy would do.
#[must_use]
pub fn plan() -> Plan {
    let planned = |first, from, to, seconds, reason| PlannedMove {
        first,
        count: 64,
        from,
        to,
        bytes: 64 * MIB,
        seconds,
        reason,
    };
    Plan {
        volume: name(),
        paused: false,
        moves: vec![
            planned(4_096, FAST, MIDDLE, 0.5, demotion()),
            planned(51_200, SLOW, FAST, 0.75, promotion()),
        ],
        bytes: 128 * MIB,
        seconds: 1.25,
    }
}

/// A move by hand, begun.
#[must_use]
pub fn accepted(dry_run: bool) -> MoveAccepted {
    MoveAccepted {
        dry_run,
        moves: if dry_run { Vec::new() } else { vec![18] },
        regions: 64,
        bytes: 64 * MIB,
        seconds: 0.75,
    }
}

/// Moves: one that is copied, one that is read back, one pending, one done and one given up.
#[must_use]
pub fn moves() -> MoveList {
    let live = Move {
        id: 18,
        first: 51_200,
        count: 64,
        bytes: 64 * MIB,
        from: SLOW,
        to: FAST,
        stage: Stage::Copying,
        trial: None,
        priority: Some(Priority::Normal),
        progress: 0.5,
        eta_seconds: Some(2.0),
        age_seconds: 2.5,
        ended_seconds_ago: None,
        reason: promotion(),
        error: None,
    };
    let tried = Move {
        id: 15,
        first: 256,
        trial: Some(Trial::ReadingBack { percent: 40 }),
        priority: Some(Priority::Low),
        progress: 1.0,
        eta_seconds: None,
        ..live.clone()
    };
    let pending = Move {
        id: 19,
        first: 4_096,
        from: FAST,
        to: MIDDLE,
        stage: Stage::Pending,
        progress: 0.0,
        eta_seconds: None,
        reason: demotion(),
        ..live.clone()
    };
    let done = Move {
        id: 17,
        first: 128,
        stage: Stage::Done,
        priority: None,
        progress: 1.0,
        eta_seconds: None,
        age_seconds: 60.0,
        ended_seconds_ago: Some(55.0),
        ..live.clone()
    };
    let failed = Move {
        id: 16,
        first: 0,
        stage: Stage::Failed,
        progress: 0.25,
        age_seconds: 90.0,
        ended_seconds_ago: Some(85.0),
        reason: Reason {
            cause: Cause::ByHand,
            text: "asked for by hand".into(),
        },
        error: Some("/dev/nvme0n1: write at sector 2048: Input/output error".into()),
        ..done.clone()
    };
    MoveList {
        volume: name(),
        live: vec![live, tried],
        pending: vec![pending],
        history: vec![done, failed],
    }
}

/// The policy's pause.
#[must_use]
pub fn pause(paused: bool) -> PauseState {
    PauseState {
        volume: name(),
        paused,
    }
}

/// Three models, of which the newest was taken back.
#[must_use]
pub fn models() -> ModelList {
    let trained = |number: u32, is_current: bool, age_seconds: f64, loss: [f64; 4]| Model {
        number,
        is_current,
        from: Some(number - 1),
        age_seconds: Some(age_seconds),
        judged_by: Some(2_304),
        loss: loss.to_vec(),
        loss_before: vec![0.62, 1.4, 3.9, 9.2],
        loss_naive: vec![0.81, 2.26, 8.0, 42.2],
    };
    let base = Model {
        number: 0,
        is_current: false,
        from: None,
        age_seconds: None,
        judged_by: None,
        loss: vec![0.57, 1.86, 6.6, 17.8],
        loss_before: Vec::new(),
        loss_naive: vec![0.81, 2.26, 8.0, 42.2],
    };
    ModelList {
        volume: name(),
        network: Network {
            runs: true,
            library: Some("/usr/local/lib/libonnxruntime.so".into()),
            problem: None,
            is_believed: true,
            error: Some(0.41),
            naive_error: Some(0.63),
        },
        models: vec![
            base,
            trained(1, true, 93_600.0, [0.5, 1.1, 3.1, 7.7]),
            trained(2, false, 7_200.0, [0.49, 1.2, 3.0, 7.5]),
        ],
        examples: 11_520,
        training: Training {
            runs: false,
            next_seconds: Some(79_200.0),
            last: Some(TrainingEnd {
                ended_seconds_ago: 7_200.0,
                made: Some(2),
                text: "model 2 is better".into(),
            }),
        },
    }
}
