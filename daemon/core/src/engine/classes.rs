//! How much of each tier is hot, warm or cold by what is expected of it. Nothing here changes
//! anything.

use serde::Serialize;

use super::Engine;
use crate::forecast::{ClassCounts, Classes};
use crate::units::VolumeRegion;
use crate::volume::Class;

/// Regions that are looked at, at most. A share of them is off by less than two thousandths twice
/// out of three times, whatever the size of the volume.
const LOOKED_AT_MAX: u32 = 1 << 16;

/// What is expected of the regions of a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TierForecast {
    /// Which tier.
    pub class: Class,
    /// Its regions by the class of their forecast. Of a volume of more than 65,536 regions so many
    /// are looked at, evenly spread, and stand for all.
    pub regions: ClassCounts,
}

/// A region of one of so many parts of about the same length, by the number of the part, in no
/// order.
fn picked(part: u32, parts: u32, regions: u32) -> VolumeRegion {
    let border = |part: u32| u64::from(regions) * u64::from(part) / u64::from(parts.max(1));
    let (first, end) = (border(part), border(part + 1));
    // Spread by the golden ratio (Knuth, 6.4), so that what lies at even distances is not all that
    // is seen.
    let offset = u64::from(part.wrapping_mul(0x9e37_79b9) >> 8) % (end - first).max(1);
    VolumeRegion(u32::try_from(first + offset).unwrap_or(u32::MAX))
}

impl Engine {
    /// What makes a region hot or warm now.
    pub(super) fn forecast_classes(&self) -> Classes {
        let policy = &self.policy;
        policy
            .forecasts
            .classes(self.pays_from_touches(), policy.config.hysteresis)
    }

    /// How many regions of each tier are hot, warm or cold. Takes some milliseconds for each ten
    /// thousand regions, and no more for a volume of more than 65,536.
    #[must_use]
    pub fn tier_forecasts(&self) -> Vec<TierForecast> {
        let (known, classes) = (self.known(), self.forecast_classes());
        let regions = known.heat.regions();
        let parts = regions.min(LOOKED_AT_MAX);
        let mut tiers: Vec<TierForecast> = self
            .policy
            .loads
            .classes()
            .into_iter()
            .map(|class| TierForecast {
                class,
                regions: ClassCounts::default(),
            })
            .collect();
        for part in 0..parts {
            let region = picked(part, parts, regions);
            let Some(view) = known.heat.view(region, self.now) else {
                continue;
            };
            let expected = known.expected(region, &view, 0.0);
            if let Some(tier) = tiers.iter_mut().find(|tier| tier.class == view.class) {
                tier.regions.count(classes.of(&expected));
            }
        }
        for tier in &mut tiers {
            tier.regions = tier.regions.scaled(regions, parts);
        }
        tiers
    }
}

#[cfg(test)]
mod tests;
