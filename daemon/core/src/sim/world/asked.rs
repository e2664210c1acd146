//! What the daemon hears from outside of its own doing: people's requests, the probe's counts and
//! the state of the machine.

use super::{MEMBER_REGIONS, VOLUME_REGIONS, World};
use crate::event::{
    Event, HotRegion, MemberLoad, Priority, RegionCount, Resources, Samples, Target,
};
use crate::sim::random::Random;
use crate::units::{Bytes, MemberIndex, Micros, RequestId, VolumeRegion};
use crate::volume::Class;

impl World {
    pub(super) fn person_asks(&mut self) {
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
                    priority: Priority::Normal,
                }
            }
        };
        self.step(event);
    }

    pub(super) fn policy_hears(&mut self) {
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
            written_bytes: Bytes(64 << 20),
        };
        Event::Resources(Resources {
            members: (0..MEMBER_REGIONS.len())
                .map(|at| load(at, &mut self.random))
                .collect(),
            foreground_p99: Some(Micros(self.random.next() % 50_000)),
            ..Resources::default()
        })
    }
}
