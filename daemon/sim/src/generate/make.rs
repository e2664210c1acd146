//! How the parts of a recipe become requests.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp, Zipf};
use rand_pcg::Pcg64Mcg;
use tier_core::units::{Bytes, Micros};

use super::{Jobs, Part};
use crate::trace::{Op, Request};

const REGION: u64 = 1 << 20;
const BLOCK: u64 = 4 << 10;
const STREAM: u64 = 16 << 10;
const SCAN: u64 = 256 << 10;
/// How few of a hot set get most of its requests.
const SKEW: f64 = 0.9;
/// Share of requests that write, where nothing else is said.
const WRITES: f64 = 0.3;
/// Adjacent regions of a set.
const RUN: u32 = 8;

pub(super) struct Maker {
    random: Pcg64Mcg,
    end: f64,
    regions: u32,
    pub(super) requests: Vec<Request>,
}

impl Maker {
    pub(super) fn new(end: f64, regions: u32, (seed, part): (u64, u64)) -> Self {
        // The constant of splitmix64 keeps the seeds of parts apart.
        let seed = seed ^ part.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self {
            random: Pcg64Mcg::seed_from_u64(seed),
            end,
            regions: regions.max(RUN),
            requests: Vec::new(),
        }
    }

    pub(super) fn part(&mut self, part: &Part) {
        match *part {
            Part::Noise { per_second } => self.noise(per_second),
            Part::Hot {
                regions,
                per_second,
                drift_seconds,
            } => self.hot(regions, per_second, drift_seconds),
            Part::Rhythm {
                period_seconds,
                busy_seconds,
                jitter_seconds,
                of_seven,
                regions,
                per_second,
            } => {
                let set = self.set(regions);
                let mut period = period_seconds / 3.0;
                for number in 0_u32.. {
                    if period >= self.end {
                        break;
                    }
                    let begin = period + self.random.random_range(-1.0..1.0) * jitter_seconds;
                    if number % 7 < of_seven {
                        self.use_set(&set, begin, begin + busy_seconds, per_second);
                    }
                    period += period_seconds;
                }
            }
            Part::Phases {
                sets,
                regions,
                phase_seconds,
                jitter,
                regularity,
                per_second,
            } => {
                let sets: Vec<Vec<u32>> = (0..sets.max(1)).map(|_| self.set(regions)).collect();
                self.phases(&sets, (phase_seconds, jitter), regularity, per_second);
            }
            Part::Turns {
                sets,
                regions,
                turn_seconds,
                pause_seconds,
                jitter,
                per_second,
            } => {
                let sets: Vec<Vec<u32>> = (0..sets).map(|_| self.set(regions)).collect();
                self.turns(&sets, (turn_seconds, pause_seconds), jitter, per_second);
            }
            Part::Jobs(ref jobs) => self.jobs(jobs),
            Part::Streams {
                every_seconds,
                regions,
                per_second,
                write_share,
            } => self.streams(every_seconds, regions, per_second, write_share),
            Part::Scans {
                every_seconds,
                regions,
                bytes_per_second,
            } => self.scans(every_seconds, regions, bytes_per_second),
            Part::Bursts {
                every_seconds,
                regions,
                touches,
                per_second,
            } => self.bursts(every_seconds, (regions, touches), per_second),
        }
    }

    fn push(&mut self, at: f64, op: Op, offset: u64, length: u64) {
        if (0.0..self.end).contains(&at) {
            self.requests.push(Request {
                at: Micros(tier_core::units::nanos(at) / 1000),
                op,
                offset: Bytes(offset),
                length: Bytes(length),
            });
        }
    }

    fn op(&mut self, write_share: f64) -> Op {
        if self.random.random_bool(write_share.clamp(0.0, 1.0)) {
            Op::Write
        } else {
            Op::Read
        }
    }

    /// A request somewhere in a region.
    fn touch(&mut self, at: f64, region: u32) {
        let op = self.op(WRITES);
        let block = self.random.random_range(0..REGION / BLOCK);
        self.push(at, op, u64::from(region) * REGION + block * BLOCK, BLOCK);
    }

    /// Time to the next of events that come so often, each whenever it likes.
    fn gap(&mut self, per_second: f64) -> f64 {
        Exp::new(per_second).map_or(f64::INFINITY, |gaps| gaps.sample(&mut self.random))
    }

    fn about_one(&mut self, jitter: f64) -> f64 {
        1.0 + self.random.random_range(-1.0..1.0) * jitter
    }

    fn run(&mut self) -> u32 {
        self.random.random_range(0..=self.regions - RUN)
    }

    /// Regions in runs.
    fn set(&mut self, regions: u32) -> Vec<u32> {
        let runs = (0..regions.div_ceil(RUN)).map(|_| self.run());
        let runs: Vec<u32> = runs.collect();
        let regions = regions as usize;
        runs.into_iter()
            .flat_map(|first| first..first + RUN)
            .take(regions)
            .collect()
    }

    fn noise(&mut self, per_second: f64) {
        let mut at = self.gap(per_second);
        while at < self.end {
            let region = self.random.random_range(0..self.regions);
            self.touch(at, region);
            at += self.gap(per_second);
        }
    }

    /// One of a set, the first of it more often than the last.
    fn one_of(&mut self, set: &[u32]) -> u32 {
        #[allow(clippy::cast_precision_loss, reason = "a set is small")]
        let ranks = Zipf::new(set.len() as f64, SKEW);
        let rank = ranks.map_or(1.0, |ranks| ranks.sample(&mut self.random));
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank is a small whole number from 1 on"
        )]
        let at = (rank as usize).saturating_sub(1);
        set.get(at).or(set.first()).copied().unwrap_or(0)
    }

    fn use_set(&mut self, set: &[u32], from: f64, until: f64, per_second: f64) {
        let mut at = from + self.gap(per_second);
        while at < until.min(self.end) {
            let region = self.one_of(set);
            self.touch(at, region);
            at += self.gap(per_second);
        }
    }

    fn hot(&mut self, regions: u32, per_second: f64, drift_seconds: f64) {
        let mut set = self.set(regions);
        let mut at = 0.0;
        while at < self.end {
            let until = at + drift_seconds;
            self.use_set(&set, at, until, per_second);
            let (new, old) = (self.run(), self.random.random_range(0..set.len().max(1)));
            if let Some(region) = set.get_mut(old) {
                *region = new;
            }
            at = until;
        }
    }

    /// The sets in turn.
    fn turns(
        &mut self,
        sets: &[Vec<u32>],
        (turn_seconds, pause_seconds): (f64, f64),
        jitter: f64,
        per_second: f64,
    ) {
        let mut at = 0.0;
        for set in sets.iter().cycle() {
            let until = at + turn_seconds * self.about_one(jitter);
            self.use_set(set, at, until, per_second);
            at = until + pause_seconds * self.about_one(jitter);
            if at >= self.end {
                break;
            }
        }
    }

    /// Each set is followed by the next one, or by any.
    fn phases(
        &mut self,
        sets: &[Vec<u32>],
        (phase_seconds, jitter): (f64, f64),
        regularity: f64,
        per_second: f64,
    ) {
        let (mut at, mut which) = (0.0, 0);
        while at < self.end {
            let until = at + phase_seconds * self.about_one(jitter);
            if let Some(set) = sets.get(which) {
                self.use_set(set, at, until, per_second);
            }
            which = if self.random.random_bool(regularity.clamp(0.0, 1.0)) {
                (which + 1) % sets.len()
            } else {
                self.random.random_range(0..sets.len())
            };
            at = until;
        }
    }

    /// Now and then the sets of some job, one after the other; a job that is due while another runs
    /// waits for its end.
    fn jobs(&mut self, part: &Jobs) {
        let per_second = 1.0 / part.every_seconds;
        let sets = |maker: &mut Self| (0..part.sets).map(|_| maker.set(part.regions)).collect();
        let jobs: Vec<Vec<Vec<u32>>> = (0..part.jobs.max(1)).map(|_| sets(self)).collect();
        let (mut at, mut due) = (0.0_f64, self.gap(per_second));
        while due < self.end {
            at = at.max(due);
            let job = self.random.random_range(0..jobs.len());
            for set in jobs.get(job).into_iter().flatten() {
                let until = at + part.use_seconds * self.about_one(part.jitter);
                self.use_set(set, at, until, part.per_second);
                at = until + part.pause_seconds * self.about_one(part.jitter);
            }
            due += self.gap(per_second);
        }
    }

    fn streams(&mut self, every_seconds: f64, regions: u32, per_second: f64, write_share: f64) {
        let mut begin = self.gap(1.0 / every_seconds);
        while begin < self.end {
            let first = self.random.random_range(0..self.regions);
            let op = self.op(write_share);
            let length = u64::from(regions.min(self.regions - first)) * REGION;
            let mut at = begin;
            for offset in (0..length).step_by(usize::try_from(STREAM).unwrap_or(1)) {
                self.push(at, op, u64::from(first) * REGION + offset, STREAM);
                at += self.gap(per_second);
            }
            begin += self.gap(1.0 / every_seconds);
        }
    }

    fn scans(&mut self, every_seconds: f64, regions: u32, bytes_per_second: f64) {
        let length = u64::from(regions.min(self.regions)) * REGION;
        #[allow(clippy::cast_precision_loss, reason = "a request is small")]
        let step_seconds = SCAN as f64 / bytes_per_second;
        let mut begin = every_seconds / 2.0;
        while begin < self.end {
            let mut at = begin;
            for offset in (0..length).step_by(usize::try_from(SCAN).unwrap_or(1)) {
                self.push(at, Op::Read, offset, SCAN);
                at += step_seconds;
            }
            begin += every_seconds;
        }
    }

    fn bursts(&mut self, every_seconds: f64, (regions, touches): (u32, u32), per_second: f64) {
        let mut begin = self.gap(1.0 / every_seconds);
        while begin < self.end {
            let set = self.set(regions);
            let mut at = begin;
            for region in set.iter().cycle().take(set.len() * touches as usize) {
                self.touch(at, *region);
                at += self.gap(per_second);
            }
            begin += self.gap(1.0 / every_seconds);
        }
    }
}
