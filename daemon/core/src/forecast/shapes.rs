//! Which regions are forecast as one.
//!
//! Owns: [`Shapes`], runs of regions that are halved where their halves are used differently, and
//! joined again where they are used alike. Splitting and joining are matters of forecasting alone:
//! no data moves, and no table changes. Invariants: runs are a power of two long, begin at a
//! multiple of their length, are [`REGIONS_MAX`] long at most and do not overlap; there are never
//! more than a given number of them.

use std::collections::BTreeMap;

use super::history::GROUP_REGIONS;

/// The longest run.
pub(crate) const REGIONS_MAX: u32 = GROUP_REGIONS;

/// A run of regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: u32,
    /// A power of two.
    pub(crate) count: u32,
}

impl Run {
    pub(crate) const fn has(self, region: u32) -> bool {
        region >= self.first && region - self.first < self.count
    }

    /// The longest run in which a region can be.
    const fn longest_around(region: u32) -> Self {
        Self {
            first: region - region % REGIONS_MAX,
            count: REGIONS_MAX,
        }
    }

    /// Its halves, unless it is one region.
    pub(crate) const fn halves(self) -> Option<[Self; 2]> {
        if self.count < 2 {
            return None;
        }
        let count = self.count / 2;
        let (first, second) = (self.first, self.first + count);
        Some([
            Self { first, count },
            Self {
                first: second,
                count,
            },
        ])
    }

    /// The run that it is a half of, unless it is the longest.
    pub(crate) const fn whole(self) -> Option<Self> {
        if self.count >= REGIONS_MAX {
            return None;
        }
        let count = self.count * 2;
        Some(Self {
            first: self.first - self.first % count,
            count,
        })
    }
}

/// Runs, and what is known of each.
#[derive(Clone, Debug)]
pub(crate) struct Shapes<T> {
    /// By their first region: their length, and what is known.
    runs: BTreeMap<u32, (u32, T)>,
    most: usize,
}

impl<T> Shapes<T> {
    /// No run yet, and never more than so many.
    pub(crate) const fn new(most: usize) -> Self {
        Self {
            runs: BTreeMap::new(),
            most,
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.runs.len()
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Run, &T)> {
        self.runs.iter().map(|(first, (count, known))| {
            let (first, count) = (*first, *count);
            (Run { first, count }, known)
        })
    }

    /// All of them, in order, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Run, &mut T)> {
        self.runs.iter_mut().map(|(first, (count, known))| {
            let (first, count) = (*first, *count);
            (Run { first, count }, known)
        })
    }

    /// The run that a region is in, if there is one.
    pub(crate) fn run_of(&self, region: u32) -> Option<Run> {
        let (first, (count, _)) = self.runs.range(..=region).next_back()?;
        let (first, count) = (*first, *count);
        let run = Run { first, count };
        run.has(region).then_some(run)
    }

    /// What is known of the run that a region is in.
    pub(crate) fn get(&self, region: u32) -> Option<&T> {
        let run = self.run_of(region)?;
        self.runs.get(&run.first).map(|(_, known)| known)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, region: u32) -> Option<&mut T> {
        let run = self.run_of(region)?;
        self.runs.get_mut(&run.first).map(|(_, known)| known)
    }

    /// The run that a region is in; the longest that fits around it if there is none. `None` if
    /// there may be no more.
    pub(crate) fn follow(&mut self, region: u32, new: impl FnOnce(Run) -> T) -> Option<Run> {
        if let Some(run) = self.run_of(region) {
            return Some(run);
        }
        if self.runs.len() >= self.most {
            return None;
        }
        let mut run = Run::longest_around(region);
        while self.overlaps(run) {
            run = run.halves()?.into_iter().find(|half| half.has(region))?;
        }
        self.runs.insert(run.first, (run.count, new(run)));
        Some(run)
    }

    /// Takes in a run with what is known of it, unless another is in its way or there may be no
    /// more.
    pub(crate) fn insert(&mut self, run: Run, known: T) {
        let is_aligned = run.count.is_power_of_two()
            && run.count <= REGIONS_MAX
            && run.first.is_multiple_of(run.count);
        if is_aligned && self.runs.len() < self.most && !self.overlaps(run) {
            self.runs.insert(run.first, (run.count, known));
        }
    }

    fn overlaps(&self, run: Run) -> bool {
        let end = run.first.saturating_add(run.count);
        self.run_of(run.first).is_some() || self.runs.range(run.first..end).next().is_some()
    }

    /// Forgets those of which nothing is to be known any more.
    pub(crate) fn retain(&mut self, mut keeps: impl FnMut(Run, &mut T) -> bool) {
        self.runs.retain(|first, (count, known)| {
            let (first, count) = (*first, *count);
            keeps(Run { first, count }, known)
        });
    }

    /// Halves a run, unless it is one region or there may be no more. Tells whether it did.
    pub(crate) fn split(&mut self, run: Run, halves: impl FnOnce(&T) -> [T; 2]) -> bool {
        if self.run_of(run.first) != Some(run) || self.runs.len() >= self.most {
            return false;
        }
        let (Some([one, other]), Some((_, known))) = (run.halves(), self.runs.get(&run.first))
        else {
            return false;
        };
        let [first, second] = halves(known);
        self.runs.insert(one.first, (one.count, first));
        self.runs.insert(other.first, (other.count, second));
        true
    }

    /// Joins a run and the other half of what it is a half of, if that is a run as well and `joined`
    /// makes one of them. Tells whether it did.
    pub(crate) fn join(&mut self, run: Run, joined: impl FnOnce(&T, &T) -> Option<T>) -> bool {
        let Some(whole) = run.whole() else {
            return false;
        };
        let halves = whole.halves().unwrap_or([run, run]);
        if halves
            .iter()
            .any(|half| self.run_of(half.first) != Some(*half))
        {
            return false;
        }
        let known = halves.map(|half| self.runs.get(&half.first).map(|(_, known)| known));
        let [Some(one), Some(other)] = known else {
            return false;
        };
        let Some(both) = joined(one, other) else {
            return false;
        };
        for half in halves {
            self.runs.remove(&half.first);
        }
        self.runs.insert(whole.first, (whole.count, both));
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Deed {
        Follow(u32),
        Split(u32),
        Join(u32),
        Forget(u32),
    }

    fn deeds() -> impl Strategy<Value = Vec<Deed>> {
        let region = || 0..400_u32;
        let deed = prop_oneof![
            region().prop_map(Deed::Follow),
            region().prop_map(Deed::Split),
            region().prop_map(Deed::Split),
            region().prop_map(Deed::Join),
            region().prop_map(Deed::Forget),
        ];
        prop::collection::vec(deed, 0..200)
    }

    /// What holds of runs at all times. What is known of each is its touches by region.
    fn holds(shapes: &Shapes<Vec<u32>>, most: usize) {
        let mut end = 0;
        for (run, known) in shapes.iter() {
            assert!(run.count.is_power_of_two() && run.count <= REGIONS_MAX);
            assert!(run.first.is_multiple_of(run.count), "{run:?}");
            assert!(run.first >= end, "{run:?} overlaps the one before");
            end = run.first + run.count;
            let regions: Vec<u32> = (run.first..end).collect();
            assert_eq!(*known, regions, "what is known is of these regions");
            assert!((run.first..end).all(|region| shapes.run_of(region) == Some(run)));
        }
        assert!(shapes.len() <= most);
    }

    proptest! {
        #[test]
        fn runs_stay_aligned_apart_and_few_and_what_is_known_stays_with_its_regions(
            deeds in deeds(),
            most in 1..40_usize,
        ) {
            let mut shapes: Shapes<Vec<u32>> = Shapes::new(most);
            for deed in deeds {
                let before = shapes.len();
                match deed {
                    Deed::Follow(region) => {
                        let run = shapes.follow(region, |_| Vec::new());
                        prop_assert!(run.is_none_or(|run| run.has(region)));
                        prop_assert_eq!(run.is_none(), shapes.run_of(region).is_none());
                        if let Some(run) = run {
                            let known = shapes.get_mut(region).unwrap();
                            *known = (run.first..run.first + run.count).collect();
                        }
                    }
                    Deed::Split(region) => {
                        if let Some(run) = shapes.run_of(region) {
                            let done = shapes.split(run, |known| {
                                let (one, other) = known.split_at(known.len() / 2);
                                [one.to_vec(), other.to_vec()]
                            });
                            prop_assert_eq!(done, run.count > 1 && before < most);
                            prop_assert_eq!(shapes.len(), before + usize::from(done));
                        }
                    }
                    Deed::Join(region) => {
                        if let Some(run) = shapes.run_of(region) {
                            let both = |one: &Vec<u32>, other: &Vec<u32>| {
                                Some([&one[..], other].concat())
                            };
                            let done = shapes.join(run, both);
                            prop_assert_eq!(shapes.len(), before - usize::from(done));
                        }
                    }
                    Deed::Forget(region) => shapes.retain(|run, _| !run.has(region)),
                }
                holds(&shapes, most);
            }
        }
    }

    #[test]
    fn what_was_split_is_joined_to_what_it_was() {
        let mut shapes = Shapes::new(8);
        let run = shapes.follow(70, |_| 8).unwrap();
        assert_eq!((run.first, run.count), (64, 64));
        assert!(shapes.split(run, |known| [known / 2, known / 2]));
        let [one, other] = run.halves().unwrap();
        assert_eq!(
            (shapes.run_of(70), shapes.run_of(100)),
            (Some(one), Some(other))
        );
        assert!(!shapes.join(one, |_, _| None));
        assert!(shapes.split(one, |known| [known / 2, known / 2]));
        // The other half is in parts: nothing to be joined with.
        assert!(!shapes.join(other, |one, other| Some(one + other)));
        assert!(shapes.join(one.halves().unwrap()[1], |one, other| Some(one + other)));
        assert!(shapes.join(other, |one, other| Some(one + other)));
        assert_eq!((shapes.len(), shapes.get(70)), (1, Some(&8)));
    }
}
