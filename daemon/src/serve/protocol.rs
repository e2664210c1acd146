//! What the daemon and the process that serves a volume say to each other.
//!
//! Owns: the words, and how they travel: one JSON text a line over a UNIX socket. The server speaks
//! first. Invariants: who is let in is alone until the connection ends, so the connection is the lock
//! on the volume; orders are done in the order in which they were given, those to the backend and
//! those to the metadata each in their own.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tier_core::event::{AdoptedMove, Event};
use tier_core::units::MemberIndex;
use tier_core::volume::VolumeState;
use tier_store::words::Facts;

use crate::config::Config;
use crate::turn;
use crate::volume::{kernel, metadata};

/// Raised with each change of the words below. A server may be older than the daemon: it goes on
/// while the daemon is upgraded.
pub(super) const PROTOCOL: u32 = 2;

/// The server's first words.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    /// The words that it knows.
    pub(super) protocol: u32,
    /// Whether the other is let in. If so, [`Opened`] follows.
    pub(super) is_free: bool,
}

/// What is served.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Opened {
    /// Its members, its size, its name.
    pub(crate) facts: Facts,
    /// Where everything is, by the metadata.
    pub(crate) state: VolumeState,
    /// How the store stands.
    pub(crate) durable: metadata::Durable,
    /// Moves that an earlier daemon has left.
    pub(crate) adopted: Vec<AdoptedMove>,
    /// The number of its device: major and minor.
    pub(crate) device: (u32, u32),
    /// The link to its device.
    pub(crate) link: PathBuf,
    /// Where each member is.
    pub(crate) paths: Vec<(MemberIndex, PathBuf)>,
    /// What its start had to mend, for people.
    pub(crate) mended: Vec<String>,
}

/// What the daemon says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// To the backend.
    Kernel(kernel::Job),
    /// To the metadata.
    Metadata(metadata::Job),
    /// Takes the device down and ends the process, unless the device is in use.
    Stop,
}

/// What the server says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// Of the backend.
    Told(kernel::Told),
    /// How the store stands now; said before the event that follows from it.
    Durable(metadata::Durable),
    /// Of the metadata.
    Event(Event),
    /// The device stays, and why; the answer to [`Order::Stop`], unless that ended the process.
    Stays(Stays),
}

/// Why a device is not taken down.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Stays {
    /// It is open.
    InUse,
    /// It could not be done.
    Failed(String),
}

/// A file beside the control socket that belongs to the serving of a volume: its socket, its lock, its
/// note.
pub(super) fn beside(config: &Config, volume: &str, what: &str) -> PathBuf {
    turn::directory(config).join(format!("ublk-{volume}{what}"))
}

/// Says something.
pub(super) fn say(mut to: impl Write, what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Hears the next that is said; `None` if nothing more will be.
pub(super) fn hear<T: DeserializeOwned>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_str(&line)?))
}
