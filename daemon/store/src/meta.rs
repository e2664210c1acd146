//! The metadata records, and the transactions on one replica's database.
//!
//! Owns: the tables (see `FORMAT.md`), [`Metadata`] in memory and [`Replica`]. Invariant: what
//! [`Replica::load`] returns has passed every check of [`Map`]. May not know that there are other
//! replicas: that is `store`'s and `recover`'s.

use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};
use tier_core::units::{Generation, MemberIndex, MemberRegion, VolumeRegion};
use tier_core::volume::{Extent, Leg, Legs, Retired};

use crate::area::{Area, AreaBackend, AreaError};
use crate::map::{Change, Map};
use crate::violation::Violation;
use crate::words::Facts;

/// The newest format of the tables that this build reads and writes.
pub const FORMAT: u64 = 1;
/// Memory that one replica's database may use for its cache, in bytes: 8 MiB.
const CACHE_BYTES: usize = 8 << 20;

const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");
const FACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("facts");
const EXTENTS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("extents");
const RETIRED: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("retired");

/// A volume's metadata in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    /// What rarely changes.
    pub facts: Facts,
    /// The newest generation of the map.
    pub generation: Generation,
    /// Grows with every transaction, those that change only the facts included. It orders the
    /// replicas of one epoch.
    pub revision: Revision,
    /// Who lives where.
    pub map: Map,
}

/// Number of a metadata transaction within its volume.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// One transaction.
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    /// What it becomes.
    pub revision: Revision,
    /// The map's generation after it.
    pub generation: Generation,
    /// The facts, if they change.
    pub facts: Option<&'a Facts>,
    /// What changes in the map.
    pub change: Option<&'a Change>,
}

/// Why a replica's metadata cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// Its area.
    #[error(transparent)]
    Area(#[from] AreaError),
    /// Its database.
    #[error("the metadata database on {device}: {source}")]
    Database {
        /// The device.
        device: String,
        /// What redb said.
        source: Box<redb::Error>,
    },
    /// Its checksums do not fit what it holds.
    #[error("the metadata database on {device} is damaged: its checksums do not fit its content")]
    Damaged {
        /// The device.
        device: String,
    },
    /// The tables are of another format.
    #[error(
        "the metadata on {device} has format {format}, and this tierd knows {FORMAT}: use the \
         tierd that wrote it"
    )]
    Format {
        /// The device.
        device: String,
        /// What it names.
        format: u64,
    },
    /// A record is absent or makes no sense.
    #[error("the metadata on {device} has no whole record {record}")]
    Record {
        /// The device.
        device: String,
        /// Which.
        record: String,
    },
    /// The records are whole and contradict each other.
    #[error("the map on {device} is broken: {source}")]
    Map {
        /// The device.
        device: String,
        /// How.
        source: Violation,
    },
}

/// One member's replica, opened.
#[derive(Debug)]
pub struct Replica {
    /// The member that carries it.
    pub member: MemberIndex,
    area: Arc<Area>,
    database: Database,
}

impl Replica {
    /// Opens the database in `area`; makes an empty one in an area just formatted. Repairs what a
    /// crash left, which writes: look at a replica through an overlay first.
    pub fn open(member: MemberIndex, area: Area) -> Result<Self, MetaError> {
        let area = Arc::new(area);
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(AreaBackend(Arc::clone(&area)))
            .map_err(|error| database_error(&area, error))?;
        Ok(Self {
            member,
            area,
            database,
        })
    }

    /// How people call the device.
    #[must_use]
    pub fn device(&self) -> &str {
        self.area.device()
    }

    /// Refuses every later write, so that a replica that was dropped does not come back.
    pub fn seal(&self, why: &str) {
        self.area.seal(why);
    }

    /// Writes everything, into a database that is empty.
    pub fn write_all(&self, metadata: &Metadata) -> Result<(), MetaError> {
        let change = Change {
            added: metadata.map.extents().collect(),
            retired: metadata.map.retired().collect(),
            ..Change::default()
        };
        self.update(&Update {
            revision: metadata.revision,
            generation: metadata.generation,
            facts: Some(&metadata.facts),
            change: Some(&change),
        })
    }

    /// Carries out one transaction. When it returns, all of it is durable here; when it fails,
    /// either all or nothing of it is.
    pub fn update(&self, update: &Update<'_>) -> Result<(), MetaError> {
        self.try_update(update)
            .map_err(|error| database_error(&self.area, error))
    }

    fn try_update(&self, update: &Update<'_>) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut counters = transaction.open_table(COUNTERS)?;
            counters.insert("format", FORMAT)?;
            counters.insert("revision", update.revision.0)?;
            counters.insert("generation", update.generation.0)?;
        }
        if let Some(facts) = update.facts {
            let bytes = serde_json::to_vec(facts)
                .map_err(|error| redb::Error::Io(std::io::Error::other(error)))?;
            transaction
                .open_table(FACTS)?
                .insert("facts", bytes.as_slice())?;
        }
        if let Some(change) = update.change {
            let mut extents = transaction.open_table(EXTENTS)?;
            for first in &change.removed {
                extents.remove(first.0)?;
            }
            for extent in &change.added {
                extents.insert(extent.first.0, encode_extent(extent).as_slice())?;
            }
            let mut retired = transaction.open_table(RETIRED)?;
            for run in &change.freed {
                retired.remove(retired_key(run.leg))?;
            }
            for run in &change.retired {
                retired.insert(retired_key(run.leg), encode_retired(run).as_slice())?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Compares every page with its checksum, which redb itself does only after a crash: what
    /// decayed while the volume lay closed would be believed. Writes if there is something to
    /// repair, so it is for a replica that is looked at through an overlay.
    pub fn verify(&mut self) -> Result<(), MetaError> {
        match self.database.check_integrity() {
            Ok(true) => Ok(()),
            Ok(false) => Err(MetaError::Damaged {
                device: self.device().to_owned(),
            }),
            Err(error) => Err(database_error(&self.area, error)),
        }
    }

    /// Reads and checks everything.
    pub fn load(&self) -> Result<Metadata, MetaError> {
        let (format, parts) = self
            .read_tables()
            .map_err(|error| database_error(&self.area, error))?;
        let device = || self.device().to_owned();
        let record = |record: &str| MetaError::Record {
            device: device(),
            record: record.to_owned(),
        };
        match format {
            Some(FORMAT) => {}
            Some(format) => {
                return Err(MetaError::Format {
                    device: device(),
                    format,
                });
            }
            None => return Err(record("format")),
        }
        let parts = parts.ok_or_else(|| record("facts, revision or generation"))?;
        let facts: Facts = serde_json::from_slice(&parts.facts)
            .map_err(|error| record(&format!("facts: {error}")))?;
        if facts.epochs.is_empty() {
            return Err(record("epochs"));
        }
        let extents = parts.extents.ok_or_else(|| record("extents"))?;
        let retired = parts.retired.ok_or_else(|| record("retired"))?;
        let capacity = facts
            .members
            .iter()
            .map(|member| (member.index, member.regions));
        let map = Map::from_parts(facts.regions, capacity, extents, retired).map_err(|source| {
            MetaError::Map {
                device: device(),
                source,
            }
        })?;
        Ok(Metadata {
            generation: parts.generation,
            revision: parts.revision,
            map,
            facts,
        })
    }

    fn read_tables(&self) -> Result<(Option<u64>, Option<Parts>), redb::Error> {
        let transaction = self.database.begin_read()?;
        let counters = transaction.open_table(COUNTERS)?;
        let counter = |name| {
            counters
                .get(name)
                .map(|found| found.map(|value| value.value()))
        };
        let format = counter("format")?;
        if format != Some(FORMAT) {
            return Ok((format, None));
        }
        let facts = transaction.open_table(FACTS)?;
        let facts = facts.get("facts")?.map(|found| found.value().to_vec());
        let (Some(facts), Some(revision), Some(generation)) =
            (facts, counter("revision")?, counter("generation")?)
        else {
            return Ok((format, None));
        };
        let mut extents = Some(Vec::new());
        for entry in transaction.open_table(EXTENTS)?.iter()? {
            let (first, value) = entry?;
            push_or_spoil(
                &mut extents,
                decode_extent(VolumeRegion(first.value()), value.value()),
            );
        }
        let mut retired = Some(Vec::new());
        for entry in transaction.open_table(RETIRED)?.iter()? {
            let (key, value) = entry?;
            push_or_spoil(&mut retired, decode_retired(key.value(), value.value()));
        }
        let (revision, generation) = (Revision(revision), Generation(generation));
        Ok((
            format,
            Some(Parts {
                facts,
                revision,
                generation,
                extents,
                retired,
            }),
        ))
    }
}

struct Parts {
    facts: Vec<u8>,
    revision: Revision,
    generation: Generation,
    /// `None`: a record made no sense.
    extents: Option<Vec<Extent>>,
    /// `None`: a record made no sense.
    retired: Option<Vec<Retired>>,
}

fn push_or_spoil<T>(list: &mut Option<Vec<T>>, item: Option<T>) {
    match item {
        Some(item) => {
            if let Some(list) = list {
                list.push(item);
            }
        }
        None => *list = None,
    }
}

fn database_error(area: &Area, error: impl Into<redb::Error>) -> MetaError {
    MetaError::Database {
        device: area.device().to_owned(),
        source: Box::new(error.into()),
    }
}

/// Count, then member and first region of each leg; little-endian.
fn encode_extent(extent: &Extent) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + 6 * extent.legs.len());
    out.extend(extent.count.to_le_bytes());
    for leg in &extent.legs {
        out.extend(leg.member.0.to_le_bytes());
        out.extend(leg.first.0.to_le_bytes());
    }
    out
}

fn decode_extent(first: VolumeRegion, bytes: &[u8]) -> Option<Extent> {
    let (count, legs) = bytes.split_at_checked(4)?;
    let count = u32::from_le_bytes(count.try_into().ok()?);
    if !legs.len().is_multiple_of(6) {
        return None;
    }
    let legs = legs.chunks_exact(6).map(|leg| {
        let (member, first) = leg.split_at_checked(2)?;
        Some(Leg {
            member: MemberIndex(u16::from_le_bytes(member.try_into().ok()?)),
            first: MemberRegion(u32::from_le_bytes(first.try_into().ok()?)),
        })
    });
    let legs: Option<Legs> = legs.collect();
    Some(Extent {
        first,
        count,
        legs: legs?,
    })
}

/// Member in the upper half, first region in the lower.
fn retired_key(leg: Leg) -> u64 {
    u64::from(leg.member.0) << 32 | u64::from(leg.first.0)
}

/// Count, then generation; little-endian.
fn encode_retired(run: &Retired) -> Vec<u8> {
    let mut out = Vec::with_capacity(12);
    out.extend(run.count.to_le_bytes());
    out.extend(run.since.0.to_le_bytes());
    out
}

fn decode_retired(key: u64, bytes: &[u8]) -> Option<Retired> {
    let (count, since) = bytes.split_at_checked(4)?;
    let first = u32::try_from(key & u64::from(u32::MAX)).ok()?;
    Some(Retired {
        leg: Leg {
            member: MemberIndex(u16::try_from(key >> 32).ok()?),
            first: MemberRegion(first),
        },
        count: u32::from_le_bytes(count.try_into().ok()?),
        since: Generation(u64::from_le_bytes(since.try_into().ok()?)),
    })
}

#[cfg(test)]
mod tests;
