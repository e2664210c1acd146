//! Owns: the device-mapper calls that are made while a device is held.
//!
//! The `devicemapper` crate allocates in each call, logs, and waits for udev after a resume or a
//! removal; a hold may do none of these (the held device may carry swap, the log or this very
//! binary). So the few calls that a hold needs are made here, each one ioctl on a buffer that was
//! allocated beforehand. Everything else goes through the crate.
//!
//! Facts are from include/uapi/linux/dm-ioctl.h and drivers/md/dm-ioctl.c.

use std::fs::File;
use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::AsRawFd;
use std::path::Path;

/// Path of the control device.
pub const CONTROL_PATH: &str = "/dev/mapper/control";

/// Longest name of a device in bytes: `DM_NAME_LEN` less its terminating zero.
pub const NAME_BYTES_MAX: usize = 127;

/// Room for a status answer: two lines (lead-in and mirror) take about 200 bytes.
const DATA_BYTES: usize = 16 * 1024;

const DM_IOCTL: u8 = 0xfd;
const DEV_REMOVE: u8 = 4;
const DEV_SUSPEND: u8 = 6;
const TABLE_CLEAR: u8 = 10;
const TABLE_STATUS: u8 = 12;

const SUSPEND_FLAG: u32 = 1 << 1;
const BUFFER_FULL_FLAG: u32 = 1 << 8;
const SKIP_LOCKFS_FLAG: u32 = 1 << 10;
const NOFLUSH_FLAG: u32 = 1 << 11;
const DEFERRED_REMOVE_FLAG: u32 = 1 << 17;

/// By how many bits udev's flags are shifted within `event_nr` (`DM_UDEV_FLAGS_SHIFT` of
/// libdevmapper). The 16 bits below hold a semaphore's cookie; zero there means that nobody waits.
const UDEV_FLAGS_SHIFT: u32 = 16;

/// What udev is told to do about a device's event, in libdevmapper's bits (`DM_UDEV_*_FLAG`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UdevRules {
    /// The event comes from the device's owner; all rules run.
    All,
    /// As `All`, for a device whose table was swapped while its content stayed what it was. tierd's
    /// own rules (`systemd/59-tierd.rules`) then read nothing from it and keep its links: what udev
    /// read after each swap would be counted as demand.
    Swapped,
    /// The event comes from the device's owner; the node is made, and nobody looks into the device
    /// or makes links to what is on it.
    NodeOnly,
}

impl UdevRules {
    const fn bits(self) -> u16 {
        const DISABLE_SUBSYSTEM_RULES: u16 = 0x02;
        const DISABLE_DISK_RULES: u16 = 0x04;
        const DISABLE_OTHER_RULES: u16 = 0x08;
        const LOW_PRIORITY: u16 = 0x10;
        const PRIMARY_SOURCE: u16 = 0x40;
        // Free for the owner's own rules; libdevmapper calls it DM_SUBSYSTEM_UDEV_FLAG0.
        const SUBSYSTEM_0: u16 = 0x0100;
        match self {
            Self::All => PRIMARY_SOURCE,
            Self::Swapped => PRIMARY_SOURCE | SUBSYSTEM_0,
            Self::NodeOnly => {
                PRIMARY_SOURCE
                    | DISABLE_SUBSYSTEM_RULES
                    | DISABLE_DISK_RULES
                    | DISABLE_OTHER_RULES
                    | LOW_PRIORITY
            }
        }
    }
}

/// `struct dm_ioctl`, followed by the data.
#[repr(C, align(8))]
struct Message {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_nr: u32,
    padding: u32,
    dev: u64,
    name: [u8; 128],
    uuid: [u8; 129],
    reserved: [u8; 7],
    data: [u8; DATA_BYTES],
}

/// Size of `struct dm_ioctl`, which is part of each call's number.
const HEADER_BYTES: usize = offset_of!(Message, data);
const _: () = assert!(HEADER_BYTES == 312);
const _: () = assert!(size_of::<Message>() <= u32::MAX as usize);

/// The control device, with a buffer of its own.
pub struct HoldControl {
    file: File,
    message: Box<Message>,
}

impl HoldControl {
    /// Opens the control device and allocates the buffer.
    pub fn open() -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .open(Path::new(CONTROL_PATH))?;
        let message = Box::new(Message {
            version: [0; 3],
            data_size: 0,
            data_start: 0,
            target_count: 0,
            open_count: 0,
            flags: 0,
            event_nr: 0,
            padding: 0,
            dev: 0,
            name: [0; 128],
            uuid: [0; 129],
            reserved: [0; 7],
            data: [0; DATA_BYTES],
        });
        Ok(Self { file, message })
    }

    /// Holds the device back: new I/O waits, and the call returns when none is in flight. No file
    /// system is frozen (`DM_SKIP_LOCKFS_FLAG`) and writes that a target has parked go back to the
    /// queue (`DM_NOFLUSH_FLAG`) instead of failing.
    ///
    /// `EINTR` when a signal came while it waited: the device then runs on as before. That holds
    /// for a device of linear targets. A mirror is left stopped by it for good: see
    /// `tierd::backend::dm`.
    pub fn suspend(&mut self, name: &str) -> io::Result<()> {
        self.call(
            DEV_SUSPEND,
            name,
            SUSPEND_FLAG | SKIP_LOCKFS_FLAG | NOFLUSH_FLAG,
            0,
        )
    }

    /// Swaps the loaded table in, if there is one, and lets I/O through again. On a device that is
    /// not suspended and has a loaded table, the kernel suspends it first, by the same flags.
    pub fn resume(&mut self, name: &str, rules: UdevRules) -> io::Result<()> {
        let udev = u32::from(rules.bits()) << UDEV_FLAGS_SHIFT;
        self.call(DEV_SUSPEND, name, SKIP_LOCKFS_FLAG | NOFLUSH_FLAG, udev)
    }

    /// Throws the loaded table away, if there is one.
    pub fn clear(&mut self, name: &str) -> io::Result<()> {
        self.call(TABLE_CLEAR, name, 0, 0)
    }

    /// Removes the device. `EBUSY` while something has it open.
    pub fn remove(&mut self, name: &str) -> io::Result<()> {
        let udev = u32::from(UdevRules::NodeOnly.bits()) << UDEV_FLAGS_SHIFT;
        self.call(DEV_REMOVE, name, 0, udev)
    }

    /// Removes the device as soon as nothing has it open.
    pub fn remove_when_closed(&mut self, name: &str) -> io::Result<()> {
        let udev = u32::from(UdevRules::NodeOnly.bits()) << UDEV_FLAGS_SHIFT;
        self.call(DEV_REMOVE, name, DEFERRED_REMOVE_FLAG, udev)
    }

    /// The status lines of the device's live table.
    pub fn status(&mut self, name: &str) -> io::Result<StatusLines<'_>> {
        self.call(TABLE_STATUS, name, NOFLUSH_FLAG, 0)?;
        if self.message.flags & BUFFER_FULL_FLAG != 0 {
            return Err(io::Error::from_raw_os_error(libc::ENOBUFS));
        }
        let left = self.message.target_count;
        Ok(StatusLines {
            data: &self.message.data,
            at: 0,
            left,
            events: self.message.event_nr,
        })
    }

    fn call(&mut self, command: u8, name: &str, flags: u32, event_nr: u32) -> io::Result<()> {
        let bytes = name.as_bytes();
        if bytes.is_empty() || bytes.len() > NAME_BYTES_MAX || bytes.contains(&0) {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let message = &mut *self.message;
        message.version = [4, 0, 0];
        #[allow(clippy::cast_possible_truncation, reason = "asserted above to fit")]
        {
            message.data_size = size_of::<Message>() as u32;
            message.data_start = HEADER_BYTES as u32;
        }
        message.target_count = 0;
        message.open_count = 0;
        message.flags = flags;
        message.event_nr = event_nr;
        message.dev = 0;
        message.name = [0; 128];
        message.name[..bytes.len()].copy_from_slice(bytes);
        message.uuid = [0; 129];
        let request = nix::request_code_readwrite!(DM_IOCTL, command, HEADER_BYTES);
        // SAFETY: the message begins with a struct dm_ioctl that says how long all of it is; the
        // kernel reads and writes no more than that, and the borrow keeps it alive.
        let result = unsafe { libc::ioctl(self.file.as_raw_fd(), request, &raw mut *message) };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

impl std::fmt::Debug for HoldControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HoldControl")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// One line of a device's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusLine<'data> {
    /// First sector of the target.
    pub start_sector: u64,
    /// Its length in sectors.
    pub sectors: u64,
    /// Its type: `linear`, `mirror`, …
    pub kind: &'data str,
    /// What it says of itself.
    pub status: &'data str,
}

/// The lines of an answer, in order. Ends early where the kernel's answer makes no sense, so a
/// reader that misses a line must take that for an error.
#[derive(Debug)]
pub struct StatusLines<'data> {
    data: &'data [u8],
    at: usize,
    left: u32,
    events: u32,
}

impl StatusLines<'_> {
    /// How many events the device had, as of before the lines were made (`table_status` in
    /// drivers/md/dm-ioctl.c takes them down in this order).
    #[must_use]
    pub const fn events(&self) -> u32 {
        self.events
    }
}

impl<'data> Iterator for StatusLines<'data> {
    type Item = StatusLine<'data>;

    fn next(&mut self) -> Option<StatusLine<'data>> {
        // struct dm_target_spec: sector_start u64, length u64, status i32, next u32, then 16 bytes
        // of type, then the text. In an answer, `next` counts from the start of the data.
        const KIND_AT: usize = 24;
        const TEXT_AT: usize = 40;
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let spec = self.data.get(self.at..)?;
        let number = |at: usize| Some(u64::from_ne_bytes(*spec.get(at..)?.first_chunk()?));
        let next = u32::from_ne_bytes(*spec.get(20..)?.first_chunk()?);
        let line = StatusLine {
            start_sector: number(0)?,
            sectors: number(8)?,
            kind: text(spec.get(KIND_AT..TEXT_AT)?)?,
            status: text(spec.get(TEXT_AT..)?)?,
        };
        self.at = next as usize;
        Some(line)
    }
}

/// The text before the first zero.
fn text(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    str::from_utf8(bytes.get(..end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(start: u64, sectors: u64, next: u32, kind: &str, status: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(start.to_ne_bytes());
        bytes.extend(sectors.to_ne_bytes());
        bytes.extend(0_i32.to_ne_bytes());
        bytes.extend(next.to_ne_bytes());
        bytes.extend(kind.bytes().chain(std::iter::repeat(0)).take(16));
        bytes.extend(status.bytes().chain([0]));
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    #[test]
    fn lines_are_read_as_the_kernel_lays_them_out() {
        let mut data = spec(0, 2048, 48, "zero", "");
        assert_eq!(data.len(), 48);
        data.extend(spec(
            2048,
            4096,
            120,
            "mirror",
            "2 8:0 8:16 4/4 1 AA 1 core",
        ));
        let lines = StatusLines {
            data: &data,
            at: 0,
            left: 2,
            events: 0,
        };
        let lines: Vec<_> = lines.collect();
        assert_eq!(lines[0].kind, "zero");
        let mirror = lines[1];
        assert_eq!(
            (mirror.start_sector, mirror.sectors, mirror.kind),
            (2048, 4096, "mirror")
        );
        assert_eq!(mirror.status, "2 8:0 8:16 4/4 1 AA 1 core");
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn an_answer_that_is_cut_short_ends_the_lines() {
        let data = spec(0, 2048, 4096, "zero", "");
        let lines = StatusLines {
            data: &data[..30],
            at: 0,
            left: 1,
            events: 0,
        };
        assert_eq!(lines.count(), 0);
        let lines = StatusLines {
            data: &data,
            at: 0,
            left: 2,
            events: 0,
        };
        assert_eq!(lines.count(), 1);
    }
}
