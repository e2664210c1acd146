//! Random commits, marks, faults and power cuts, against what was acknowledged.
//!
//! Each case is a life of one volume: sessions that end in a power cut with a random subset of the
//! unflushed blocks, and in between starts. After every start: the state is the last acknowledged
//! or the one that was in flight, whole and unmixed; and it is never older than a mark.

use std::sync::Arc;

use proptest::prelude::*;
use tier_core::units::{Generation, VolumeRegion};
use tier_core::volume::{Class, VolumeState};

use crate::fixture::{Shape, THREE, cut, move_region, open, some_free_region, volume};
use crate::store::Store;
use crate::testing::{Fate, Fault, MemoryDisk, Operation, Power};

#[derive(Clone, Debug)]
enum Act {
    /// Move a region to a member, if it has room.
    Move { region: u32, member: u16 },
    /// Mark the newest generation.
    Mark,
    /// A disk begins to fail after some operations, for some.
    Fail {
        disk: usize,
        flushes: bool,
        after: u64,
        count: u64,
        lands: bool,
    },
    /// All disks are well again (only a start believes in them again).
    Heal,
}

#[derive(Clone, Debug)]
struct Session {
    acts: Vec<Act>,
    /// The power is cut after so many writes and flushes of this session.
    cut_after: u64,
    /// Seeds the fate of what was not flushed.
    seed: u64,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..20_u32, 0..3_u16).prop_map(|(region, member)| Act::Move { region, member }),
        2 => Just(Act::Mark),
        1 => (0..3_usize, any::<bool>(), 0..8_u64, 1..4_u64, any::<bool>()).prop_map(
            |(disk, flushes, after, count, lands)| Act::Fail { disk, flushes, after, count, lands }
        ),
        1 => Just(Act::Heal),
    ]
}

fn session() -> impl Strategy<Value = Session> {
    (prop::collection::vec(act(), 1..8), 0..120_u64, any::<u64>()).prop_map(
        |(acts, cut_after, seed)| Session {
            acts,
            cut_after,
            seed,
        },
    )
}

/// What must be found at the next start.
struct Promise {
    acknowledged: VolumeState,
    in_flight: Option<VolumeState>,
    marked: Generation,
}

/// Runs one session on `disks` and notes what it was promised.
fn run(disks: &[Arc<MemoryDisk>], store: &mut Store, session: &Session, promise: &mut Promise) {
    for act in &session.acts {
        match act {
            Act::Move { region, member } => {
                if store.map().extent_at(VolumeRegion(*region)).is_none() {
                    continue;
                }
                // A long run of moves to one member fills it.
                let Some(target) = some_free_region(store, *member) else {
                    continue;
                };
                let commit = move_region(store, *region, target);
                let mut map = store.map().clone();
                map.apply(&map.plan(store.generation(), &commit).unwrap());
                let after = VolumeState {
                    extents: map.extents().collect(),
                    retired: map.retired().collect(),
                    generation: commit.generation,
                    ..store.state()
                };
                match store.commit(&commit) {
                    Ok(_) => {
                        promise.acknowledged = after;
                        promise.in_flight = None;
                    }
                    Err(error) => {
                        assert!(!error.can_retry(), "{error}");
                        if error.in_doubt() {
                            promise.in_flight = Some(after);
                        }
                        return;
                    }
                }
            }
            Act::Mark => {
                if store.mark_acted_on(store.generation()).is_ok() {
                    promise.marked = store.generation();
                }
            }
            Act::Fail {
                disk,
                flushes,
                after,
                count,
                lands,
            } => disks[*disk].fail(Fault {
                operation: if *flushes {
                    Operation::Flush
                } else {
                    Operation::Write
                },
                after: *after,
                count: *count,
                lands: *lands,
            }),
            Act::Heal => disks.iter().for_each(|disk| disk.heal()),
        }
    }
}

fn fate_of(seed: u64) -> impl FnMut() -> Fate {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if state & 64 == 0 {
            Fate::Kept
        } else {
            Fate::Lost
        }
    }
}

fn live(shapes: &[Shape], sessions: &[Session]) {
    let mut disks = volume(shapes, &Power::steady());
    let (store, _) = open(&disks).unwrap();
    let mut promise = Promise {
        acknowledged: store.state(),
        in_flight: None,
        marked: Generation(0),
    };
    drop(store);
    for session in sessions {
        let power = Power::steady();
        disks = disks.iter().map(|disk| disk.copy(&power)).collect();
        // The power may be cut while the start itself recovers, too.
        power.cut_after(session.cut_after);
        if let Ok((mut store, _)) = open(&disks) {
            run(&disks, &mut store, session, &mut promise);
        }
        disks = cut(&disks, &mut fate_of(session.seed));
        let (store, recovery) = open(&disks).unwrap();
        let state = store.state();
        assert!(
            state == promise.acknowledged || Some(&state) == promise.in_flight.as_ref(),
            "generation {} found, {} acknowledged",
            state.generation,
            promise.acknowledged.generation
        );
        assert!(state.generation >= promise.marked);
        assert!(store.acted_on() >= promise.marked);
        assert_eq!(recovery.dropped, []);
        assert_eq!(store.live_replicas().count(), shapes.len().min(2));
        promise = Promise {
            acknowledged: state,
            in_flight: None,
            ..promise
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_life_loses_what_was_acknowledged(sessions in prop::collection::vec(session(), 1..5)) {
        live(&THREE, &sessions);
    }

    #[test]
    fn nor_with_a_single_member(sessions in prop::collection::vec(session(), 1..4)) {
        // One member, one replica: every act on the others means the first.
        let sessions: Vec<Session> = sessions.into_iter().map(|mut session| {
            for act in &mut session.acts {
                match act {
                    Act::Move { member, .. } => *member = 0,
                    Act::Fail { disk, .. } => *disk = 0,
                    Act::Mark | Act::Heal => {}
                }
            }
            session
        }).collect();
        live(&[("/dev/ssd", Class::Ssd, 32, 512)], &sessions);
    }
}
