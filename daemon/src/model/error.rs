//! Why something about models cannot be done.

use std::path::PathBuf;

use tier_network::NetworkError;

use super::registry::RegistryError;
use crate::beneath::BeneathError;
use crate::state::StateError;

/// Examples without which training makes no sense; `tierd-learn` refuses fewer.
pub(super) const EXAMPLES_MIN: u64 = 500;

/// Why something about models cannot be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModelError {
    /// The models that are kept.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A file beside them.
    #[error(transparent)]
    State(#[from] StateError),
    /// The model cannot be run.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The network is switched off.
    #[error("the network is off: forecast.network is false in tierd's configuration")]
    Off,
    /// A training runs.
    #[error("a training is under way already")]
    Training,
    /// There is too little to learn from.
    #[error("{have} examples are kept, and training takes {EXAMPLES_MIN}; ask again later")]
    TooFew {
        /// How many there are.
        have: u64,
    },
    /// The program could not be started.
    #[error("{program} cannot be started: {why}")]
    Program {
        /// Which.
        program: PathBuf,
        /// Why.
        why: String,
    },
    /// A file lies on a volume, or nobody can tell.
    #[error("{0}; name another ({1})")]
    Place(BeneathError, &'static str),
    /// The thread does not answer.
    #[error("the thread of the network has not answered; it may wait for a file in forecast.state")]
    Late,
    /// The thread has ended.
    #[error("the thread of the network has died; restart tierd")]
    Died,
}
