//! The folder in which tierd keeps what it has learned.
//!
//! Owns: where a volume's files lie, that they do not lie on a volume of this machine's tierd, and
//! that a file is replaced as a whole. Losing what is in it loses no data. A thread that waits for
//! a file on a volume whose writes are parked keeps the process from ending, and `tierd settle`,
//! which would free them, from beginning: so nothing is kept there.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::beneath::{BeneathError, elsewhere};

/// Why nothing can be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// A file or folder.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The folder lies on a volume, or nobody can tell.
    #[error("{0}; name a folder elsewhere (forecast.state)")]
    Place(#[from] BeneathError),
}

impl StateError {
    pub(crate) fn of(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// Makes a folder for nobody else's eyes, unless it is there or would lie on a volume.
pub(crate) fn make_folder(path: &Path) -> Result<(), StateError> {
    elsewhere(path)?;
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(StateError::of(path))
}

/// Removes a folder with all that is in it, if it is there and does not lie on a volume.
pub(crate) fn remove_folder(path: &Path) -> Result<(), StateError> {
    elsewhere(path)?;
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StateError::of(path)(error)),
        _ => Ok(()),
    }
}

/// Replaces a file as a whole, durably. What was mounted since the folder was made is seen too.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    elsewhere(path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut file = NamedTempFile::new_in(folder).map_err(StateError::of(folder))?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(StateError::of(path))?;
    file.persist(path)
        .map_err(|error| StateError::of(path)(error.error))?;
    let opened = File::open(folder).map_err(StateError::of(folder))?;
    opened.sync_all().map_err(StateError::of(folder))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_folder_elsewhere_is_made_and_a_file_in_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        make_folder(&deep).unwrap();
        make_folder(&deep).unwrap();
        assert_eq!(fs::metadata(&deep).unwrap().mode() & 0o777, 0o700);
        let path = deep.join("file");
        for bytes in [&b"one"[..], b"other"] {
            replace(&path, bytes).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
        assert_eq!(fs::read_dir(&deep).unwrap().count(), 1);
        remove_folder(&deep).unwrap();
        remove_folder(&deep).unwrap();
        assert_eq!(fs::read_dir(deep.parent().unwrap()).unwrap().count(), 0);
    }
}
