//! One simulated life: an app that writes, a shell that obeys, a kernel, a store, and faults.

use std::collections::VecDeque;

use super::disks::{CHUNKS, Disks};
use super::kernel::{Kernel, Written};
use super::random::Random;
use super::store::Store;
use crate::command::{Command, MoveReport, Reason, Stage};
use crate::engine::Engine;
use crate::event::{Event, HotRegion, MemberLoad, RegionCount, Resources, Samples, Target};
use crate::migrate::Mutation;
use crate::policy::PolicyConfig;
use crate::units::{Bytes, MemberIndex, MemberRegion, Micros, Now, RequestId, VolumeRegion};
use crate::volume::{Class, Leg, Member, Profile};

const ACTIONS: usize = 500;
const VOLUME_REGIONS: u32 = 20;
const MEMBER_REGIONS: [u32; 4] = [8, 8, 12, 16];
const CLASSES: [Class; 4] = [Class::Nvme, Class::Nvme, Class::Ssd, Class::Hdd];
/// Rounds in which all must come to rest once the faults end.
const QUIET_ROUNDS: usize = 600;

/// What is known of one chunk of the volume.
#[derive(Clone, Debug, Default)]
struct Chunk {
    acknowledged: u64,
    /// Newest stamp that an fsync promised to keep.
    synced: u64,
    /// Stamps issued since `synced` was, in order.
    issued: Vec<u64>,
    /// Stamps issued and never acknowledged, since the last acknowledged one.
    unsure: Vec<u64>,
    parked: bool,
}

/// How often the rare things happened.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen([(&'static str, u64); 16]);

impl Seen {
    fn note(&mut self, what: &'static str) {
        let slot = self
            .0
            .iter_mut()
            .find(|(name, _)| *name == what || name.is_empty());
        let slot = slot.expect("a slot for each kind");
        *slot = (what, slot.1 + 1);
    }

    pub(super) fn add(&mut self, other: &Self) {
        for &(what, count) in other.0.iter().filter(|(name, _)| !name.is_empty()) {
            for _ in 0..count {
                self.note(what);
            }
        }
    }

    pub(super) fn missing(&self) -> Vec<&'static str> {
        let wanted = [
            "done",
            "undone",
            "failed",
            "power cut",
            "daemon death",
            "parked write",
            "released write",
            "home taken back",
            "drop refused",
            "adopted mirror",
            "adopted linear",
            "fell back",
            "no replica",
            "promotion",
            "demotion",
        ];
        let reached = |what: &&str| {
            self.0
                .iter()
                .any(|(name, count)| name == what && *count > 0)
        };
        wanted.into_iter().filter(|what| !reached(what)).collect()
    }
}

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

    fn app_writes(&mut self) {
        let at = self.random.below(self.chunks.len());
        if self.chunks[at].parked {
            return;
        }
        self.stamp += 1;
        self.chunks[at].issued.push(self.stamp);
        self.chunks[at].unsure.push(self.stamp);
        match self.kernel.write(at, self.stamp, &mut self.disks) {
            Written::Acknowledged => self.acknowledge(at, self.stamp),
            Written::Error => {}
            Written::Parked => {
                self.seen.note("parked write");
                self.chunks[at].parked = true;
            }
        }
    }

    fn acknowledge(&mut self, at: usize, stamp: u64) {
        let chunk = &mut self.chunks[at];
        chunk.acknowledged = stamp;
        chunk.unsure.clear();
    }

    fn app_reads(&mut self) {
        let at = self.random.below(self.chunks.len());
        if let Ok(found) = self.kernel.read(at, &self.disks, &mut self.random) {
            self.judge(at, found);
        }
    }

    fn judge(&self, at: usize, found: u64) {
        let chunk = &self.chunks[at];
        assert!(
            found == chunk.acknowledged || chunk.unsure.contains(&found),
            "chunk {at} holds {found}, {chunk:?}"
        );
    }

    fn app_syncs(&mut self) {
        self.disks.flush_all();
        for chunk in &mut self.chunks {
            chunk.synced = chunk.acknowledged;
            chunk.issued.retain(|&stamp| stamp > chunk.synced);
        }
    }

    fn step(&mut self, event: Event) {
        self.now.0 += 1_000_000;
        if self.recording {
            self.recorded.push((self.now, event.clone()));
        }
        let commands = self.engine.step(self.now, event);
        if self.recording {
            self.ordered.push(serde_json::to_string(&commands).unwrap());
        }
        // A canary is to be caught by what it does to data, not by the engine's own watch.
        if self.mutation.is_none() {
            assert_eq!(self.engine.latched(), None, "an invariant was violated");
        }
        for command in commands {
            match command {
                Command::Commit(_) | Command::MarkActedOn(_) => self.to_store.push_back(command),
                Command::AddLegs(_)
                | Command::FlushTargets(_)
                | Command::DropLeg(_)
                | Command::SetMap { .. } => self.to_kernel.push_back(command),
                Command::Report(report) => self.note(&report),
                Command::SetHotThreshold(_) | Command::Reply { .. } | Command::Warn(_) => {}
            }
        }
    }

    fn note(&mut self, report: &MoveReport) {
        match report.stage {
            Stage::Done => self.seen.note("done"),
            Stage::Undone => self.seen.note("undone"),
            Stage::Failed => self.seen.note("failed"),
            _ => return,
        }
        match report.reason {
            Reason::Promotion { .. } => self.seen.note("promotion"),
            Reason::Demotion { .. } => self.seen.note("demotion"),
            Reason::ByHand { .. } | Reason::Adopted => {}
        }
    }

    fn fails(&mut self) -> bool {
        self.faults && self.random.one_in(12)
    }

    fn run_kernel_command(&mut self) {
        let Some(command) = self.to_kernel.pop_front() else {
            return;
        };
        let error = "simulated".to_owned();
        let answer = match command {
            Command::AddLegs(adds) => {
                let ids = adds.iter().map(|add| add.id).collect();
                if self.fails() {
                    Event::AddLegsFailed { ids, error }
                } else {
                    for add in adds {
                        self.kernel.add(add);
                    }
                    Event::LegsAdded { ids }
                }
            }
            Command::FlushTargets(flushes) => {
                let mut durable = Vec::new();
                for flush in flushes {
                    if self.fails() {
                        // One region is enough: what is forgotten is forgotten.
                        self.disks.fail_flush(flush.target, 1, &mut self.random);
                        let ids = vec![flush.id];
                        self.from_kernel.push_back(Event::FlushFailed {
                            ids,
                            error: error.clone(),
                        });
                    } else {
                        self.disks.flush(flush.target.member);
                        durable.push(flush.id);
                    }
                }
                Event::TargetsFlushed { ids: durable }
            }
            Command::DropLeg(drop) => {
                if self.fails() {
                    Event::DropFailed { id: drop.id, error }
                } else {
                    self.drop_leg(drop)
                }
            }
            Command::SetMap { fold } => {
                if self.fails() {
                    Event::SetMapFailed { error }
                } else {
                    for &id in &fold {
                        self.kernel.fold(id);
                    }
                    Event::MapSet { folded: fold }
                }
            }
            other => panic!("not for the kernel: {other:?}"),
        };
        self.from_kernel.push_back(answer);
    }

    fn drop_leg(&mut self, drop: crate::command::DropLeg) -> Event {
        match self
            .kernel
            .drop_leg(drop, &mut self.disks, &mut self.random)
        {
            Ok(released) => {
                for (at, stamp, acknowledged) in released {
                    self.seen.note("released write");
                    self.chunks[at].parked = false;
                    if acknowledged {
                        self.acknowledge(at, stamp);
                    }
                }
                Event::LegDropped {
                    id: drop.id,
                    kept: drop.keep,
                }
            }
            Err(state) => {
                self.seen.note("drop refused");
                Event::DropRefused { id: drop.id, state }
            }
        }
    }

    fn run_store_command(&mut self) {
        let Some(command) = self.to_store.pop_front() else {
            return;
        };
        let error = "simulated".to_owned();
        let dies = self.faults && self.random.one_in(150);
        let answer = match command {
            Command::Commit(commit) => {
                if dies || self.store.dead {
                    if !self.store.dead && self.random.one_in(2) {
                        self.store.commit(&commit);
                    }
                    self.seen.note("no replica");
                    self.store.dead = true;
                    Event::CommitFailed {
                        can_retry: false,
                        error,
                    }
                } else if self.fails() {
                    Event::CommitFailed {
                        can_retry: true,
                        error,
                    }
                } else {
                    self.note_taken_back(&commit);
                    self.store.commit(&commit);
                    Event::Committed {
                        generation: commit.generation,
                    }
                }
            }
            Command::MarkActedOn(generation) => {
                if self.fails() {
                    Event::MarkFailed { generation, error }
                } else {
                    self.store.mark(generation);
                    Event::Marked { generation }
                }
            }
            other => panic!("not for the store: {other:?}"),
        };
        self.from_store.push_back(answer);
    }

    fn note_taken_back(&mut self, commit: &crate::command::Commit) {
        let freed = |leg| commit.free.iter().any(|free| free.leg == leg);
        if commit
            .set
            .iter()
            .any(|extent| extent.home().is_some_and(freed))
        {
            self.seen.note("home taken back");
        }
    }

    fn deliver(&mut self) {
        let queue = match self.random.below(3) {
            0 => &mut self.from_kernel,
            1 => &mut self.from_store,
            _ => &mut self.looks,
        };
        if let Some(event) = queue.pop_front() {
            self.step(event);
        }
    }

    /// The shell looks at a mirror; what it saw arrives later.
    fn look(&mut self) {
        let ids = self.kernel.ids();
        if ids.is_empty() {
            return;
        }
        let id = ids[self.random.below(ids.len())];
        if let Some(state) = self.kernel.state(id) {
            self.looks.push_back(Event::LegState { id, state });
        }
    }

    fn tick(&mut self) {
        self.now.0 += self.random.next() % 2_000_000_000;
        self.step(Event::Tick);
    }

    fn person_asks(&mut self) {
        self.request += 1;
        let request = RequestId(self.request);
        let event = match self.random.below(8) {
            0 => {
                let moves: Vec<_> = self.engine.moves().collect();
                if moves.is_empty() {
                    return;
                }
                let id = moves[self.random.below(moves.len())].id;
                Event::CancelRequested { request, id }
            }
            1 => Event::PauseRequested {
                request,
                paused: self.random.one_in(4),
            },
            _ => {
                let first = VolumeRegion(self.random.below_u32(VOLUME_REGIONS));
                let count = 1 + self.random.below_u32(6);
                let target = match self.random.below(4) {
                    0 => Target::Class(Class::Nvme),
                    1 => Target::Class(Class::Hdd),
                    member => Target::Member(MemberIndex(u16::try_from(member).unwrap())),
                };
                Event::MoveRequested {
                    request,
                    first,
                    count,
                    target,
                }
            }
        };
        self.step(event);
    }

    fn policy_hears(&mut self) {
        let region = VolumeRegion(self.random.below_u32(VOLUME_REGIONS));
        let touches = 1 + self.random.below_u32(2_000);
        let event = match self.random.below(3) {
            0 => Event::Hot(HotRegion {
                region,
                touches,
                writes: touches / 2,
                sequential: 0,
            }),
            1 => Event::Samples(Samples {
                interval: Micros(100_000),
                regions: vec![RegionCount {
                    region,
                    reads: touches,
                    writes: touches / 3,
                    read_bytes: Bytes(u64::from(touches) * 4096),
                    written_bytes: Bytes(u64::from(touches) * 1365),
                    sequential: touches / 4,
                }],
                lost: 0,
            }),
            _ => self.resources(),
        };
        self.step(event);
    }

    fn resources(&mut self) -> Event {
        let load = |index: usize, random: &mut Random| MemberLoad {
            member: MemberIndex(u16::try_from(index).unwrap()),
            busy: f64::from(random.below_u32(100)) / 100.0,
            in_flight: f64::from(random.below_u32(80)) / 10.0,
            read_latency: Some(Micros(50 + random.next() % 20_000)),
            write_latency: None,
        };
        Event::Resources(Resources {
            members: (0..MEMBER_REGIONS.len())
                .map(|at| load(at, &mut self.random))
                .collect(),
            foreground_p99: Some(Micros(self.random.next() % 50_000)),
            ..Resources::default()
        })
    }

    fn spoil_or_mend(&mut self) {
        if self.random.one_in(4) {
            self.disks.mend();
            return;
        }
        // Where a mirror writes, a fault says more than elsewhere.
        let legs = self.kernel.mirrored();
        if legs.is_empty() || self.random.one_in(4) {
            let member =
                MemberIndex(u16::try_from(self.random.below(MEMBER_REGIONS.len())).unwrap());
            let regions = MEMBER_REGIONS[usize::from(member.0)];
            let leg = Leg {
                member,
                first: MemberRegion(self.random.below_u32(regions)),
            };
            self.disks.spoil(leg, &mut self.random);
        } else {
            self.disks
                .spoil(legs[self.random.below(legs.len())], &mut self.random);
        }
    }

    fn kill_daemon(&mut self) {
        self.seen.note("daemon death");
        for queue in [&mut self.to_kernel, &mut self.to_store] {
            queue.clear();
        }
        for queue in [&mut self.from_kernel, &mut self.from_store, &mut self.looks] {
            queue.clear();
        }
        self.store.dead = false;
        self.fall_back();
        self.start_daemon();
    }

    fn fall_back(&mut self) {
        if self.random.one_in(3) {
            let before = self.store.state().generation;
            let choice = self.random.below(1_000);
            self.store.fall_back(choice, !self.kernel.is_quiet());
            if self.store.state().generation < before {
                self.seen.note("fell back");
            }
        }
    }

    fn start_daemon(&mut self) {
        self.engine = Engine::new(config());
        self.engine.set_full_check(true);
        self.recorded.clear();
        self.ordered.clear();
        self.engine.mutate(self.mutation);
        let adopted = self.kernel.adopted();
        for one in &adopted {
            self.seen.note(match one.stage {
                crate::event::AdoptedStage::Mirror(_) => "adopted mirror",
                crate::event::AdoptedStage::Linear(_) => "adopted linear",
            });
        }
        for (region, &leg) in self.store.homes().iter().enumerate() {
            let region_index = VolumeRegion(u32::try_from(region).unwrap());
            assert!(
                self.kernel.is_moving(region_index) || self.kernel.table[region] == leg,
                "region {region}: the kernel's table is not what the record says"
            );
        }
        self.step(Event::Started {
            state: self.store.state(),
            adopted,
        });
    }

    fn cut_power(&mut self) {
        self.seen.note("power cut");
        self.disks.cut_power(&mut self.random);
        self.kernel = Kernel::new(Vec::new());
        for queue in [&mut self.to_kernel, &mut self.to_store] {
            queue.clear();
        }
        for queue in [&mut self.from_kernel, &mut self.from_store, &mut self.looks] {
            queue.clear();
        }
        self.store.dead = false;
        self.fall_back();
        // Who loads tables from a record acts on it, and so marks it before.
        self.store.mark(self.store.state().generation);
        self.kernel = Kernel::new(self.store.homes().to_vec());
        for at in 0..self.chunks.len() {
            let found = self.kernel.content(at, &self.disks);
            let chunk = &mut self.chunks[at];
            assert!(
                found == chunk.synced || chunk.issued.contains(&found),
                "chunk {at} holds {found} after a power cut, {chunk:?}"
            );
            *chunk = Chunk {
                acknowledged: found,
                synced: found,
                ..Chunk::default()
            };
        }
        self.start_daemon();
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
