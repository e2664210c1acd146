//! How long things are measured.
//!
//! Owns: the number and length of rounds, full or only to try whether everything runs.

/// How long things are measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Rounds in which every variant has one turn.
    pub(crate) rounds: u32,
    /// Length of one turn of fio, in seconds.
    pub(crate) seconds: u32,
}

impl Effort {
    /// As `TIER_BENCH_QUICK` asks for; with so many rounds if it does not.
    pub(crate) fn rounds(rounds: u32) -> Self {
        let quick = std::env::var_os("TIER_BENCH_QUICK").is_some_and(|set| !set.is_empty());
        Self {
            rounds: if quick { 2 } else { rounds },
            seconds: 1,
        }
    }
}
