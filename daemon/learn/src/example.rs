//! What is learned from: a group's history, and what came after it.
//!
//! Owns: [`Example`], and the format of its files, little-endian, to which the daemon can append:
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

use std::path::Path;

use crate::error::LearnError;
use crate::file;
use tier_network::contract::{Codes, HORIZONS, STEPS, VERSION};

const MAGIC: [u8; 8] = *b"TIEREXMP";
const HEADER_BYTES: usize = 16;
const AT_BYTES: usize = 8;
const EXAMPLE_BYTES: usize = AT_BYTES + STEPS + 4 * HORIZONS;
#[allow(clippy::cast_possible_truncation, reason = "120")]
const EXAMPLE_BYTES_U32: u32 = EXAMPLE_BYTES as u32;

/// A history, and what came after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// When the history ended and what comes after it began, in seconds, from any beginning that all
    /// examples of a file have in common (the daemon's: 1970).
    pub at_seconds: u64,
    /// The history, as [`tier_network::contract`] says.
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
    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
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

/// Reads a file of examples.
///
/// # Errors
/// When it cannot be read, is no such file or of another version, ends within an example, or has an
/// example with touches that are negative or no number.
pub fn read(path: &Path) -> Result<Vec<Example>, LearnError> {
    let bytes = file::read(path)?;
    let (header, body) = bytes.split_at(HEADER_BYTES.min(bytes.len()));
    check_header(header).map_err(|why| LearnError::NoExamples {
        path: path.to_owned(),
        why,
    })?;
    let offset = |number: usize| (HEADER_BYTES + number * EXAMPLE_BYTES) as u64;
    let chunks = body.chunks_exact(EXAMPLE_BYTES);
    if !chunks.remainder().is_empty() {
        return Err(LearnError::Torn {
            path: path.to_owned(),
            offset: offset(chunks.len()),
            whole: chunks.len() as u64,
        });
    }
    let example = |(number, bytes)| {
        Example::from_bytes(bytes).map_err(|why| LearnError::Example {
            path: path.to_owned(),
            offset: offset(number),
            why,
        })
    };
    chunks.enumerate().map(example).collect()
}

fn check_header(found: &[u8]) -> Result<(), String> {
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

/// Writes a file of examples, whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, examples: &[Example]) -> Result<(), LearnError> {
    let mut bytes = header().to_vec();
    for example in examples {
        bytes.extend_from_slice(&example.to_bytes());
    }
    file::write(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(number: u8) -> Example {
        Example {
            at_seconds: 1 << (number % 64),
            codes: std::array::from_fn(|at| number.wrapping_add(u8::try_from(at).unwrap())),
            touches: [0.0, 1.5, f32::from(number), 1e9],
        }
    }

    #[test]
    fn examples_come_back_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("examples");
        let examples: Vec<_> = (0..10).map(example).collect();
        write(&path, &examples).unwrap();
        assert_eq!(read(&path).unwrap(), examples);
        write(&path, &[]).unwrap();
        assert_eq!(read(&path).unwrap(), []);
    }

    #[test]
    fn a_torn_tail_is_an_error_that_says_where_it_begins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("examples");
        write(&path, &[example(1), example(2)]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole.len(), 16 + 2 * 120);
        for length in 16 + 120 + 1..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = read(&path).unwrap_err();
            assert!(
                matches!(
                    error,
                    LearnError::Torn {
                        offset: 136,
                        whole: 1,
                        ..
                    }
                ),
                "{error}"
            );
            assert!(error.to_string().contains("--size=136"), "{error}");
        }
    }

    #[test]
    fn what_holds_no_examples_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("examples");
        let mut older = header();
        older[8..].copy_from_slice(&[1, 0, 0, 0, 112, 0, 0, 0]);
        let mut longer = header();
        longer[12] = 121;
        for (bytes, why) in [
            (&b""[..], "does not begin with"),
            (b"timestamp_us,op,offset_bytes", "does not begin with"),
            (&header()[..12], "ends after 12 bytes"),
            (&older, "of version 1, and wanted is 2"),
            (&longer, "have 121 bytes, and wanted are 120"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("examples"), "{error}");
        }
    }

    #[test]
    fn touches_that_make_no_sense_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("examples");
        for touches in [-1.0, f32::NAN, f32::INFINITY] {
            let mut wrong = example(2);
            wrong.touches[3] = touches;
            write(&path, &[example(1), wrong]).unwrap();
            let error = read(&path).unwrap_err();
            assert!(
                matches!(error, LearnError::Example { offset: 136, .. }),
                "{error}"
            );
        }
    }
}
