//! The number of the last thing that was acknowledged, kept where no power cut reaches it.
//!
//! Owns: one file in the scratch folder, of fixed length and so never torn: it goes to the host by
//! one write of one page, and the host's power stays on. The guest's own page cache dies with it,
//! so a number counts only once it was synced.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// The log of one writer.
#[derive(Debug)]
pub(crate) struct AckLog {
    path: PathBuf,
    file: File,
}

impl AckLog {
    /// The log at this path, made if it is not there.
    pub(crate) fn open(path: &Path) -> Self {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        Self {
            path: path.to_owned(),
            file: options.open(path).expect("log in the scratch folder"),
        }
    }

    /// Records that everything up to `number` was acknowledged; durable when this returns.
    pub(crate) fn acknowledge(&self, number: u64) {
        self.file
            .write_all_at(format!("{number:020}\n").as_bytes(), 0)
            .expect("log in the scratch folder");
        self.file.sync_data().expect("log in the scratch folder");
    }

    /// The last number recorded.
    pub(crate) fn acknowledged(&self) -> u64 {
        let text = std::fs::read_to_string(&self.path).expect("log in the scratch folder");
        text.trim_end()
            .parse()
            .unwrap_or_else(|_| panic!("{} holds {text:?}, no number", self.path.display()))
    }
}
