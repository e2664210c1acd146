//! The records that cross between kernel and user space: the Rust side of `bpf/record.h`.
//!
//! Invariant: every size and bound here is the one in that header. Sizes are asserted on both
//! sides when this crate is built; the bounds are compared with the header by a test.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::error::ProbeError;

/// Volumes that one probe can watch at a time.
pub const MAX_VOLUMES: usize = 16;
/// Members that one probe can watch at a time.
pub const MAX_MEMBERS: usize = 64;
/// Regions that one bio is counted on; parts beyond are skipped and counted as such. No bio
/// reaches it with regions of 1 MiB or more, for its length has 32 bits.
pub const MAX_SPAN: u64 = 4097;

/// Log2 of the bytes in a sector.
pub(crate) const SECTOR_SHIFT: u32 = 9;

/// Log2 of the number of buckets per power of two of a latency.
pub(crate) const LATENCY_SUB_BITS: u32 = 3;
/// Buckets of a latency histogram; the last one is open-ended.
pub(crate) const LATENCY_BUCKETS: usize = 208;

/// `struct cell`: the counts of one region in one interval.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct Cell {
    pub(crate) touches: u64,
    pub(crate) sectors: u64,
    pub(crate) sequential: u64,
}

/// `struct volume`: what the probe is told about a volume.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct VolumeSettings {
    pub(crate) dev: u32,
    pub(crate) region_shift: u32,
    pub(crate) regions: u32,
    pub(crate) threshold: u32,
    pub(crate) sample_one_in: u32,
    pub(crate) storage: u32,
}

/// `struct volume_totals`: sums of one CPU.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct TotalsRecord {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) read_bytes: u64,
    pub(crate) written_bytes: u64,
    pub(crate) flushes: u64,
    pub(crate) discards: u64,
    pub(crate) discarded_bytes: u64,
    pub(crate) write_zeroes: u64,
    pub(crate) zeroed_bytes: u64,
    pub(crate) others: u64,
    pub(crate) lost_touches: u64,
    pub(crate) skipped_touches: u64,
    pub(crate) lost_hot: u64,
    pub(crate) lost_samples: u64,
    pub(crate) sample_in: u32,
    pub(crate) pad: u32,
}

impl TotalsRecord {
    /// Bios of every kind.
    pub(crate) const fn bios(&self) -> u64 {
        self.reads + self.writes + self.flushes + self.discards + self.write_zeroes + self.others
    }
}

/// `struct latencies`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct LatenciesRecord {
    pub(crate) reads: [u64; LATENCY_BUCKETS],
    pub(crate) writes: [u64; LATENCY_BUCKETS],
    pub(crate) lost: u64,
}

/// `struct hot`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct HotData {
    pub(crate) time_ns: u64,
    pub(crate) dev: u32,
    pub(crate) region: u32,
    pub(crate) reads: u32,
    pub(crate) writes: u32,
}

/// `struct member_counters`: sums of one CPU.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct MemberRecord {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) others: u64,
    pub(crate) read_bytes: u64,
    pub(crate) written_bytes: u64,
    pub(crate) read_ns: u64,
    pub(crate) write_ns: u64,
    pub(crate) reads_timed: u64,
    pub(crate) writes_timed: u64,
    pub(crate) read_service_ns: u64,
    pub(crate) write_service_ns: u64,
    pub(crate) reads_served: u64,
    pub(crate) writes_served: u64,
    pub(crate) lost_samples: u64,
    pub(crate) sample_in: u32,
    pub(crate) sample_one_in: u32,
}

/// `struct recorded_device`: which device a recorder records.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct RecordedDevice {
    pub(crate) dev: u32,
    pub(crate) is_whole: u32,
    pub(crate) start_sector: u64,
    pub(crate) lost: u64,
}

/// `struct recorded_bio`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(crate) struct BioRecord {
    pub(crate) time_ns: u64,
    pub(crate) sector: u64,
    pub(crate) bytes: u32,
    pub(crate) is_write: u32,
}

const _: () = assert!(size_of::<Cell>() == 24);
const _: () = assert!(size_of::<VolumeSettings>() == 24);
const _: () = assert!(size_of::<TotalsRecord>() == 120);
const _: () = assert!(size_of::<LatenciesRecord>() == 3336);
const _: () = assert!(size_of::<HotData>() == 24);
const _: () = assert!(size_of::<MemberRecord>() == 120);
const _: () = assert!(size_of::<RecordedDevice>() == 24);
const _: () = assert!(size_of::<BioRecord>() == 24);

/// Reads a record out of the bytes that a map or the ring gave for it.
pub(crate) fn decode<T: FromBytes>(what: &'static str, bytes: &[u8]) -> Result<T, ProbeError> {
    T::read_from_bytes(bytes).map_err(|_| ProbeError::BadRecord {
        what,
        expected: size_of::<T>(),
        found: bytes.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text after `name` on the line that declares it in the shared header.
    fn header(prefix: &str) -> &'static str {
        include_str!("bpf/record.h")
            .lines()
            .find_map(|line| line.strip_prefix(prefix))
            .unwrap_or_else(|| panic!("record.h has no line that begins with {prefix:?}"))
            .trim()
    }

    #[test]
    fn bounds_are_those_of_the_shared_header() {
        assert_eq!(header("#define MAX_VOLUMES "), MAX_VOLUMES.to_string());
        assert_eq!(header("#define MAX_MEMBERS "), MAX_MEMBERS.to_string());
        assert_eq!(header("#define MAX_SPAN "), MAX_SPAN.to_string());
        assert_eq!(
            header("#define LATENCY_SUB_BITS "),
            LATENCY_SUB_BITS.to_string()
        );
        assert_eq!(
            header("#define LATENCY_BUCKETS "),
            LATENCY_BUCKETS.to_string()
        );
        assert_eq!(
            header("#define STORAGE_ARRAY "),
            (crate::Storage::Array as u32).to_string()
        );
        assert_eq!(
            header("#define STORAGE_HASH "),
            (crate::Storage::Hash as u32).to_string()
        );
    }

    /// Names of the fields of a C structure in the shared header, in order.
    fn fields_in_header(structure: &str) -> Vec<&'static str> {
        include_str!("bpf/record.h")
            .split_once(&format!("struct {structure} {{\n"))
            .and_then(|(_, rest)| rest.split_once("\n};"))
            .unwrap_or_else(|| panic!("record.h has no struct {structure}"))
            .0
            .lines()
            .filter_map(|line| line.trim().strip_prefix("__u"))
            .filter_map(|line| line.split_once(' ')?.1.split_once(';'))
            .map(|(name, _)| name.split('[').next().unwrap_or(name))
            .collect()
    }

    /// Names of the fields in a derived Debug text, in order.
    fn fields_of(debug: &str) -> Vec<&str> {
        debug
            .split([' ', ','])
            .filter_map(|word| word.strip_suffix(':'))
            .collect()
    }

    #[test]
    fn fields_are_those_of_the_shared_header_in_order() {
        let zeros = [0; 4096];
        macro_rules! same_fields {
            ($($rust:ty => $c:literal),*) => {$(
                let record = <$rust>::read_from_prefix(&zeros).unwrap().0;
                assert_eq!(fields_of(&format!("{record:?}")), fields_in_header($c), $c);
            )*};
        }
        same_fields!(
            Cell => "cell",
            VolumeSettings => "volume",
            TotalsRecord => "volume_totals",
            LatenciesRecord => "latencies",
            HotData => "hot",
            MemberRecord => "member_counters",
            RecordedDevice => "recorded_device",
            BioRecord => "recorded_bio"
        );
    }

    #[test]
    fn a_record_of_another_size_is_an_error() {
        let error = decode::<Cell>("a cell", &[0; 23]).unwrap_err();
        assert!(
            matches!(
                error,
                ProbeError::BadRecord {
                    expected: 24,
                    found: 23,
                    ..
                }
            ),
            "{error}"
        );
    }
}
