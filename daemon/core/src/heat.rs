//! How much each region was used lately.
//!
//! Owns: [`Heat`], one flat record of [`BYTES_PER_REGION`] bytes per region of the volume. Heat is
//! the number of touches that a move could have made faster (those that were not sequential),
//! halved with each half-life that passes; it is decayed when it is looked at, so that a step
//! costs only the regions it names. May not: decide what is hot, or say anything about data: the
//! counts are hints (rule 8).

use crate::event::RegionCount;
use crate::units::{Now, VolumeRegion};
use crate::volume::Class;

/// Time steps per half-life.
const GRAINS: u32 = 256;
/// Memory that a tracked region takes here.
pub const BYTES_PER_REGION: usize = size_of::<Region>();
/// Heat at and below which a region counts as untouched: its probation begins anew.
const COLD: f32 = 0.5;

/// What is kept of one region.
#[derive(Clone, Copy, Debug, Default)]
struct Region {
    /// Decayed touches, as of `updated`.
    touches: f32,
    /// Of these, writes.
    writes: f32,
    /// In grains.
    updated: u32,
    /// When it came to where it is, in grains; zero if it was always there.
    arrived: u32,
    /// Intervals in which it was touched since it was last cold.
    intervals: u8,
    /// Where it is: index into [`Class::ALL`].
    class: u8,
    /// Where a promotion brought it from: index into [`Class::ALL`]; [`NOT_PROMOTED`] otherwise.
    origin: u8,
    /// Touched since it arrived.
    used: bool,
}

const NOT_PROMOTED: u8 = u8::MAX;

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
}

/// What the policy asks of a region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct View {
    pub(crate) touches: Touches,
    pub(crate) class: Class,
    pub(crate) intervals: u8,
    /// Seconds since it came to where it is, if a move brought it.
    pub(crate) resident_seconds: Option<f64>,
    /// Brought by a promotion, and not touched since.
    pub(crate) unused: bool,
}

/// What a region's counts of one interval made known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counted {
    /// Of this interval, those that were not sequential.
    pub(crate) touches: Touches,
    /// Decayed touches, this interval's included.
    pub(crate) heat: f32,
    pub(crate) intervals: u8,
    pub(crate) class: Class,
    /// Where a promotion brought it from, if one did: what its touches saved is known then.
    pub(crate) origin: Option<Class>,
}

/// The use of every region of a volume.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heat {
    regions: Vec<Region>,
    grain_nanos: u64,
    /// What is left of heat after so many grains of a half-life.
    decay: Vec<f32>,
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
        // The 256th root by eight square roots, which IEEE 754 rounds the same everywhere.
        let root = (0..GRAINS.trailing_zeros()).fold(0.5_f32, |root, _| root.sqrt());
        let mut left = 1.0_f32;
        let mut decay = Vec::with_capacity(GRAINS as usize);
        for _ in 0..GRAINS {
            decay.push(left);
            left *= root;
        }
        let grain_nanos = (half_life_nanos / u64::from(GRAINS)).max(1);
        Self {
            regions: Vec::new(),
            grain_nanos,
            decay,
        }
    }

    /// Forgets all, and takes in where each region is.
    pub(crate) fn start(&mut self, regions: u32) {
        let fresh = Region {
            origin: NOT_PROMOTED,
            ..Region::default()
        };
        self.regions = vec![fresh; regions as usize];
    }

    fn grain(&self, now: Now) -> u32 {
        // Zero stands for "always there", so time begins at one.
        u32::try_from(now.0 / self.grain_nanos).unwrap_or(u32::MAX - 1) + 1
    }

    fn left(&self, grains: u32) -> f32 {
        let halvings = grains / GRAINS;
        if halvings > 100 {
            return 0.0;
        }
        let within = self
            .decay
            .get((grains % GRAINS) as usize)
            .copied()
            .unwrap_or(0.0);
        // Two to the power of minus `halvings`, exactly.
        within * f32::from_bits((127 - halvings) << 23)
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
            region.used = false;
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
        let left = self.left(grain.saturating_sub(updated));
        let touches = random_touches(counted);
        let region = self.regions.get_mut(counted.region.0 as usize)?;
        region.touches *= left;
        region.writes *= left;
        region.updated = grain;
        if region.touches <= COLD {
            region.intervals = 0;
        }
        if touches.sum() > 0.0 {
            region.intervals = region.intervals.saturating_add(1);
            region.used = true;
        }
        #[allow(clippy::cast_possible_truncation, reason = "a count needs no 53 bits")]
        {
            region.touches += touches.sum() as f32;
            region.writes += touches.writes as f32;
        }
        Some(Counted {
            touches,
            heat: region.touches,
            intervals: region.intervals,
            class: class_at(region.class),
            origin: (region.origin != NOT_PROMOTED).then(|| class_at(region.origin)),
        })
    }

    pub(crate) fn view(&self, region: VolumeRegion, now: Now) -> Option<View> {
        let known = self.regions.get(region.0 as usize)?;
        let grain = self.grain(now);
        let left = self.left(grain.saturating_sub(known.updated));
        let (touches, writes) = (
            f64::from(known.touches * left),
            f64::from(known.writes * left),
        );
        let resident = grain.saturating_sub(known.arrived);
        #[allow(clippy::cast_precision_loss, reason = "grains are far coarser")]
        let grain_seconds = self.grain_nanos as f64 / 1e9;
        Some(View {
            touches: Touches {
                reads: (touches - writes).max(0.0),
                writes,
            },
            class: class_at(known.class),
            intervals: if touches <= f64::from(COLD) {
                0
            } else {
                known.intervals
            },
            resident_seconds: (known.arrived > 0).then(|| f64::from(resident) * grain_seconds),
            unused: known.origin != NOT_PROMOTED && !known.used,
        })
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
