//! The regions of a tier that leave it first.
//!
//! Owns: [`Victims`], their lists as of some time. Invariant: it is found without a look at each of
//! them who of those that may leave is the first, for every want asks that in every step.

use crate::forecast::HORIZONS;
use crate::plan::Victim;
use crate::units::Now;
use crate::volume::Class;

/// The coldest regions of a tier, as of some time.
#[derive(Clone, Debug)]
pub(super) struct Victims {
    pub(super) class: Class,
    pub(super) as_of: Now,
    /// By horizon.
    pub(super) lists: [Vec<Victim>; HORIZONS],
    /// For each of them, the least that it or one before it is expected to get soon.
    soonest: [Vec<f64>; HORIZONS],
}

impl Victims {
    pub(super) fn new(class: Class, as_of: Now, lists: [Vec<Victim>; HORIZONS]) -> Self {
        let soonest = lists.each_ref().map(|list| {
            let soon = list.iter().map(|victim| victim.expected.soon());
            let least = soon.scan(f64::INFINITY, |least, soon| {
                *least = least.min(soon);
                Some(*least)
            });
            least.collect()
        });
        Self {
            class,
            as_of,
            lists,
            soonest,
        }
    }

    /// The first to leave of those that are wanted no sooner than by so many touches.
    pub(super) fn coldest(&self, horizon: usize, soon: f64) -> Option<&Victim> {
        let soonest = self.soonest.get(horizon)?;
        let at = soonest.partition_point(|least| *least > soon);
        self.lists.get(horizon)?.get(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Expected;
    use crate::units::VolumeRegion;

    #[test]
    fn who_leaves_first_is_who_a_look_at_each_would_find() {
        // Ordered by what is expected in all, and in no order by what is expected soon.
        let victim = |at: u32| {
            let soon = f64::from(at * 7_919 % 31);
            Victim {
                region: VolumeRegion(at),
                expected: Expected([soon, 40.0, 50.0, 60.0, 70.0 + f64::from(at)]),
                bytes_per_touch: 0.0,
            }
        };
        let lists = std::array::from_fn(|horizon| {
            let some = u32::try_from(horizon).unwrap() * 5;
            (3..some).map(victim).collect()
        });
        let victims = Victims::new(Class::Nvme, Now(0), lists);
        let mut found = 0;
        for horizon in 0..HORIZONS {
            for soon in (-1..32).map(f64::from) {
                let list = victims.lists[horizon].iter();
                let first = list.clone().find(|one| one.expected.soon() <= soon);
                assert_eq!(victims.coldest(horizon, soon), first, "{horizon}, {soon}");
                found += u32::from(first.is_some());
            }
        }
        assert!(found > 50, "{found}");
        assert_eq!(victims.coldest(HORIZONS, 99.0), None);
    }
}
