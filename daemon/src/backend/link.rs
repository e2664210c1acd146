//! Owns: `/dev/tierd/NAME`, where nobody else makes it.
//!
//! With udev running, its rule makes and removes the link; without (an early boot, a rescue shell,
//! a small guest) this does.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tier_sys::block::DeviceNumber;

use crate::backend::{BackendError, VolumeName};

/// Where the links are.
pub(crate) const DIRECTORY: &str = "/dev/tierd";

/// The socket that udev listens on while it runs; libdevmapper looks for the same one.
const UDEV_CONTROL: &str = "/run/udev/control";

/// How long udev is given to make a link.
const UDEV_PATIENCE: Duration = Duration::from_secs(3);

/// How often it is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) fn path(name: &VolumeName) -> PathBuf {
    Path::new(DIRECTORY).join(name.as_str())
}

/// Sees that the link leads to this device: waits for udev's rule where udev runs, and makes the
/// link where it does not, or has no such rule.
pub(crate) fn ensure(name: &VolumeName, device: DeviceNumber) -> Result<PathBuf, BackendError> {
    let link = path(name);
    let wanted = PathBuf::from(format!("../dm-{}", device.minor));
    let start = Instant::now();
    while udev_runs() && start.elapsed() < UDEV_PATIENCE {
        if leads_to(&link, &wanted) {
            return Ok(link);
        }
        std::thread::sleep(LOOK);
    }
    if !leads_to(&link, &wanted) {
        make(&link, &wanted).map_err(|source| BackendError::Kernel {
            what: "make the link",
            device: link.display().to_string(),
            source,
        })?;
    }
    Ok(link)
}

/// Leads the link to this node. Where udev runs, its rule does the same.
pub(crate) fn lead(name: &VolumeName, node: &Path) -> io::Result<PathBuf> {
    let link = path(name);
    make(&link, node)?;
    Ok(link)
}

/// Removes a link that was made by [`lead`], if udev has not.
pub(crate) fn take_away(name: &VolumeName) -> io::Result<()> {
    match fs::remove_file(path(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes the link, where udev does not.
pub(crate) fn remove(name: &VolumeName) -> Result<(), BackendError> {
    if udev_runs() {
        return Ok(());
    }
    let link = path(name);
    match fs::remove_file(&link) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|source| BackendError::Kernel {
            what: "remove the link",
            device: link.display().to_string(),
            source,
        }),
    }
}

fn udev_runs() -> bool {
    Path::new(UDEV_CONTROL).exists()
}

fn leads_to(link: &Path, wanted: &Path) -> bool {
    fs::read_link(link).is_ok_and(|found| found == wanted)
}

/// Replaces the link in one step, so that nobody finds it missing.
fn make(link: &Path, wanted: &Path) -> io::Result<()> {
    fs::create_dir_all(DIRECTORY)?;
    let mut new = link.as_os_str().to_owned();
    new.push(".new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::os::unix::fs::symlink(wanted, &new)?;
    fs::rename(&new, link)
}
