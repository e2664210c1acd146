//! Places at which a test build of the daemon can be made to die or to stand still.
//!
//! Owns: [`reach`], which is empty in every build without the feature `stop-points`. The crash suites
//! kill the daemon or cut the power at every step of a move; waiting for the right microsecond from
//! outside would hit the steps by luck only.
//!
//! `TIERD_STOP_AT=NAME#N` stops at the N-th time (from 1) that the point NAME is reached. With
//! `TIERD_STOP_HOW=kill` (the default) the process kills itself as `kill -9` would; with `hang` the
//! thread stands still for ever, so that the harness can cut the power there. Either way the file
//! named by `TIERD_STOP_FILE`, if any, is written first.

#[cfg(all(feature = "stop-points", not(debug_assertions)))]
compile_error!(
    "the feature `stop-points` makes the daemon kill itself on request; it is refused in release builds"
);

/// Reaches the point of this name.
#[cfg(not(feature = "stop-points"))]
#[inline]
pub const fn reach(_name: &str) {}

/// Reaches the point of this name.
#[cfg(feature = "stop-points")]
pub fn reach(name: &str) {
    testing::reach(name);
}

#[cfg(feature = "stop-points")]
mod testing {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Plan {
        name: String,
        at: u32,
        hang: bool,
        file: Option<String>,
    }

    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    static SEEN: AtomicU32 = AtomicU32::new(0);

    fn plan() -> Option<&'static Plan> {
        PLAN.get_or_init(|| {
            let text = std::env::var("TIERD_STOP_AT").ok()?;
            let (name, at) = text.split_once('#').unwrap_or((&text, "1"));
            Some(Plan {
                name: name.to_owned(),
                at: at.parse().unwrap_or(1),
                hang: std::env::var("TIERD_STOP_HOW").is_ok_and(|how| how == "hang"),
                file: std::env::var("TIERD_STOP_FILE").ok(),
            })
        })
        .as_ref()
    }

    pub(super) fn reach(name: &str) {
        let Some(plan) = plan() else { return };
        if plan.name != name || SEEN.fetch_add(1, Ordering::SeqCst) + 1 != plan.at {
            return;
        }
        if let Some(file) = &plan.file {
            // A harness that waits for a file that could not be written fails by its own deadline.
            let _ = std::fs::write(file, name);
        }
        if plan.hang {
            loop {
                std::thread::park();
            }
        }
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    }
}
