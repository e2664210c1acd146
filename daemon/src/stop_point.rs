//! Places at which a test build of the daemon can be made to die or to stand still.
//!
//! Owns: [`reach`], which is empty in every build without the feature `stop-points`. The crash suites
//! kill the daemon or cut the power at every step of a move; waiting for the right microsecond from
//! outside would hit the steps by luck only.
//!
//! `TIERD_STOP_AT=NAME#N` stops at the N-th time (from 1) that the point NAME is reached. NAME may
//! be the group of a point, which is what stands before its colon: `dm#N` stops before the N-th
//! call of all that change something in device-mapper, so that counting N up until nothing stops
//! any more meets every moment between two calls. The groups `dm` and `store` are complete in
//! that sense. With `TIERD_STOP_HOW=kill` (the default) the process kills itself as `kill -9`
//! would; with `hang` the thread stands still for ever, so that the harness can cut the power
//! there; with `wait` it stands still until the file is removed. Either way the file named by
//! `TIERD_STOP_FILE`, if any, is written first, with the name of the point. With `TIERD_STOP_FROM`
//! points are counted from the moment on at which the file of that name exists.

use tier_store::steps::Steps;

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

/// What tells a store of this process to reach a point (`store:...`) at each of its steps.
#[cfg(not(feature = "stop-points"))]
#[must_use]
pub const fn store_steps() -> Steps {
    Steps::none()
}

/// What tells a store of this process to reach a point (`store:...`) at each of its steps.
#[cfg(feature = "stop-points")]
#[must_use]
pub fn store_steps() -> Steps {
    use tier_store::steps::Step;
    Steps::observed(|step| {
        reach(match step {
            Step::BeforeReplica { .. } => "store:before_replica",
            Step::AfterReplica { .. } => "store:after_replica",
            Step::LabelCopy { .. } => "store:label_copy",
            Step::AfterLabel { .. } => "store:after_label",
        });
    })
}

#[cfg(feature = "stop-points")]
mod testing {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    /// Between two looks whether a thread may go on.
    const WAIT_LOOK: Duration = Duration::from_millis(2);

    struct Plan {
        name: String,
        at: u32,
        hang: bool,
        wait: bool,
        file: Option<String>,
        from: Option<String>,
    }

    impl Plan {
        fn meets(&self, point: &str) -> bool {
            let group = point.split_once(':').map_or(point, |(group, _)| group);
            self.name == point || self.name == group
        }

        fn counts(&self) -> bool {
            let exists = |file: &String| std::path::Path::new(file).exists();
            self.from.as_ref().is_none_or(exists)
        }
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
                wait: std::env::var("TIERD_STOP_HOW").is_ok_and(|how| how == "wait"),
                file: std::env::var("TIERD_STOP_FILE").ok(),
                from: std::env::var("TIERD_STOP_FROM").ok(),
            })
        })
        .as_ref()
    }

    pub(super) fn reach(name: &str) {
        let Some(plan) = plan() else { return };
        if !plan.meets(name) || !plan.counts() || SEEN.fetch_add(1, Ordering::SeqCst) + 1 != plan.at
        {
            return;
        }
        if let Some(file) = &plan.file {
            // A harness that waits for a file that could not be written fails by its own deadline.
            let _ = std::fs::write(file, name);
        }
        if plan.wait
            && let Some(file) = &plan.file
        {
            while std::path::Path::new(file).exists() {
                std::thread::sleep(WAIT_LOOK);
            }
            return;
        }
        if plan.hang {
            loop {
                std::thread::park();
            }
        }
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    }
}
