//! Owns: what a flush of a volume costs on this kernel, and how many extents suit that.
//!
//! Until Linux 6.10, device-mapper sends a flush to every target of a table; from 6.11 on, one to
//! each device where all targets are `linear` (`flush_bypasses_map`). Both are pinned by suites
//! (`kernel_facts`, `emulated`); what it costs is measured by `tests/bench fsync-uml`.

use std::path::Path;

/// The first kernel, major and minor, that flushes each device once.
const FLUSHES_ONCE: (u32, u32) = (6, 11);

/// Extents at which a flush to each costs about a millisecond.
const EXTENTS_MAX_EACH: u32 = 2_000;

/// Extents at which a table takes one or two tenths of a second to load.
pub(crate) const EXTENTS_MAX_ONCE: u32 = 20_000;

/// How many extents promotions may cut a volume into on the kernel that runs.
#[must_use]
pub fn extents_max() -> u32 {
    let release = std::fs::read_to_string(Path::new("/proc/sys/kernel/osrelease"));
    extents_max_of(&release.unwrap_or_default())
}

/// A release that cannot be read is taken for an old one.
fn extents_max_of(release: &str) -> u32 {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next()?.parse::<u32>().ok();
    match (number(), number()) {
        (Some(major), Some(minor)) if (major, minor) >= FLUSHES_ONCE => EXTENTS_MAX_ONCE,
        _ => EXTENTS_MAX_EACH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_flushes_each_target_gets_few_extents() {
        for old in ["6.1.176", "6.10.9-amd64", "5.15", "", "unknown", "6"] {
            assert_eq!(extents_max_of(old), EXTENTS_MAX_EACH, "{old}");
        }
        for new in ["6.11.0", "6.12.117+deb12-amd64\n", "7.0-rc1", "10.2"] {
            assert_eq!(extents_max_of(new), EXTENTS_MAX_ONCE, "{new}");
        }
    }
}
