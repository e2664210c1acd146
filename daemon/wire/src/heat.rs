//! Where a volume is hot, and where it lives.
//!
//! Owns: the query and the reply of `/v1/volumes/{name}/heat`.

use serde::{Deserialize, Serialize};

use crate::name::VolumeName;
use crate::volume::Class;

/// Query of a heat map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeatQuery {
    /// Number of buckets wanted: 1 to [`HeatQuery::BUCKETS_MAX`]. A volume with fewer regions
    /// answers with one bucket for each.
    #[serde(default = "HeatQuery::default_buckets")]
    pub buckets: u32,
}

impl HeatQuery {
    /// Most buckets in one reply.
    pub const BUCKETS_MAX: u32 = 65_536;
    /// Buckets of a request that names no number.
    pub const BUCKETS_DEFAULT: u32 = 256;

    const fn default_buckets() -> u32 {
        Self::BUCKETS_DEFAULT
    }
}

impl Default for HeatQuery {
    fn default() -> Self {
        Self {
            buckets: Self::BUCKETS_DEFAULT,
        }
    }
}

/// Heat over the whole of a volume, in buckets of adjacent regions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeatMap {
    /// The volume.
    pub volume: VolumeName,
    /// Size of a region.
    pub region_bytes: u64,
    /// Number of regions.
    pub regions: u32,
    /// In the order of their regions; together they cover the volume once.
    pub buckets: Vec<HeatBucket>,
}

/// Heat of a run of adjacent regions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeatBucket {
    /// First region.
    pub first: u32,
    /// Number of regions.
    pub count: u32,
    /// Sum of the regions' heat: decayed count of reads and writes.
    pub heat: f64,
    /// Where they live, from fast to slow; classes without a share are absent, the rest sum to 1.
    pub homes: Vec<ClassShare>,
}

/// Share of a bucket's regions whose home is on one class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassShare {
    /// The class.
    pub class: Class,
    /// The share, 0 to 1.
    pub share: f64,
}
