//! Who served what, as the kernel counts it for each member: a witness that is not tierd's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tier_wire::Class;

/// A member of the volume.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its class.
    pub class: Class,
    /// Its device node.
    pub path: PathBuf,
}

/// Reads that each class has served since its devices came up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads(BTreeMap<Class, u64>);

impl Reads {
    /// As of now (Documentation/block/stat.rst: the first figure is reads completed).
    #[must_use]
    pub fn now(members: &[Member]) -> Self {
        let mut reads = BTreeMap::new();
        for member in members {
            *reads.entry(member.class).or_default() += completed(&member.path);
        }
        Self(reads)
    }

    /// The share of each class in what was read since `before`; nothing if nothing was.
    #[must_use]
    pub fn shares_since(&self, before: &Self) -> BTreeMap<Class, f64> {
        let since = |class: &Class, now: u64| now - before.0.get(class).copied().unwrap_or(0);
        let parts: BTreeMap<Class, u64> = self
            .0
            .iter()
            .map(|(class, &now)| (*class, since(class, now)))
            .collect();
        let all: u64 = parts.values().sum();
        if all == 0 {
            return BTreeMap::new();
        }
        #[allow(clippy::cast_precision_loss, reason = "a share needs no 53 bits")]
        parts
            .into_iter()
            .map(|(class, part)| (class, part as f64 / all as f64))
            .collect()
    }
}

fn completed(device: &Path) -> u64 {
    let node = device.canonicalize().expect("a member's node");
    let name = node.file_name().expect("name of a block device");
    let file = Path::new("/sys/class/block").join(name).join("stat");
    let text = std::fs::read_to_string(&file).expect("counters of a member");
    let first = text.split_whitespace().next().expect("reads completed");
    first.parse().expect("reads completed")
}
