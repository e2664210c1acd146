//! Deterministic fault simulation: the real engine above a model of kernel, store and disks.
//!
//! Goal: whatever fails and whenever, no acknowledged write is lost or read stale, no region is
//! written for two owners, and when the faults end every move ends and nothing stays parked.
//! Method: a seed decides everything (what the app writes, which command runs when, what fails,
//! when the daemon dies or the power goes), so that a failing seed can be run again:
//!
//! `TIERD_SIM_SEED=1234 cargo test -p tier-core --lib sim::` runs that seed alone, and
//! `TIERD_SIM_SEEDS=100000 cargo test -p tier-core --release --lib sim::` runs more of them.
//!
//! # Fault model
//!
//!  - Any command that may fail does so at times, before it has done anything; a commit that fails
//!    because no replica is left may be durable nevertheless.
//!  - The shell has two workers, for the kernel and for the store, each in order, at any pace to
//!    each other. Looks at a mirror may arrive late.
//!  - Any chunk of a member may begin to refuse reads, writes or both, for good or for a while. A
//!    flush that fails forgets dirty chunks for ever.
//!  - The daemon dies between any two commands: what was not begun is lost, and its answers.
//!  - Power goes: kernel tables, parked writes and the daemon are lost; of unflushed chunks none,
//!    all, or any are lost.
//!  - A start may find newer generations gone, down to the newest marked one.
//!
//! Canaries: each broken rule of [`Mutation`] must be caught within [`CANARY_SEEDS`] seeds.

mod disks;
mod kernel;
mod random;
mod seen;
mod store;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::event::Event;
use crate::migrate::Mutation;
use crate::policy::PolicyConfig;
use crate::units::Now;
use world::World;

/// Seeds of a normal run.
const SEEDS: u64 = 2_000;
/// Seeds within which each broken rule must be caught.
const CANARY_SEEDS: u64 = 1_500;

/// The last daemon's life in the simulation of `seed`: its configuration, what it heard and what
/// it ordered at each step.
pub(crate) fn recorded_life(seed: u64) -> (PolicyConfig, Vec<(Now, Event)>, Vec<String>) {
    let mut world = World::recording(seed);
    world.run_and_rest();
    (world::config(), world.recorded, world.ordered)
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|value| value.parse().expect("a number"))
}

#[test]
fn no_acknowledged_write_is_lost_whatever_fails() {
    if let Some(seed) = variable("TIERD_SIM_SEED") {
        World::new(seed, None).run();
        return;
    }
    for seed in 0..variable("TIERD_SIM_SEEDS").unwrap_or(SEEDS) {
        let run = catch_unwind(AssertUnwindSafe(|| World::new(seed, None).run()));
        assert!(
            run.is_ok(),
            "seed {seed} failed; run it again with TIERD_SIM_SEED={seed}"
        );
    }
}

/// The simulation is only worth what it reaches: every way a move can end, every kind of fault.
#[test]
fn the_simulation_reaches_every_way_a_move_can_go() {
    let mut seen = seen::Seen::default();
    for seed in 0..300 {
        let mut world = World::new(seed, None);
        world.run();
        seen.add(&world.seen);
    }
    assert_eq!(seen.missing(), Vec::<&str>::new(), "{seen:?}");
}

/// The first seed that catches a broken rule, and what it says.
fn caught(mutation: Mutation) -> Option<(u64, String)> {
    (0..CANARY_SEEDS).find_map(|seed| {
        let run = AssertUnwindSafe(|| World::new(seed, Some(mutation)).run());
        let panic = catch_unwind(run).err()?;
        let text = panic.downcast_ref::<String>().cloned();
        Some((seed, text.unwrap_or_else(|| "no text".to_owned())))
    })
}

#[test]
fn every_canary_is_caught() {
    let canaries = [
        Mutation::SwapBeforeCommit,
        Mutation::CommitBeforeFlush,
        Mutation::FreeTooEarly,
        Mutation::SkipMark,
        Mutation::FlushTwice,
        Mutation::BackWithoutCommit,
        Mutation::ForwardIncomplete,
        Mutation::IgnoreDeadLeg,
    ];
    let mut alive = Vec::new();
    for mutation in canaries {
        match caught(mutation) {
            Some((seed, how)) => println!("{mutation:?} was caught by seed {seed}: {how}"),
            None => alive.push(mutation),
        }
    }
    assert_eq!(alive, Vec::new(), "not caught within {CANARY_SEEDS} seeds");
}
