//! Files of examples, as [`tier_network::example`] says.

use std::path::Path;

use tier_network::example::{EXAMPLE_BYTES, HEADER_BYTES, check_header, header};

pub use tier_network::example::Example;

use crate::error::LearnError;
use crate::file;

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
