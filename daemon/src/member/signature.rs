//! Owns: what others have written on a device, as blkid knows it.

use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};

use tier_sys::aligned::AlignedBuffer;
use tier_sys::block::{Access, BlockDevice};

use super::MemberError;

/// How far from a device's start signatures lie, with ample room (ZFS's labels end at 512 KiB).
const HEAD_BYTES: u64 = 1 << 20;
/// How far from its end they lie (RAID metadata, a second partition table, ZFS again).
const TAIL_BYTES: u64 = 1 << 20;

/// Exit status of `blkid -p` when nothing is on the device (blkid(8)).
const NOTHING_FOUND: i32 = 2;
/// Exit status when it finds signatures that contradict each other.
const AMBIVALENT: i32 = 8;

/// What is on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// A file system, a member of a RAID or of a volume group, swap, …
    Content {
        /// Its type: `ext4`, `LVM2_member`, …
        kind: String,
        /// Its label, if it has one.
        label: Option<String>,
    },
    /// A partition table.
    PartitionTable {
        /// Its type: `gpt`, `dos`, …
        kind: String,
    },
    /// More than one thing at once.
    Several,
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content {
                kind,
                label: Some(label),
            } => write!(f, "{kind} labelled {label:?}"),
            Self::Content { kind, label: None } => write!(f, "{kind}"),
            Self::PartitionTable { kind } => write!(f, "a partition table ({kind})"),
            Self::Several => write!(f, "several signatures at once"),
        }
    }
}

/// Looks at the device itself, past any cache of earlier answers (`blkid -p`).
pub fn look(path: &Path) -> Result<Option<Signature>, MemberError> {
    check_readable(path)?;
    let output = Command::new("blkid")
        .args(["-p", "-o", "export"])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| MemberError::NoBlkid { source })?;
    match output.status.code() {
        Some(0) => Ok(parse(&String::from_utf8_lossy(&output.stdout))),
        Some(NOTHING_FOUND) if output.stderr.is_empty() => Ok(None),
        Some(AMBIVALENT) => Ok(Some(Signature::Several)),
        _ => Err(MemberError::Blkid {
            path: path.to_owned(),
            status: output.status,
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }),
    }
}

/// Sees that the places can be read where signatures lie: to blkid, what cannot be read is blank,
/// and so is a device that it cannot open.
fn check_readable(path: &Path) -> Result<(), MemberError> {
    let device = BlockDevice::open(path, Access::ReadOnly)?;
    let (head, tail) = (
        HEAD_BYTES.min(device.size_bytes()),
        TAIL_BYTES.min(device.size_bytes()),
    );
    for (offset, bytes) in [(0, head), (device.size_bytes() - tail, tail)] {
        let bytes = usize::try_from(bytes).unwrap_or_default();
        let Some(mut buffer) = AlignedBuffer::zeroed(bytes) else {
            continue;
        };
        device.read_at(offset, &mut buffer[..bytes])?;
    }
    Ok(())
}

/// Reads `NAME=value` lines. A partition's entry in its disk's table (`PART_ENTRY_…`) is nothing
/// that is on the partition.
fn parse(export: &str) -> Option<Signature> {
    let value = |name: &str| {
        let mut fields = export.lines().filter_map(|line| line.split_once('='));
        fields
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value.to_owned())
    };
    if let Some(kind) = value("TYPE") {
        return Some(Signature::Content {
            kind,
            label: value("LABEL"),
        });
    }
    value("PTTYPE").map(|kind| Signature::PartitionTable { kind })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[test]
    fn content_tables_and_nothing_are_told_apart() {
        let content = |kind: &str, label: Option<&str>| {
            Some(Signature::Content {
                kind: kind.into(),
                label: label.map(Into::into),
            })
        };
        let ext4 = "DEVNAME=/dev/sda\nUUID=8d9f\nVERSION=1.0\nTYPE=ext4\nUSAGE=filesystem\n";
        assert_eq!(parse(ext4), content("ext4", None));
        assert_eq!(
            parse("LABEL=home\nTYPE=xfs\n"),
            content("xfs", Some("home"))
        );
        let table = Some(Signature::PartitionTable { kind: "gpt".into() });
        assert_eq!(parse("DEVNAME=/dev/sda\nPTUUID=1\nPTTYPE=gpt\n"), table);
        assert_eq!(
            parse("DEVNAME=/dev/sda1\nPART_ENTRY_SCHEME=gpt\nPART_ENTRY_NUMBER=1\n"),
            None
        );
    }

    #[test]
    fn a_file_system_is_seen_where_blkid_sees_it_and_a_blank_is_blank() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(8 << 20).unwrap();
        assert_eq!(look(file.path()).unwrap(), None);
        // The signature of swap: "SWAPSPACE2" at the end of the first page, with version 1
        // (include/linux/swap.h).
        file.as_file().write_all_at(b"SWAPSPACE2", 4086).unwrap();
        file.as_file()
            .write_all_at(&1_u32.to_ne_bytes(), 1024)
            .unwrap();
        file.as_file()
            .write_all_at(&1000_u32.to_ne_bytes(), 1028)
            .unwrap();
        let found = look(file.path()).unwrap();
        assert_eq!(
            found,
            Some(Signature::Content {
                kind: "swap".into(),
                label: None
            })
        );
    }

    #[test]
    fn a_device_that_cannot_be_read_is_an_error_not_a_blank() {
        let error = look(Path::new("/nonexistent/disk")).unwrap_err();
        assert!(matches!(error, MemberError::Device(_)), "{error:?}");
    }
}
