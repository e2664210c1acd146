//! What a model is trained on with: a group's history, and what came after it.
//!
//! Owns: [`Example`], and the format of its files, little-endian, which the daemon appends to and
//! the trainer reads:
//!
//! | bytes   | what                                                             |
//! |---------|------------------------------------------------------------------|
//! | 8       | `TIEREXMP`                                                       |
//! | 4       | version of the contract, u32                                     |
//! | 4       | bytes of an example, u32                                         |
//! | of each | when it began, u64; its codes, a byte each; touches until each horizon, f32 |
//!
//! The order in the file is that of time.

use crate::contract::{Codes, HORIZONS, STEPS, VERSION};

const MAGIC: [u8; 8] = *b"TIEREXMP";
/// Bytes before the first example.
pub const HEADER_BYTES: usize = 16;
/// Bytes of an example.
pub const EXAMPLE_BYTES: usize = 8 + STEPS + 4 * HORIZONS;
#[allow(clippy::cast_possible_truncation, reason = "a hundred or so")]
const EXAMPLE_BYTES_U32: u32 = EXAMPLE_BYTES as u32;

/// A history, and what came after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// When the history ended and what came began, in seconds since 1970.
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
        bytes[..8].copy_from_slice(&self.at_seconds.to_le_bytes());
        bytes[8..8 + STEPS].copy_from_slice(&self.codes);
        let rows = bytes[8 + STEPS..].chunks_exact_mut(4);
        for (bytes, touches) in rows.zip(self.touches) {
            bytes.copy_from_slice(&touches.to_le_bytes());
        }
        bytes
    }
}
