//! The bytes of one copy of a label, as `FORMAT.md` lays them out.
//!
//! Owns: their order, the checksum over all of them, and the numbers that stand for classes and
//! states. Invariants: what [`encode`] wrote [`decode`] reads back the same; a copy with one wrong
//! bit is torn and never a label; no bytes make it panic. May do no I/O.

use tier_core::units::{Bytes, Generation, MemberIndex, RegionSize};
use tier_core::volume::Class;
use uuid::Uuid;

use super::{COPY_BYTES, FORMAT, Label, LabelCopy, LabelState};
use crate::words::{
    AreaExtent, BackendKind, Epoch, EpochId, MemberId, NAME_BYTES_MAX, VolumeId, VolumeName,
};

/// First bytes of a label.
pub const MAGIC: [u8; 8] = *b"TIERDLBL";

/// Where the checksum lies in a copy, in bytes; it is taken with zeros in its own place.
const CHECKSUM_AT: usize = 12;

/// Where the backend's number lies in a copy, in bytes: behind the longest name. Labels from before
/// there was a choice have a zero there.
const BACKEND_AT: usize = 167 + NAME_BYTES_MAX;

/// The bytes of one copy.
#[must_use]
pub fn encode(label: &Label) -> Vec<u8> {
    let mut out = Vec::with_capacity(COPY_BYTES);
    out.extend(MAGIC);
    out.extend(FORMAT.to_le_bytes());
    out.extend([0; 4]);
    out.extend(label.sequence.to_le_bytes());
    out.extend(label.volume.0.as_bytes());
    out.extend(label.member.0.as_bytes());
    out.extend(label.epoch.id.0.as_bytes());
    out.extend(
        label
            .parent
            .map_or(Uuid::nil(), |parent| parent.0)
            .as_bytes(),
    );
    out.extend(label.epoch.number.to_le_bytes());
    out.extend(label.acted_on.0.to_le_bytes());
    out.extend(label.device_bytes.0.to_le_bytes());
    out.extend(label.region_size.bytes().0.to_le_bytes());
    out.extend(label.data_start.0.to_le_bytes());
    let area = label.area.unwrap_or(AreaExtent {
        offset: Bytes(0),
        length: Bytes(0),
    });
    out.extend(area.offset.0.to_le_bytes());
    out.extend(area.length.0.to_le_bytes());
    out.extend(label.volume_regions.to_le_bytes());
    out.extend(label.data_regions.to_le_bytes());
    out.extend(label.block_bytes.to_le_bytes());
    out.extend(label.volume_block_bytes.to_le_bytes());
    out.extend(label.index.0.to_le_bytes());
    out.extend(label.member_count.to_le_bytes());
    out.push(class_code(label.class));
    out.push(match label.state {
        LabelState::Creating => 0,
        LabelState::Whole => 1,
        LabelState::Destroying => 2,
    });
    let name = label.name.as_str().as_bytes();
    out.push(u8::try_from(name.len()).unwrap_or(0));
    out.extend(name);
    out.resize(COPY_BYTES, 0);
    if let Some(field) = out.get_mut(BACKEND_AT) {
        *field = match label.backend {
            BackendKind::Dm => 0,
            BackendKind::Ublk => 1,
        };
    }
    let checksum = crc32c::crc32c(&out).to_le_bytes();
    if let Some(field) = out.get_mut(CHECKSUM_AT..CHECKSUM_AT + 4) {
        field.copy_from_slice(&checksum);
    }
    out
}

/// What the bytes of one copy hold.
#[must_use]
pub fn decode(bytes: &[u8]) -> LabelCopy {
    if bytes.get(..8) != Some(&MAGIC) {
        return LabelCopy::Absent;
    }
    let mut reader = Reader { bytes, at: 8 };
    let format = reader.u32();
    let stored = reader.u32();
    let mut blank = bytes.to_vec();
    if let Some(field) = blank.get_mut(CHECKSUM_AT..CHECKSUM_AT + 4) {
        field.fill(0);
    }
    let computed = crc32c::crc32c(&blank);
    if stored != Some(computed) {
        return LabelCopy::Torn(format!("its checksum is not {computed:08x}"));
    }
    match format {
        Some(FORMAT) => {}
        Some(newer) if newer > FORMAT => return LabelCopy::NewerFormat(newer),
        _ => return LabelCopy::Torn("its format has no known number".to_owned()),
    }
    match decode_fields(&mut reader) {
        Ok(label) => LabelCopy::Valid(Box::new(label)),
        Err(field) => LabelCopy::Torn(format!("its {field} makes no sense")),
    }
}

fn decode_fields(reader: &mut Reader<'_>) -> Result<Label, &'static str> {
    let sequence = reader.u64().ok_or("sequence")?;
    let volume = VolumeId(reader.uuid().ok_or("volume id")?);
    let member = MemberId(reader.uuid().ok_or("member id")?);
    let epoch_id = EpochId(reader.uuid().ok_or("epoch")?);
    let parent = reader.uuid().ok_or("parent epoch")?;
    let epoch = Epoch {
        number: reader.u64().ok_or("epoch number")?,
        id: epoch_id,
    };
    let acted_on = Generation(reader.u64().ok_or("mark")?);
    let device_bytes = Bytes(reader.u64().ok_or("device size")?);
    let region_size = reader
        .u64()
        .and_then(|bytes| RegionSize::new(Bytes(bytes)).ok())
        .ok_or("region size")?;
    let data_start = Bytes(reader.u64().ok_or("data start")?);
    let area_offset = Bytes(reader.u64().ok_or("area offset")?);
    let area_length = Bytes(reader.u64().ok_or("area length")?);
    let volume_regions = reader.u32().ok_or("number of regions")?;
    let data_regions = reader.u32().ok_or("number of data regions")?;
    let block_bytes = reader.u32().ok_or("block size")?;
    let volume_block_bytes = reader.u32().ok_or("volume's block size")?;
    let index = MemberIndex(reader.u16().ok_or("member index")?);
    let member_count = reader.u16().ok_or("number of members")?;
    let class = reader.u8().and_then(class_from_code).ok_or("class")?;
    let state = match reader.u8() {
        Some(0) => LabelState::Creating,
        Some(1) => LabelState::Whole,
        Some(2) => LabelState::Destroying,
        _ => return Err("state"),
    };
    let name_length = usize::from(reader.u8().ok_or("name")?);
    let name = reader
        .take(name_length)
        .and_then(|name| std::str::from_utf8(name).ok());
    let name = name
        .and_then(|name| VolumeName::new(name).ok())
        .ok_or("name")?;
    let backend = match reader.bytes.get(BACKEND_AT) {
        Some(0) => BackendKind::Dm,
        Some(1) => BackendKind::Ublk,
        _ => return Err("backend"),
    };
    Ok(Label {
        sequence,
        state,
        volume,
        name,
        member_count,
        member,
        index,
        class,
        device_bytes,
        block_bytes,
        region_size,
        data_start,
        data_regions,
        area: (area_length.0 > 0).then_some(AreaExtent {
            offset: area_offset,
            length: area_length,
        }),
        volume_block_bytes,
        volume_regions,
        backend,
        epoch,
        parent: (!parent.is_nil()).then_some(EpochId(parent)),
        acted_on,
    })
}

/// The number that stands for a class on the disk.
const fn class_code(class: Class) -> u8 {
    match class {
        Class::Nvme => 0,
        Class::Ssd => 1,
        Class::Hdd => 2,
    }
}

const fn class_from_code(code: u8) -> Option<Class> {
    match code {
        0 => Some(Class::Nvme),
        1 => Some(Class::Ssd),
        2 => Some(Class::Hdd),
        _ => None,
    }
}

/// Reads little-endian fields one after the other; `None` beyond the end.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn uuid(&mut self) -> Option<Uuid> {
        self.array().map(Uuid::from_bytes)
    }
}
