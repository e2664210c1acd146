//! Files, read and written as a whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::error::LearnError;

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, LearnError> {
    fs::read(path).map_err(failed("read", path))
}

/// Writes a file beside its place and puts it there when it is durable: whoever reads it sees the
/// old one or the new one.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), LearnError> {
    replace(path, bytes).map_err(failed("write", path))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    let folder = parent.unwrap_or(Path::new("."));
    let mut beside = tempfile::Builder::new()
        .prefix(".tierd-learn-")
        .permissions(readable())
        .tempfile_in(folder)?;
    beside.write_all(bytes)?;
    beside.as_file().sync_all()?;
    beside.persist(path)?;
    // The name is durable when its folder is.
    File::open(folder)?.sync_all()
}

/// As any file: others may read it, unless the process says otherwise (umask).
fn readable() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> LearnError + 'a {
    move |source| LearnError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}
