//! One simulated life: what there is in it, what happens next, and that it comes to rest.
//!
//! Owns: [`World`] and the odds of each action; the actions stand in the modules below. Invariant:
//! every choice is drawn from the seed, so that the same seed lives the same life.

mod app;
mod asked;
mod faults;
mod shell;

use std::collections::VecDeque;

use super::disks::{CHUNKS, Disks};
use super::kernel::Kernel;
use super::random::Random;
use super::seen::Seen;
use super::store::Store;
use crate::command::Command;
use crate::engine::Engine;
use crate::event::Event;
use crate::migrate::Mutation;
use crate::policy::PolicyConfig;
use crate::units::{MemberIndex, MemberRegion, Now, RequestId, VolumeRegion};
use crate::volume::{Class, Leg, Member, Profile};
use app::Chunk;

const ACTIONS: usize = 500;
const VOLUME_REGIONS: u32 = 20;
const MEMBER_REGIONS: [u32; 4] = [8, 8, 12, 16];
const CLASSES: [Class; 4] = [Class::Nvme, Class::Nvme, Class::Ssd, Class::Hdd];
/// Rounds in which all must come to rest once the faults end.
const QUIET_ROUNDS: usize = 600;

pub(super) struct World {
    random: Random,
    mutation: Option<Mutation>,
    now: Now,
    engine: Engine,
    kernel: Kernel,
    store: Store,
    disks: Disks,
    chunks: Vec<Chunk>,
    stamp: u64,
    request: u64,
    to_kernel: VecDeque<Command>,
    to_store: VecDeque<Command>,
    from_kernel: VecDeque<Event>,
    from_store: VecDeque<Event>,
    looks: VecDeque<Event>,
    /// Whether anything may fail.
    faults: bool,
    /// Whether to keep what the daemon hears and says.
    pub(super) recording: bool,
    pub(super) seen: Seen,
    /// Events of the running daemon, and what each step ordered.
    pub(super) recorded: Vec<(Now, Event)>,
    pub(super) ordered: Vec<String>,
}

fn members() -> Vec<Member> {
    let member = |(index, (&regions, &class)): (usize, (&u32, &Class))| Member {
        index: MemberIndex(u16::try_from(index).unwrap()),
        class,
        regions,
        profile: Profile::typical(class),
        present: true,
    };
    MEMBER_REGIONS
        .iter()
        .zip(&CLASSES)
        .enumerate()
        .map(member)
        .collect()
}

/// Regions spread over the members in short runs.
fn homes() -> Vec<Leg> {
    let mut next = [0_u32; 4];
    let home = |region: u32| {
        let member = [3_usize, 3, 2, 3, 0, 2, 1, 3][(region / 2) as usize % 8];
        let first = MemberRegion(next[member]);
        next[member] += 1;
        Leg {
            member: MemberIndex(u16::try_from(member).unwrap()),
            first,
        }
    };
    (0..VOLUME_REGIONS).map(home).collect()
}

pub(super) fn config() -> PolicyConfig {
    PolicyConfig {
        mirrors_max: 4,
        move_bytes_max: 3 << 20,
        tier_headroom: 0.1,
        ..PolicyConfig::default()
    }
    .scaled(0.01)
}

impl World {
    pub(super) fn new(seed: u64, mutation: Option<Mutation>) -> Self {
        let homes = homes();
        let mut world = Self {
            random: Random(seed),
            mutation,
            now: Now(1),
            engine: Engine::new(config()),
            kernel: Kernel::new(homes.clone()),
            store: Store::new(members(), homes),
            disks: Disks::new(&MEMBER_REGIONS),
            chunks: vec![Chunk::default(); VOLUME_REGIONS as usize * CHUNKS],
            stamp: 0,
            request: 0,
            to_kernel: VecDeque::new(),
            to_store: VecDeque::new(),
            from_kernel: VecDeque::new(),
            from_store: VecDeque::new(),
            looks: VecDeque::new(),
            faults: true,
            recording: false,
            seen: Seen::default(),
            recorded: Vec::new(),
            ordered: Vec::new(),
        };
        world.start_daemon();
        world
    }

    /// The same life, with what the last daemon hears and orders kept.
    pub(super) fn recording(seed: u64) -> Self {
        let mut world = Self::new(seed, None);
        world.recording = true;
        world.start_daemon();
        world
    }

    pub(super) fn run_and_rest(&mut self) {
        for _ in 0..ACTIONS {
            self.act();
        }
        self.come_to_rest();
    }

    pub(super) fn run(&mut self) {
        self.run_and_rest();
        for chunk in 0..self.chunks.len() {
            let found = self.kernel.content(chunk, &self.disks);
            self.judge(chunk, found);
        }
        self.cut_power();
    }

    fn act(&mut self) {
        match self.random.below(200) {
            0..60 => self.app_writes(),
            60..80 => self.app_reads(),
            80..84 => self.app_syncs(),
            84..108 => self.run_kernel_command(),
            108..120 => self.run_store_command(),
            120..140 => self.deliver(),
            140..160 => self.kernel.copy(&mut self.disks, &mut self.random),
            160..168 => self.look(),
            168..176 => self.tick(),
            176..184 => self.person_asks(),
            184..190 => self.policy_hears(),
            190..194 => self.spoil_or_mend(),
            194 => self.kill_daemon(),
            195 if self.random.one_in(2) => self.cut_power(),
            _ => self.burst_of_work(),
        }
    }

    /// A stretch in which the daemon gets on with its work, so that moves end at all.
    fn burst_of_work(&mut self) {
        for _ in 0..12 {
            for _ in 0..4 {
                self.kernel.copy(&mut self.disks, &mut self.random);
            }
            self.look();
            self.run_kernel_command();
            self.run_store_command();
            self.deliver();
            self.deliver();
            self.app_writes();
            if self.random.one_in(10) {
                self.spoil_or_mend();
            }
        }
    }

    /// The faults end: every move must end, and nothing may stay parked.
    fn come_to_rest(&mut self) {
        self.faults = false;
        if self.store.dead {
            self.kill_daemon();
        }
        self.step(Event::PauseRequested {
            request: RequestId(0),
            paused: true,
        });
        for _ in 0..QUIET_ROUNDS {
            self.kernel.copy(&mut self.disks, &mut self.random);
            self.look();
            self.run_kernel_command();
            self.run_store_command();
            for _ in 0..3 {
                self.deliver();
            }
            self.now.0 += 10_000_000;
            self.step(Event::Tick);
        }
        let left: Vec<_> = self.engine.moves().collect();
        assert!(
            left.is_empty() && self.kernel.is_quiet(),
            "moves do not end: {left:#?}"
        );
        assert!(
            self.chunks.iter().all(|chunk| !chunk.parked),
            "writes stay parked"
        );
        assert_eq!(
            self.store.state().retired,
            Vec::new(),
            "former homes stay retired"
        );
        let homes: Vec<Leg> = (0..VOLUME_REGIONS)
            .map(|region| self.engine.map().home(VolumeRegion(region)).unwrap())
            .collect();
        assert_eq!(
            homes,
            self.store.homes(),
            "the engine's map is not the record's"
        );
        assert_eq!(
            homes, self.kernel.table,
            "the engine's map is not the kernel's"
        );
    }
}
