//! Owns: gathering a device's facts.

use std::path::Path;

use tier_core::units::Bytes;
use tier_sys::block::{Access, BlockDevice};

use super::sysfs::{SysBlock, guess_class};
use super::{Facts, MemberError, signature, users};

/// Looks at the device. Opens it for reading only, and for a moment as its only holder, to see
/// whether the kernel would allow that.
pub fn probe(path: &Path) -> Result<Facts, MemberError> {
    let device = BlockDevice::open(path, Access::ReadOnly)?;
    let number = device.number().ok_or_else(|| MemberError::NotBlockDevice {
        path: path.to_owned(),
    })?;
    let own = SysBlock::of(number)?;
    let disk = own.disk();
    let rotational = disk.queue("rotational")? != 0;
    Ok(Facts {
        path: path.to_owned(),
        number,
        name: own.name(),
        disk: disk.number()?,
        size: Bytes(device.size_bytes()),
        logical_block: Bytes(device.logical_block_bytes().into()),
        physical_block: Bytes(device.physical_block_bytes().into()),
        read_only: device.is_read_only(),
        rotational,
        discard: disk.queue("discard_max_bytes")? != 0,
        volatile_cache: disk.has_volatile_cache()?,
        fua: disk.queue("fua")? != 0,
        class: guess_class(&disk.name(), rotational),
        used_by: users::find(number, &own)?,
        busy: is_busy(path)?,
        signature: signature::look(path)?,
    })
}

/// Whether the kernel refuses a claim. Opened for reading, since nothing may be written to a
/// device that is only looked at: closing a writable one makes udev look at it again.
fn is_busy(path: &Path) -> Result<bool, MemberError> {
    match BlockDevice::open(path, Access::ReadOnlyExclusive) {
        Ok(_) => Ok(false),
        Err(error) if error.errno() == Some(libc::EBUSY) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
