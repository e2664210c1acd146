//! How much each region was used lately.
//!
//! Owns: [`Heat`], one flat record of [`BYTES_PER_REGION`] bytes per region of the volume. Heat is
//! counted in touches: accesses of the slowest tier that a move could have made faster, and for
//! transfers as many as take as long, halved with each half-life that passes; it is decayed when it
//! is looked at, so that a step costs only the regions it names. May not: decide what is hot, or
//! say anything about data: the counts are hints (rule 8).

mod decay;
mod lengths;

use serde::{Deserialize, Serialize};

use crate::event::RegionCount;
use crate::units::{Now, VolumeRegion};
use crate::volume::{Class, Profile};
use decay::Decay;
use lengths::Length;

/// Time steps per half-life.
const GRAINS: u64 = 16_384;
/// Half-lives that are counted beside each other, in tenths of the one that is set: of what is in
/// use just now, of what has been for a while, and of what always is.
const SPANS_TENTHS: [u64; 3] = [1, 10, 50];
pub(crate) const SPANS: usize = SPANS_TENTHS.len();
/// The one that is set.
pub(crate) const LASTING: usize = 1;
/// The shortest.
pub(crate) const RECENT: usize = 0;
/// Memory that a tracked region takes here.
pub const BYTES_PER_REGION: usize = size_of::<Region>();

/// What is kept of one region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Region {
    /// Decayed touches of each span, as of `updated`.
    touches: [f32; SPANS],
    /// Of those of the lasting span, writes.
    writes: f32,
    /// All touches so far.
    total: f32,
    /// In grains.
    updated: u32,
    /// When it was first touched, in grains; zero if it never was.
    born: u32,
    /// When it came to where it is, in grains; zero if it was always there.
    arrived: u32,
    /// Where it is: index into [`Class::ALL`].
    class: u8,
    /// Where a promotion brought it from: index into [`Class::ALL`]; [`NOT_PROMOTED`] otherwise.
    origin: u8,
    /// Bytes that come with a touch that writes.
    length: Length,
}

const NOT_PROMOTED: u8 = u8::MAX;
/// Bytes that a write is taken to have before anything was written: a page.
const BYTES_PER_WRITE: f64 = 4_096.0;

/// A region that was touched, as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct KnownRegion(u32, Region);

/// Decayed use of a region.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Touches {
    pub(crate) reads: f64,
    pub(crate) writes: f64,
}

impl Touches {
    pub(crate) fn sum(self) -> f64 {
        self.reads + self.writes
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            reads: self.reads + other.reads,
            writes: self.writes + other.writes,
        }
    }

    /// The mean one of them; a read where there is none.
    pub(crate) fn of_one(self) -> Self {
        let sum = self.sum();
        if sum <= 0.0 {
            return Self {
                reads: 1.0,
                writes: 0.0,
            };
        }
        Self {
            reads: self.reads / sum,
            writes: self.writes / sum,
        }
    }
}

/// What the policy asks of a region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct View {
    /// Of the lasting span.
    pub(crate) touches: Touches,
    /// Bytes that come with a touch that writes, by what was written so far; by what was written
    /// to all regions where nothing was written to this one.
    pub(crate) bytes_per_write: f64,
    /// Of each span.
    pub(crate) spans: [f64; SPANS],
    /// Touches so far, undecayed.
    pub(crate) total: f64,
    /// Seconds since its first touch, if there was one.
    pub(crate) age_seconds: Option<f64>,
    /// Since it was counted last.
    pub(crate) silent_nanos: u64,
    pub(crate) class: Class,
    /// Seconds since it came to where it is, if a move brought it.
    pub(crate) resident_seconds: Option<f64>,
}

/// What a region's counts of one interval made known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counted {
    /// Of this interval.
    pub(crate) touches: Touches,
    pub(crate) class: Class,
    /// Where a promotion brought it from, if one did: what its touches saved is known then.
    pub(crate) origin: Option<Class>,
    /// Since it was counted before.
    pub(crate) silent_nanos: u64,
}

/// The use of every region of a volume.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heat {
    regions: Vec<Region>,
    known_regions: u32,
    grain_nanos: u64,
    decays: [Decay; SPANS],
    /// Bytes whose transfer takes the slowest tier as long as an access.
    bytes_per_touch: f64,
    /// Bytes that come with a touch that writes, on any region.
    length: Length,
}

fn class_index(class: Class) -> u8 {
    match class {
        Class::Nvme => 0,
        Class::Ssd => 1,
        Class::Hdd => 2,
    }
}

fn class_at(index: u8) -> Class {
    Class::ALL
        .get(usize::from(index))
        .copied()
        .unwrap_or(Class::Hdd)
}

impl Heat {
    pub(crate) fn new(half_life_nanos: u64) -> Self {
        Self {
            regions: Vec::new(),
            known_regions: 0,
            grain_nanos: (half_life_nanos / GRAINS).max(1),
            decays: SPANS_TENTHS.map(|tenths| Decay::new(half_life_nanos / 10 * tenths)),
            bytes_per_touch: f64::INFINITY,
            length: Length::default(),
        }
    }

    /// Forgets all, and takes in how many regions there are and what the slowest tier is like.
    pub(crate) fn start(&mut self, regions: u32, slowest: Option<Profile>) {
        let fresh = Region {
            origin: NOT_PROMOTED,
            ..Region::default()
        };
        self.regions = vec![fresh; regions as usize];
        self.known_regions = 0;
        self.length = Length::default();
        let bytes = slowest.map(|profile| profile.read_seconds * profile.bytes_per_second);
        self.bytes_per_touch = bytes.filter(|bytes| *bytes > 0.0).unwrap_or(f64::INFINITY);
    }

    /// Whether there is such a region, and it was never touched.
    pub(crate) fn is_untouched(&self, region: VolumeRegion) -> bool {
        let known = self.regions.get(region.0 as usize);
        known.is_some_and(|known| known.born == 0)
    }

    /// How many regions there are.
    pub(crate) fn regions(&self) -> u32 {
        u32::try_from(self.regions.len()).unwrap_or(u32::MAX)
    }

    /// How many regions were ever touched.
    pub(crate) const fn known_regions(&self) -> u32 {
        self.known_regions
    }

    /// The regions that were ever touched.
    pub(crate) fn remember(&self) -> Vec<KnownRegion> {
        let all = (0..).zip(&self.regions);
        let known = all.filter(|(_, region)| region.born > 0);
        known.map(|(at, region)| KnownRegion(at, *region)).collect()
    }

    /// Takes in what is remembered of them. Where they are is known better by now: what was moved
    /// since then was not moved by the policy.
    pub(crate) fn recall(&mut self, known: &[KnownRegion]) {
        for KnownRegion(at, remembered) in known {
            let Some(region) = self.regions.get_mut(*at as usize) else {
                continue;
            };
            if region.born == 0 && remembered.born > 0 {
                self.known_regions = self.known_regions.saturating_add(1);
            }
            let (class, stayed) = (region.class, region.class == remembered.class);
            *region = *remembered;
            if !stayed {
                region.class = class;
                region.origin = NOT_PROMOTED;
                region.arrived = 0;
            }
        }
    }

    fn grain(&self, now: Now) -> u32 {
        // Zero stands for "never", so time begins at one.
        u32::try_from(now.0 / self.grain_nanos).unwrap_or(u32::MAX - 1) + 1
    }

    fn nanos_since(&self, grain: u32, now: Now) -> u64 {
        u64::from(self.grain(now).saturating_sub(grain)) * self.grain_nanos
    }

    /// What a region's counts come to.
    pub(crate) fn touches(&self, counted: &RegionCount) -> Touches {
        let random = random_touches(counted);
        Touches {
            reads: random.reads + bytes(counted.read_bytes) / self.bytes_per_touch,
            writes: random.writes + bytes(counted.written_bytes) / self.bytes_per_touch,
        }
    }

    /// Says where a range is, without a move having brought it there.
    pub(crate) fn place(&mut self, first: VolumeRegion, count: u32, class: Class) {
        for region in self.range_mut(first, count) {
            region.class = class_index(class);
        }
    }

    /// A move brought a range to where it is now; `from` if it was a promotion of the policy.
    pub(crate) fn arrive(
        &mut self,
        (first, count): (VolumeRegion, u32),
        to: Class,
        from: Option<Class>,
        now: Now,
    ) {
        let arrived = self.grain(now);
        for region in self.range_mut(first, count) {
            region.class = class_index(to);
            region.origin = from.map_or(NOT_PROMOTED, class_index);
            region.arrived = arrived;
        }
    }

    fn range_mut(&mut self, first: VolumeRegion, count: u32) -> impl Iterator<Item = &mut Region> {
        self.regions
            .iter_mut()
            .skip(first.0 as usize)
            .take(count as usize)
    }

    /// Takes in one region's counts of an interval.
    pub(crate) fn count(&mut self, counted: &RegionCount, now: Now) -> Option<Counted> {
        let grain = self.grain(now);
        let updated = self.regions.get(counted.region.0 as usize)?.updated;
        let passed = self.nanos_since(updated, now);
        let left = self.left(passed);
        let touches = self.touches(counted);
        let region = self.regions.get_mut(counted.region.0 as usize)?;
        region.updated = grain;
        if region.born == 0 {
            region.born = grain;
            self.known_regions = self.known_regions.saturating_add(1);
        }
        #[allow(clippy::cast_possible_truncation, reason = "a count needs no 53 bits")]
        let (sum, writes) = (touches.sum() as f32, touches.writes as f32);
        for (touches, left) in region.touches.iter_mut().zip(left) {
            *touches = *touches * left + sum;
        }
        let (before, newest) = (f64::from(region.writes * left[LASTING]), touches.writes);
        let written = bytes(counted.written_bytes);
        region.length = region.length.with(before, newest, written);
        self.length = self.length.with(f64::INFINITY, newest, written);
        region.writes = region.writes * left[LASTING] + writes;
        region.total += sum;
        Some(Counted {
            touches,
            class: class_at(region.class),
            origin: (region.origin != NOT_PROMOTED).then(|| class_at(region.origin)),
            silent_nanos: passed,
        })
    }

    /// Of one touch, what is left of each span after so long.
    pub(crate) fn left(&self, passed_nanos: u64) -> [f32; SPANS] {
        std::array::from_fn(|span| self.decays[span].left(passed_nanos))
    }

    pub(crate) fn view(&self, region: VolumeRegion, now: Now) -> Option<View> {
        let known = self.regions.get(region.0 as usize)?;
        let passed = self.nanos_since(known.updated, now);
        let left = self.left(passed);
        let span = |of: usize| f64::from(known.touches[of] * left[of]);
        let writes = f64::from(known.writes * left[LASTING]);
        #[allow(clippy::cast_precision_loss, reason = "grains are far coarser")]
        let seconds_since = |grain: u32| self.nanos_since(grain, now) as f64 / 1e9;
        Some(View {
            touches: Touches {
                reads: (span(LASTING) - writes).max(0.0),
                writes,
            },
            bytes_per_write: self.bytes_per_write(known),
            spans: std::array::from_fn(span),
            total: f64::from(known.total),
            age_seconds: (known.born > 0).then(|| seconds_since(known.born)),
            silent_nanos: passed,
            class: class_at(known.class),
            resident_seconds: (known.arrived > 0).then(|| seconds_since(known.arrived)),
        })
    }

    fn bytes_per_write(&self, known: &Region) -> f64 {
        let length = known.length.bytes().or(self.length.bytes());
        length.unwrap_or(BYTES_PER_WRITE)
    }

    /// Regions of a class with their views, in order.
    pub(crate) fn of_class(
        &self,
        class: Class,
        now: Now,
    ) -> impl Iterator<Item = (VolumeRegion, View)> + '_ {
        let wanted = class_index(class);
        self.regions
            .iter()
            .zip(0_u32..)
            .filter(move |(region, _)| region.class == wanted)
            .filter_map(move |(_, at)| {
                let region = VolumeRegion(at);
                self.view(region, now).map(|view| (region, view))
            })
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "an interval's bytes have no 53 bits"
)]
fn bytes(of: crate::units::Bytes) -> f64 {
    of.0 as f64
}

/// Touches that an interval's counts of a region come to on a volume whose slowest tier is
/// `slowest`: what heat is counted in, and forecasts.
#[must_use]
pub fn touches(counted: &RegionCount, slowest: Profile) -> f64 {
    let mut heat = Heat::default();
    heat.start(0, Some(slowest));
    heat.touches(counted).sum()
}

/// Touches that a faster home would have helped: a sequential one costs about the same anywhere.
pub(crate) fn random_touches(counted: &RegionCount) -> Touches {
    let all = f64::from(counted.reads) + f64::from(counted.writes);
    if all <= 0.0 {
        return Touches::default();
    }
    let share = (1.0 - f64::from(counted.sequential) / all).max(0.0);
    Touches {
        reads: f64::from(counted.reads) * share,
        writes: f64::from(counted.writes) * share,
    }
}

#[cfg(test)]
mod tests;
