//! On regular files. What only a block device has (claims, direct I/O) is tested in the suites,
//! on loop devices.

use std::io::Write as _;

use super::*;

fn image(bytes: usize) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&vec![0; bytes]).unwrap();
    file
}

#[test]
fn what_was_written_is_read_back_from_any_memory() {
    let file = image(4 << 20);
    let device = BlockDevice::open(file.path(), Access::ReadWrite).unwrap();
    let pattern: Vec<u8> = (0..=250).cycle().take(3 << 20).collect();
    device.write_at(512, &pattern).unwrap();
    device.sync_data().unwrap();
    let mut back = vec![0; pattern.len()];
    device.read_at(512, &mut back).unwrap();
    assert_eq!(back, pattern);
}

#[test]
fn part_of_a_block_is_refused_and_nothing_is_written() {
    let file = image(4096);
    let device = BlockDevice::open(file.path(), Access::ReadWrite).unwrap();
    for (offset, length) in [(1, 512), (0, 511), (512, 1)] {
        let error = device.write_at(offset, &vec![1; length]).unwrap_err();
        assert!(
            matches!(
                error,
                BlockError::Misaligned {
                    block_bytes: 512,
                    ..
                }
            ),
            "{error}"
        );
    }
    assert!(
        std::fs::read(file.path())
            .unwrap()
            .iter()
            .all(|byte| *byte == 0)
    );
}

#[test]
fn reads_and_writes_beyond_the_end_say_where() {
    let file = image(4096 + 100);
    let device = BlockDevice::open(file.path(), Access::ReadWrite).unwrap();
    assert_eq!(device.size_bytes(), 4096);
    let write = device.write_at(3584, &[1; 1024]).unwrap_err();
    assert!(
        matches!(
            write,
            BlockError::Io {
                what: "write",
                offset: 3584,
                ..
            }
        ),
        "{write}"
    );
    let read = device.read_at(8192, &mut [0; 512]).unwrap_err();
    assert!(
        matches!(
            read,
            BlockError::Io {
                what: "read",
                offset: 8192,
                ..
            }
        ),
        "{read}"
    );
    assert_eq!(std::fs::metadata(file.path()).unwrap().len(), 4196);
}

#[test]
fn only_one_holder_has_a_file_exclusively() {
    let file = image(4096);
    let first = BlockDevice::open(file.path(), Access::Exclusive).unwrap();
    let second = BlockDevice::open(file.path(), Access::Exclusive).unwrap_err();
    assert_eq!(second.errno(), Some(libc::EWOULDBLOCK));
    drop(first);
    BlockDevice::open(file.path(), Access::Exclusive).unwrap();
}

#[test]
fn what_is_no_device_is_refused_by_name() {
    let missing = BlockDevice::open(Path::new("/nonexistent/disk"), Access::ReadOnly).unwrap_err();
    assert_eq!(missing.errno(), Some(libc::ENOENT));
    assert!(missing.to_string().contains("/nonexistent/disk"));
    let directory = BlockDevice::open(Path::new("/"), Access::ReadOnly).unwrap_err();
    assert!(matches!(directory, BlockError::NotADevice { .. }));
}

#[test]
fn a_file_takes_no_discard_and_says_so() {
    let file = image(4096);
    let device = BlockDevice::open(file.path(), Access::ReadWrite).unwrap();
    let error = device.discard(0, 4096).unwrap_err();
    assert_eq!(error.errno(), Some(libc::EOPNOTSUPP));
}
