//! Which device of ublk is a volume's, for whoever comes next.
//!
//! Owns: [`Note`], a file beside the control socket, which goes with the boot like the device itself.

use std::io;
use std::path::{Path, PathBuf};

use tier_ublk::device::Begin;

use super::protocol::beside;
use crate::config::Config;
use crate::volume::assemble::AssembleError;

/// How the name of a note ends.
const NOTE: &str = ".note";

/// The volume that the notes in this folder have for a node of ublk, such as `/dev/ublkb0`. Asks no
/// device: one whose process is gone does not answer.
pub(crate) fn volume_of(folder: &Path, node: &Path) -> Option<String> {
    let id = node.file_name()?.to_str()?.strip_prefix("ublkb")?;
    let notes = std::fs::read_dir(folder).ok()?;
    notes.flatten().find_map(|note| {
        let name = note.file_name();
        let volume = name.to_str()?.strip_prefix("ublk-")?.strip_suffix(NOTE)?;
        let says = std::fs::read_to_string(note.path()).ok()?;
        (says.split_whitespace().next() == Some(id)).then(|| volume.to_owned())
    })
}

/// Whether a process serves a volume on ublk, or has left requests there that still wait.
pub(crate) fn is_on_ublk(config: &Config, volume: &str) -> bool {
    !matches!(Note::of(config, volume).begin(), Ok(Begin::New))
}

/// Sees that no process serves a volume on ublk, nor has left requests there that still wait: they
/// would be made in the midst of what others write meanwhile.
pub(crate) fn check_not_on_ublk(config: &Config, volume: &str) -> Result<(), AssembleError> {
    match Note::of(config, volume).begin() {
        Ok(Begin::Again(id)) => Err(AssembleError::OnUblk {
            volume: volume.to_owned(),
            id,
        }),
        Ok(Begin::New) => Ok(()),
        Err(source) => Err(AssembleError::PerhapsOnUblk {
            volume: volume.to_owned(),
            source,
        }),
    }
}

/// The number of the device that serves a volume and, once that is there, which of all disks since the
/// boot it is: numbers are used again, also by others.
pub(super) struct Note(PathBuf);

impl Note {
    pub(super) fn of(config: &Config, volume: &str) -> Self {
        Self(beside(config, volume, NOTE))
    }

    /// How the device begins: again, if there is one that an earlier process served.
    pub(super) fn begin(&self) -> io::Result<Begin> {
        let text = match std::fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Begin::New),
            Err(error) => return Err(self.named(&error)),
        };
        let mut words = text.split_whitespace();
        let id = words.next().unwrap_or_default().parse();
        let id: u32 = id.map_err(|error| self.named(&io::Error::other(error)))?;
        let is_there = Path::new(&format!("/dev/ublkc{id}")).exists();
        // A device that was not seen to begin has no sequence number in its note.
        let is_it = words.next().is_none_or(|noted| {
            let now = sequence(Path::new(&format!("/sys/block/ublkb{id}")));
            now.as_deref() == Some(noted)
        });
        Ok(if is_there && is_it {
            Begin::Again(id)
        } else {
            Begin::New
        })
    }

    /// Notes which disk it is, too.
    pub(super) fn complete(&self, id: u32) -> io::Result<()> {
        let disk = PathBuf::from(format!("/sys/block/ublkb{id}"));
        let sequence = sequence(&disk).ok_or_else(|| {
            io::Error::other(format!("{} has no sequence number", disk.display()))
        })?;
        self.replace(&format!("{id} {sequence}\n"))
    }

    /// In one step: a death on the way leaves the note before, or this one.
    pub(super) fn write(&self, id: u32) -> io::Result<()> {
        self.replace(&format!("{id}\n"))
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let new = self.0.with_file_name(format!(
            "new-{}",
            self.0.file_name().unwrap_or_default().display()
        ));
        std::fs::write(&new, text)
            .and_then(|()| std::fs::rename(&new, &self.0))
            .map_err(|error| self.named(&error))
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        std::fs::remove_file(&self.0).map_err(|error| self.named(&error))
    }

    fn named(&self, error: &io::Error) -> io::Error {
        let text = format!("{}: {error}", self.0.display());
        io::Error::new(error.kind(), text)
    }
}

/// Grows with each disk since the boot (`Documentation/ABI/stable/sysfs-block`, `diskseq`).
fn sequence(disk: &Path) -> Option<String> {
    let said = std::fs::read_to_string(disk.join("diskseq")).ok()?;
    Some(said.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_of_which_it_is_not_known_whether_it_is_on_ublk_is_not_started() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.daemon.socket = folder.path().join("tierd.sock");
        check_not_on_ublk(&config, "v").unwrap();
        let note = Note::of(&config, "v");
        // A number that no device has: what was there is gone.
        note.write(4_000_000_000).unwrap();
        check_not_on_ublk(&config, "v").unwrap();
        let of = |node: &str| volume_of(folder.path(), Path::new(node));
        assert_eq!(of("/dev/ublkb4000000000").as_deref(), Some("v"));
        for other in ["/dev/ublkb4", "/dev/ublkb4000000000p1", "/dev/sda", "/"] {
            assert_eq!(of(other), None, "{other}");
        }
        std::fs::write(&note.0, "").unwrap();
        let error = check_not_on_ublk(&config, "v").unwrap_err();
        assert!(
            matches!(error, AssembleError::PerhapsOnUblk { .. }),
            "{error}"
        );
    }
}
