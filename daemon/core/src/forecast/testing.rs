//! A volume on which experts are tried, whose touches are given one interval after the other.

use super::{Scene, Stakes, Touched};
use crate::event::RegionCount;
use crate::heat::{Heat, View};
use crate::units::{Now, VolumeRegion, nanos};
use crate::volume::Profile;

pub(super) const SECOND: u64 = 1_000_000_000;
pub(super) const HALF_LIFE_SECONDS: f64 = 10_000.0;
pub(super) const STAKES: Stakes = Stakes {
    gain_seconds: 0.01,
    copy_seconds: 0.02,
    hysteresis: 2.0,
    capacity: 8,
    delay_nanos: 0,
    residency_nanos: 0,
};

/// The volume, and who is tried on it.
pub(super) struct Desk<T> {
    pub(super) heat: Heat,
    pub(super) tried: T,
    pub(super) now: Now,
}

impl<T> Desk<T> {
    /// A volume of so many regions that nobody has touched.
    pub(super) fn of(regions: u32, tried: impl FnOnce(&Heat) -> T) -> Self {
        let mut heat = Heat::new(nanos(HALF_LIFE_SECONDS));
        let profile = Profile {
            read_seconds: 0.01,
            write_seconds: 0.01,
            bytes_per_second: 1e8,
        };
        heat.start(regions, Some(profile));
        Self {
            tried: tried(&heat),
            heat,
            now: Now(0),
        }
    }

    pub(super) fn scene(&self) -> Scene<'_> {
        Scene {
            heat: &self.heat,
            now: self.now,
        }
    }

    /// Who is tried, and what it rests on.
    pub(super) fn parts(&mut self) -> (&mut T, Scene<'_>) {
        let scene = Scene {
            heat: &self.heat,
            now: self.now,
        };
        (&mut self.tried, scene)
    }

    /// These regions are read so often now.
    pub(super) fn count(&mut self, regions: impl IntoIterator<Item = (u32, u32)>) -> Vec<Touched> {
        let counted = regions.into_iter().map(|(region, reads)| {
            let region = VolumeRegion(region);
            let count = RegionCount {
                region,
                reads,
                ..RegionCount::default()
            };
            let counted = self.heat.count(&count, self.now).unwrap();
            let touches = f64::from(reads);
            Touched {
                region,
                touches,
                missed: touches,
                silent_nanos: counted.silent_nanos,
            }
        });
        counted.collect()
    }

    pub(super) fn view(&self, region: u32) -> View {
        self.heat.view(VolumeRegion(region), self.now).unwrap()
    }
}

/// The numbers of these regions.
pub(super) fn numbers(regions: &[VolumeRegion]) -> Vec<u32> {
    regions.iter().map(|region| region.0).collect()
}
