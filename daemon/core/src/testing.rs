//! A shell that obeys at once, for tests of single decisions.

use crate::command::{Command, Reply};
use crate::engine::Engine;
use crate::event::{
    AdoptedMove, Event, Kept, MemberLoad, MirrorState, Priority, RegionCount, Resources, Samples,
    Target,
};
use crate::policy::PolicyConfig;
use crate::units::{
    Bytes, Generation, MemberIndex, MemberRegion, Micros, MoveId, Now, RegionSize, RequestId,
    VolumeRegion,
};
use crate::volume::{Class, Extent, Leg, Legs, Member, Profile, Retired, VolumeState};

pub(crate) const COMPLETE: MirrorState = MirrorState {
    in_sync_chunks: 4,
    total_chunks: 4,
    source_alive: true,
    target_alive: true,
    fault: None,
    trial: None,
};

pub(crate) fn leg(member: u16, first: u32) -> Leg {
    Leg {
        member: MemberIndex(member),
        first: MemberRegion(first),
    }
}

pub(crate) fn extent(first: u32, count: u32, home: Leg) -> Extent {
    Extent {
        first: VolumeRegion(first),
        count,
        legs: Legs::from_slice(&[home]),
    }
}

pub(crate) fn member(index: u16, class: Class, regions: u32) -> Member {
    Member {
        index: MemberIndex(index),
        class,
        regions,
        profile: Profile::typical(class),
        present: true,
    }
}

/// A volume of 40 regions, all on the hard disk (member 1); the fast member 0 has 20.
pub(crate) fn state() -> VolumeState {
    VolumeState {
        region_size: RegionSize::MIN,
        regions: 40,
        block_bytes: Bytes(512),
        members: vec![member(0, Class::Nvme, 20), member(1, Class::Hdd, 60)],
        extents: vec![extent(0, 40, leg(1, 0))],
        retired: Vec::new(),
        generation: Generation(7),
    }
}

/// Parameters that leave a tenth of each tier free, so that a small one has headroom.
pub(crate) fn config() -> PolicyConfig {
    PolicyConfig {
        tier_headroom: 0.1,
        ..PolicyConfig::default()
    }
}

pub(crate) struct Shell {
    pub(crate) engine: Engine,
    pub(crate) now: Now,
    /// Every command so far.
    pub(crate) all: Vec<Command>,
    waiting: Vec<Command>,
}

impl Shell {
    pub(crate) fn new(config: PolicyConfig, state: VolumeState, adopted: Vec<AdoptedMove>) -> Self {
        let engine = Engine::new(config);
        let mut shell = Self {
            engine,
            now: Now(1),
            all: Vec::new(),
            waiting: Vec::new(),
        };
        shell.step(Event::Started { state, adopted });
        shell
    }

    /// An engine whose policy is off.
    pub(crate) fn by_hand() -> Self {
        Self::new(
            PolicyConfig {
                enabled: false,
                ..config()
            },
            state(),
            Vec::new(),
        )
    }

    pub(crate) fn step(&mut self, event: Event) -> Vec<Command> {
        self.now.0 += 1_000;
        let commands = self.engine.step(self.now, event);
        self.all.extend(commands.iter().cloned());
        self.waiting.extend(commands.iter().cloned());
        commands
    }

    pub(crate) fn wait(&mut self, seconds: f64) {
        self.now.0 += crate::units::nanos(seconds);
        self.step(Event::Tick);
    }

    /// Carries out the oldest command that has an answer.
    pub(crate) fn obey(&mut self) -> Option<Command> {
        while !self.waiting.is_empty() {
            let command = self.waiting.remove(0);
            let answers = answers(&command);
            if !answers.is_empty() {
                for answer in answers {
                    self.step(answer);
                }
                return Some(command);
            }
        }
        None
    }

    /// Obeys until nothing is left to do, time passing.
    pub(crate) fn settle(&mut self) {
        for _ in 0..200 {
            while self.obey().is_some() {}
            self.wait(0.1);
        }
        assert_eq!(self.engine.latched(), None);
    }

    /// Forgets what was ordered and not obeyed, so that a test answers itself.
    pub(crate) fn disobey(&mut self) {
        self.waiting.clear();
    }

    pub(crate) fn ask(&mut self, first: u32, count: u32, target: Target) -> Reply {
        let request = RequestId(1);
        let first = VolumeRegion(first);
        let commands = self.step(Event::MoveRequested {
            request,
            first,
            count,
            target,
            priority: Priority::Normal,
        });
        let reply = commands.into_iter().find_map(|command| match command {
            Command::Reply { reply, .. } => Some(reply),
            _ => None,
        });
        reply.expect("each request is answered")
    }

    /// One move by hand of two regions to the fast member, mirrored.
    pub(crate) fn mirrored(&mut self) -> MoveId {
        let Reply::Moves(ids) = self.ask(10, 2, Target::Class(Class::Nvme)) else {
            panic!("there is room")
        };
        self.step(Event::LegsAdded { ids: ids.clone() });
        self.disobey();
        ids[0]
    }

    pub(crate) fn sample(&mut self, region: u32, reads: u32, sequential: u32) -> Vec<Command> {
        let count = RegionCount {
            region: VolumeRegion(region),
            reads,
            sequential,
            ..RegionCount::default()
        };
        let interval = Micros(10_000_000);
        self.step(Event::Samples(Samples {
            interval,
            regions: vec![count],
            lost: 0,
        }))
    }

    /// The hard disk has so many requests in flight, each of which takes so long.
    pub(crate) fn load(&mut self, in_flight: f64, read_micros: u64) {
        for _ in 0..20 {
            let load = MemberLoad {
                member: MemberIndex(1),
                busy: in_flight.min(1.0),
                in_flight,
                read_latency: Some(Micros(read_micros)),
                write_latency: None,
                written_bytes: Bytes(0),
            };
            self.step(Event::Resources(Resources {
                members: vec![load],
                ..Resources::default()
            }));
        }
    }

    pub(crate) fn class_of(&self, region: u32) -> Class {
        let home = self
            .engine
            .map()
            .home(VolumeRegion(region))
            .expect("within the volume");
        if home.member == MemberIndex(0) {
            Class::Nvme
        } else {
            Class::Hdd
        }
    }
}

fn answers(command: &Command) -> Vec<Event> {
    match command {
        Command::AddLegs(adds) => {
            let ids: Vec<MoveId> = adds.iter().map(|add| add.id).collect();
            let looks = ids.iter().map(|&id| Event::LegState {
                id,
                state: COMPLETE,
            });
            std::iter::once(Event::LegsAdded { ids: ids.clone() })
                .chain(looks)
                .collect()
        }
        Command::FlushTargets(flushes) => {
            vec![Event::TargetsFlushed {
                ids: flushes.iter().map(|flush| flush.id).collect(),
            }]
        }
        Command::Commit(commit) => vec![Event::Committed {
            generation: commit.generation,
        }],
        Command::MarkActedOn(generation) => vec![Event::Marked {
            generation: *generation,
        }],
        Command::DropLeg(drop) => vec![Event::LegDropped {
            id: drop.id,
            kept: drop.keep,
        }],
        Command::SetMap { fold } => vec![Event::MapSet {
            folded: fold.clone(),
        }],
        _ => Vec::new(),
    }
}

pub(crate) fn drops(commands: &[Command]) -> Vec<(Kept, bool)> {
    let drop = |command: &Command| match command {
        Command::DropLeg(drop) => Some((drop.keep, drop.require_complete)),
        _ => None,
    };
    commands.iter().filter_map(drop).collect()
}

pub(crate) fn retired(at: Leg, count: u32, since: u64) -> Retired {
    Retired {
        leg: at,
        count,
        since: Generation(since),
    }
}
