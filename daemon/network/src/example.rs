//! What is learned from: a group's history, and what came after it.
//!
//! Owns: [`Example`], and the format of its files, little-endian, which the daemon appends to and the
//! trainer reads:
//!
//! | bytes | what                                                                    |
//! |-------|-------------------------------------------------------------------------|
//! | 8     | `TIEREXMP`                                                              |
//! | 4     | version of the contract, u32                                            |
//! | 4     | bytes of an example, u32: 120                                           |
//! | 120   | an example: its time, u64, in seconds; 96 codes of a byte; 4 f32,       |
//! |       | touches until each horizon                                              |
//!
//! The order in the file is of no matter, as each example has its time. A tail that is not a whole
//! example is an error that says where it begins.

use crate::contract::{Codes, HORIZONS, STEPS, VERSION};

const MAGIC: [u8; 8] = *b"TIEREXMP";
/// Bytes before the first example.
pub const HEADER_BYTES: usize = 16;
const AT_BYTES: usize = 8;
/// Bytes of an example.
pub const EXAMPLE_BYTES: usize = AT_BYTES + STEPS + 4 * HORIZONS;
#[allow(clippy::cast_possible_truncation, reason = "120")]
const EXAMPLE_BYTES_U32: u32 = EXAMPLE_BYTES as u32;

/// A history, and what came after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// When the history ended and what comes after it began, in seconds, from any beginning that all
    /// examples of a file have in common (the daemon's: 1970).
    pub at_seconds: u64,
    /// The history, as [`crate::contract`] says.
    pub codes: Codes,
    /// Touches of the group from then until each horizon; never negative.
    pub touches: [f32; HORIZONS],
}

/// The beginning of every file of examples.
#[must_use]
pub fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..].copy_from_slice(&EXAMPLE_BYTES_U32.to_le_bytes());
    header
}

impl Example {
    /// As it stands in a file.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; EXAMPLE_BYTES] {
        let mut bytes = [0; EXAMPLE_BYTES];
        let (at, rest) = bytes.split_at_mut(AT_BYTES);
        let (codes, touches) = rest.split_at_mut(STEPS);
        at.copy_from_slice(&self.at_seconds.to_le_bytes());
        codes.copy_from_slice(&self.codes);
        for (bytes, touches) in touches.chunks_exact_mut(4).zip(self.touches) {
            bytes.copy_from_slice(&touches.to_le_bytes());
        }
        bytes
    }

    /// From a file's bytes; an error says what is wrong with them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let (at, rest) = bytes.split_at(AT_BYTES.min(bytes.len()));
        let mut example = Self {
            at_seconds: at.try_into().map_or(0, u64::from_le_bytes),
            codes: [0; STEPS],
            touches: [0.0; HORIZONS],
        };
        let (codes, touches) = rest.split_at(STEPS.min(rest.len()));
        for (own, code) in example.codes.iter_mut().zip(codes) {
            *own = *code;
        }
        for (own, bytes) in example.touches.iter_mut().zip(touches.chunks_exact(4)) {
            *own = bytes.try_into().map_or(0.0, f32::from_le_bytes);
            if !own.is_finite() || *own < 0.0 {
                return Err(format!("{own} touches"));
            }
        }
        Ok(example)
    }
}

/// Whether these bytes are the beginning of a file of examples; an error says why not.
pub fn check_header(found: &[u8]) -> Result<(), String> {
    let wanted = header();
    if found.get(..8) != wanted.get(..8) {
        return Err("it does not begin with TIEREXMP".to_owned());
    }
    if found.len() < wanted.len() {
        return Err(format!("it ends after {} bytes", found.len()));
    }
    let number = |at: usize| {
        let bytes = found
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_le_bytes)
    };
    match (number(8), number(12)) {
        (VERSION, EXAMPLE_BYTES_U32) => Ok(()),
        (VERSION, bytes) => Err(format!(
            "its examples have {bytes} bytes, and wanted are {EXAMPLE_BYTES_U32}"
        )),
        (version, _) => Err(format!(
            "it is of version {version}, and wanted is {VERSION}"
        )),
    }
}
