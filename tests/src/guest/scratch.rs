//! The folder that host and guest share, and that outlives a guest's boots.
//!
//! Owns: where it lies and when it goes. It lies below cargo's target folder, so that a guest's
//! own `/tmp` does not hide it and a forgotten one goes with `cargo clean`.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A test's scratch folder. Removed when dropped, unless `TIER_GUEST_KEEP` is set.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// Makes an empty scratch folder for a test.
    ///
    /// # Panics
    /// When it cannot be made.
    pub(super) fn create(test: &str) -> Self {
        Self::create_in(&guests_folder(), test, 24)
    }

    /// The same in this folder, its name beginning with so much of the test's.
    ///
    /// # Panics
    /// When it cannot be made.
    pub(super) fn create_in(folder: &Path, test: &str, letters: usize) -> Self {
        let mut prefix = test.replace("::", ".");
        // The name is part of socket paths below the folder, and those end at 107 bytes.
        prefix.truncate(letters);
        let mut folder = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir_in(folder)
            .expect("scratch folder below the target folder");
        folder.disable_cleanup(std::env::var_os("TIER_GUEST_KEEP").is_some());
        Self { folder }
    }

    /// Where it lies, the same path on the host and inside.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// What cargo writes into its target folder: the first only if it made the folder itself, and
/// `tests/setup` may have been there before.
const MARKS: [&str; 2] = ["CACHEDIR.TAG", ".rustc_info.json"];

/// The folder below cargo's target folder that holds whatever guests leave on the host.
pub(super) fn guests_folder() -> PathBuf {
    let executable = std::env::current_exe().expect("own executable");
    let target = executable
        .ancestors()
        .find(|folder| MARKS.iter().any(|mark| folder.join(mark).exists()))
        .map_or_else(std::env::temp_dir, Path::to_path_buf);
    let folder = target.join("guests");
    std::fs::create_dir_all(&folder).expect("folder for guests below the target folder");
    folder
}
