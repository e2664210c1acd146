//! What udev is told about a device: whether it is a member, and of which volume.
//!
//! Owns: [`announce`], which makes udev look again, and [`member_properties`], which
//! `59-tierd.rules` calls for each block device through `tierd member-properties`. The latter reads
//! the label, never writes, and needs no daemon. A device with a torn or newer label is a member
//! too: what lies behind the label is not for others.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use tier_store::device::DeviceDisk;
use tier_store::label::{self, LabelCopies, LabelCopy};
use tier_sys::block::{Access, BlockError, DeviceNumber};

/// Says that the device is a member.
const MEMBER: &str = "TIERD_MEMBER";
/// Id of the member's volume, where the label can be read.
const VOLUME_UUID: &str = "TIERD_VOLUME_UUID";
/// Name of the same.
const VOLUME_NAME: &str = "TIERD_VOLUME_NAME";
/// The member's position in it.
const MEMBER_INDEX: &str = "TIERD_MEMBER_INDEX";

/// Has udev look at a device again (a `change` event, `Documentation/ABI/stable/sysfs-uevent`):
/// labels are written through the device that claims a member, and udev watches the member itself
/// only. Without it, udev goes on showing what the device carried before.
///
/// A failure is logged: without udev there is nobody to be told.
pub fn announce(device: &Path) {
    let told = std::fs::metadata(device).and_then(|metadata| {
        let DeviceNumber { major, minor } = DeviceNumber::from_raw(metadata.rdev());
        std::fs::write(format!("/sys/dev/block/{major}:{minor}/uevent"), "change")
    });
    if let Err(error) = told {
        tracing::warn!(device = %device.display(), %error, "udev cannot be told of a change");
    }
}

/// The properties of a member, as `KEY=value` lines; `None` for a device without any trace of a
/// label, and for one whose places for labels cannot be read.
pub fn member_properties(device: &Path) -> Result<Option<String>, BlockError> {
    let disk = DeviceDisk::open(device, Access::ReadOnly)?;
    let name = device.display().to_string();
    Ok(describe(&label::read(&disk), &name))
}

fn describe(copies: &LabelCopies, device: &str) -> Option<String> {
    let trace = |copy: &LabelCopy| {
        matches!(
            copy,
            LabelCopy::Valid(_) | LabelCopy::Torn(_) | LabelCopy::NewerFormat(_)
        )
    };
    if !copies.copies.iter().any(trace) {
        return None;
    }
    let mut lines = format!("{MEMBER}=1\n");
    if let Ok(label) = copies.newest(device) {
        // Writing to a String cannot fail. The alphabet of a volume's name needs no quoting.
        let _ = writeln!(lines, "{VOLUME_UUID}={}", label.volume);
        let _ = writeln!(lines, "{VOLUME_NAME}={}", label.name);
        let _ = writeln!(lines, "{MEMBER_INDEX}={}", label.index);
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use tier_core::units::{Bytes, Generation, MemberIndex, RegionSize};
    use tier_core::volume::Class;
    use tier_store::label::{COPY_OFFSETS, Label, LabelState};
    use tier_store::storage::Storage;
    use tier_store::words::{Epoch, EpochId, MemberId, VolumeId, VolumeName};

    use super::*;

    const DEVICE_BYTES: u64 = 4 << 20;

    fn label() -> Label {
        Label {
            sequence: 3,
            state: LabelState::Whole,
            volume: VolumeId::random(),
            name: VolumeName::try_from("data".to_owned()).unwrap(),
            member_count: 2,
            member: MemberId::random(),
            index: MemberIndex(1),
            class: Class::Hdd,
            device_bytes: Bytes(DEVICE_BYTES),
            block_bytes: 512,
            region_size: RegionSize::MIN,
            data_start: Bytes(1 << 20),
            data_regions: 3,
            area: None,
            volume_block_bytes: 512,
            volume_regions: 3,
            backend: tier_store::words::BackendKind::Dm,
            epoch: Epoch {
                number: 1,
                id: EpochId::random(),
            },
            parent: None,
            acted_on: Generation(0),
        }
    }

    fn device() -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(DEVICE_BYTES).unwrap();
        file
    }

    fn put(file: &tempfile::NamedTempFile, bytes: &[u8], offset: u64) {
        let disk = DeviceDisk::open(file.path(), Access::ReadWrite).unwrap();
        let mut block = bytes.to_vec();
        block.resize(label::COPY_BYTES, 0);
        disk.write_at(&block, offset).unwrap();
    }

    #[test]
    fn a_member_is_told_with_its_volume_by_either_copy() {
        for offset in COPY_OFFSETS {
            let (file, label) = (device(), label());
            put(&file, &label::encode(&label), offset);
            let expected = format!(
                "TIERD_MEMBER=1\nTIERD_VOLUME_UUID={}\nTIERD_VOLUME_NAME=data\n\
                 TIERD_MEMBER_INDEX=1\n",
                label.volume
            );
            assert_eq!(member_properties(file.path()).unwrap(), Some(expected));
        }
    }

    #[test]
    fn a_torn_label_still_keeps_others_away() {
        let file = device();
        let mut bytes = label::encode(&label());
        bytes[64] ^= 1;
        put(&file, &bytes, COPY_OFFSETS[0]);
        let told = member_properties(file.path()).unwrap();
        assert_eq!(told.as_deref(), Some("TIERD_MEMBER=1\n"));
    }

    #[test]
    fn other_devices_are_no_members() {
        assert_eq!(member_properties(device().path()).unwrap(), None);
        let short = tempfile::NamedTempFile::new().unwrap();
        short.as_file().set_len(4096).unwrap();
        assert_eq!(member_properties(short.path()).unwrap(), None);
        assert!(member_properties(Path::new("/nowhere")).is_err());
    }
}
