//! In which blocks two versions of an extent may differ, where that is known.
//!
//! Owns: [`Changed`], a set of blocks that may be too large and never too small, and
//! [`Differences`], which says between which versions it holds. The laws:
//!
//!  - **Unknown means all.** A set that is not there, does not fit or cannot be read is all blocks.
//!  - **Union.** Legs at `a` and `b` differ within `X`, legs at `b` and `c` within `Y`: then those
//!    at `a` and `c` differ within the union of `X` and `Y`. It holds in both directions, so that
//!    two sides of a split that have each kept theirs know together what a copy needs.
//!  - **In before acknowledged.** A block is in the set before a write to it is acknowledged.
//!  - **It begins with what is unflushed.** A leg that leaves may lose what it had in its cache,
//!    and may have got some of what was on its way. The set for it begins with every block that
//!    was written and not flushed on all legs since. After an unclean stop that is all.
//!  - **Legs left behind together need not be alike.** Each lost what it lost. What is known is how
//!    any of them differs from those that went on; so a person who keeps one of them begins anew.
//!  - **It stays true elsewhere.** It may be kept in a record of another side. That a turn is taken
//!    in each epoch in which a leg is missing makes it so: no version is written on that such a
//!    record names.
//!  - **A crash loses it.** It lives in memory. A clean stop may keep it with the record; the start
//!    that believes it takes it out of the record before the first write.
//!  - **Forgotten** when every leg of the extent is equal again, durably, and not while one is
//!    away: the way from one version to another may lead over a third that no leg has any more.
//!  - **Of whole legs only.** A torn leg may differ anywhere.
//!
//! A set takes [`CHUNKS_MAX`] bits at most and is made once: nothing is allocated by a write.

use serde::{Deserialize, Serialize};

use super::Version;

/// Most chunks into which an extent's blocks are counted: 512 bytes of bits.
pub const CHUNKS_MAX: u64 = 4096;

/// Most pairs of versions of which the differences are kept.
pub const DIFFERENCES_MAX: usize = 8;

/// A set of an extent's blocks. May say more than was added, never less.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub struct Changed {
    /// Number of the extent's blocks.
    blocks: u64,
    /// One bit a chunk, from the lowest; `None`: all blocks.
    bits: Option<Vec<u64>>,
}

/// What is kept of a set.
#[derive(Serialize, Deserialize)]
struct Form {
    blocks: u64,
    bits: Option<Vec<u64>>,
}

impl Changed {
    /// No block of an extent of `blocks` blocks.
    #[must_use]
    pub fn none(blocks: u64) -> Self {
        let words = words(blocks);
        Self {
            blocks,
            bits: Some(vec![0; words]),
        }
    }

    /// Every block, which is also what is not known.
    #[must_use]
    pub const fn all(blocks: u64) -> Self {
        Self { blocks, bits: None }
    }

    /// Whether it is every block.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.bits.is_none()
    }

    /// Whether it is no block.
    #[must_use]
    pub fn is_none(&self) -> bool {
        let bits = self.bits.as_ref();
        bits.is_some_and(|bits| bits.iter().all(|&word| word == 0))
    }

    /// Adds `count` blocks from `first` on. Blocks that the extent does not have make it all.
    pub fn add(&mut self, first: u64, count: u64) {
        let shift = self.shift();
        let Some(bits) = &mut self.bits else {
            return;
        };
        let Some(last) = count.checked_sub(1) else {
            return;
        };
        match first.checked_add(last) {
            Some(last) if last < self.blocks => {
                for chunk in first >> shift..=last >> shift {
                    if let Some((word, bit)) = place(chunk)
                        && let Some(word) = bits.get_mut(word)
                    {
                        *word |= bit;
                    }
                }
            }
            _ => self.bits = None,
        }
    }

    /// Adds every block of `other`. A set for another number of blocks makes it all.
    pub fn add_all_of(&mut self, other: &Self) {
        match (&mut self.bits, &other.bits) {
            (Some(own), Some(theirs)) if self.blocks == other.blocks => {
                for (own, theirs) in own.iter_mut().zip(theirs) {
                    *own |= theirs;
                }
            }
            _ => self.bits = None,
        }
    }

    /// Whether `block` is in it.
    #[must_use]
    pub fn has(&self, block: u64) -> bool {
        block < self.blocks && self.has_chunk(block >> self.shift())
    }

    /// Its blocks in order, as (first, count), without two that touch.
    pub fn runs(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let shift = self.shift();
        let chunks = self.blocks.div_ceil(1 << shift);
        let mut at = 0;
        std::iter::from_fn(move || {
            let first = (at..chunks).find(|&chunk| self.has_chunk(chunk))?;
            let end = (first..chunks).find(|&chunk| !self.has_chunk(chunk));
            let end = end.unwrap_or(chunks);
            at = end;
            let first = first << shift;
            Some((first, (end << shift).min(self.blocks) - first))
        })
    }

    /// Blocks of a chunk, as a power of two: the least with which the bits suffice.
    const fn shift(&self) -> u32 {
        shift(self.blocks)
    }

    fn has_chunk(&self, chunk: u64) -> bool {
        self.bits.as_ref().is_none_or(|bits| {
            place(chunk)
                .and_then(|(word, bit)| bits.get(word).map(|word| word & bit != 0))
                .unwrap_or(true)
        })
    }
}

impl From<Form> for Changed {
    fn from(form: Form) -> Self {
        let blocks = form.blocks;
        // Bits that do not fit would leave blocks out.
        let bits = form.bits.filter(|bits| bits.len() == words(blocks));
        Self { blocks, bits }
    }
}

impl From<Changed> for Form {
    fn from(changed: Changed) -> Self {
        let Changed { blocks, bits } = changed;
        Self { blocks, bits }
    }
}

/// In which blocks whole legs at two versions may differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Difference {
    one: Version,
    other: Version,
    changed: Changed,
}

/// What is known of an extent's blocks between the versions of its legs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differences {
    blocks: u64,
    /// The oldest first.
    known: Vec<Difference>,
}

impl Differences {
    /// Nothing known, of an extent of `blocks` blocks.
    #[must_use]
    pub const fn unknown(blocks: u64) -> Self {
        Self {
            blocks,
            known: Vec::new(),
        }
    }

    /// Every block.
    #[must_use]
    pub const fn all(&self) -> Changed {
        Changed::all(self.blocks)
    }

    /// Some legs went on from `before` to `after` by a turn. `unflushed` are the blocks in which
    /// they may differ from those that stay behind, as the laws have it.
    pub fn go_on(&mut self, before: &Version, after: &Version, unflushed: &Changed) {
        if before == after {
            return;
        }
        for one in &mut self.known {
            for end in [&mut one.one, &mut one.other] {
                if *end == *before {
                    end.clone_from(after);
                }
            }
        }
        if self.known.len() == DIFFERENCES_MAX {
            self.known.remove(0);
        }
        self.known.push(Difference {
            one: before.clone(),
            other: after.clone(),
            changed: unflushed.clone(),
        });
    }

    /// A person has kept one leg, which thereby goes on from `before` to `after`. Any leg that is
    /// left at `before` may differ from it anywhere: those that were left together need not be alike.
    pub fn kept(&mut self, before: &Version, after: &Version) {
        self.go_on(before, after, &Changed::all(self.blocks));
    }

    /// `count` blocks from `first` on are about to be written to the legs at `current`.
    pub fn write(&mut self, current: &Version, first: u64, count: u64) {
        for one in &mut self.known {
            if one.one == *current || one.other == *current {
                one.changed.add(first, count);
            }
        }
    }

    /// Adds what another side of a split knows.
    pub fn add_all_of(&mut self, other: &Self) {
        for one in &other.known {
            if !self.known.contains(one) && self.known.len() < DIFFERENCES_MAX {
                self.known.push(one.clone());
            }
        }
    }

    /// Every leg is equal, durably.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    /// The blocks in which whole legs at `one` and `other` may differ.
    #[must_use]
    pub fn between(&self, one: &Version, other: &Version) -> Changed {
        let mut reached = vec![(one, Changed::none(self.blocks))];
        let mut at = 0;
        // From version to version, each once, so that this ends.
        while let Some((here, sum)) = reached.get(at).cloned() {
            if here == other {
                return sum;
            }
            for step in &self.known {
                let there = if step.one == *here {
                    &step.other
                } else if step.other == *here {
                    &step.one
                } else {
                    continue;
                };
                if reached.iter().all(|(version, _)| *version != there) {
                    let mut sum = sum.clone();
                    sum.add_all_of(&step.changed);
                    reached.push((there, sum));
                }
            }
            at += 1;
        }
        Changed::all(self.blocks)
    }
}

/// Blocks of a chunk, as a power of two.
const fn shift(blocks: u64) -> u32 {
    let mut shift = 0;
    while blocks.div_ceil(1 << shift) > CHUNKS_MAX {
        shift += 1;
    }
    shift
}

/// Words that the bits of so many blocks take.
fn words(blocks: u64) -> usize {
    let chunks = blocks.div_ceil(1 << shift(blocks));
    usize::try_from(chunks.div_ceil(64)).unwrap_or(0)
}

/// The word that has the bit of a chunk, and the bit.
fn place(chunk: u64) -> Option<(usize, u64)> {
    let word = usize::try_from(chunk / 64).ok()?;
    Some((word, 1 << (chunk % 64)))
}
