//! Mistakes that a test build makes on request, to show that the suites see them.
//!
//! Owns: `TIERD_CANARY`, which names one. In every build without the feature `canary` nothing is
//! here, and a release build with it does not compile.

use tier_core::engine::Engine;

use super::start::Hands;

/// Makes no mistake.
#[cfg(not(feature = "canary"))]
pub(super) const fn arm(_engine: &mut Engine, _hands: &mut Hands) {}

/// Makes the mistake that the environment names, if it names one.
#[cfg(feature = "canary")]
pub(super) fn arm(engine: &mut Engine, hands: &mut Hands) {
    use tier_core::engine::Mutation;

    use crate::backend::dm::canary::Canary;

    let Ok(name) = std::env::var("TIERD_CANARY") else {
        return;
    };
    tracing::warn!(mistake = name, "this daemon makes a mistake on purpose");
    let mut in_tables = |canary| match hands {
        Hands::Dm(backend, _) => backend.set_canary(canary),
        Hands::Ublk(_) => tracing::error!("there are no tables to make that mistake in"),
    };
    match name.as_str() {
        "without-handle-errors" => in_tables(Canary {
            without_handle_errors: true,
            ..Canary::default()
        }),
        "nosync" => in_tables(Canary {
            nosync: true,
            ..Canary::default()
        }),
        "swap-before-commit" => engine.mutate(Some(Mutation::SwapBeforeCommit)),
        "commit-before-flush" => engine.mutate(Some(Mutation::CommitBeforeFlush)),
        "free-too-early" => engine.mutate(Some(Mutation::FreeTooEarly)),
        "skip-mark" => engine.mutate(Some(Mutation::SkipMark)),
        "back-without-commit" => engine.mutate(Some(Mutation::BackWithoutCommit)),
        "ignore-dead-leg" => engine.mutate(Some(Mutation::IgnoreDeadLeg)),
        _ => tracing::error!(name, "TIERD_CANARY names no mistake"),
    }
}
