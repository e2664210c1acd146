//! Tests of the checksums: a verification that cannot fail would verify nothing.

use super::*;

fn one_file(folder: &Path) -> Files {
    let path = folder.join("a");
    fs::write(&path, vec![7; 100_000]).unwrap();
    let (bytes, crc32c) = checksum(&path, &mut io::sink()).unwrap();
    Files {
        kept: vec![Kept {
            path,
            bytes,
            crc32c,
        }],
    }
}

#[test]
fn a_changed_a_cut_and_a_missing_file_are_each_named() {
    let folder = tempfile::tempdir().unwrap();
    let files = one_file(folder.path());
    assert!(files.verify(|_| ()).is_empty());
    let path = folder.path().join("a");
    let mut content = fs::read(&path).unwrap();
    content[50_000] ^= 1;
    fs::write(&path, &content).unwrap();
    assert_eq!(files.verify(|_| ()).len(), 1, "one bit");
    fs::write(&path, vec![7; 99_999]).unwrap();
    assert_eq!(files.verify(|_| ()).len(), 1, "one byte less");
    fs::remove_file(&path).unwrap();
    assert_eq!(files.verify(|_| ()).len(), 1, "gone");
}

#[test]
fn files_of_the_machine_are_copied_and_a_hot_set_is_part_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::copy(folder.path(), 8 << 20, |_| ()).unwrap();
    assert!(files.bytes() >= 8 << 20, "{} bytes", files.bytes());
    assert!(files.verify(|_| ()).is_empty());
    let hot = files.hot(2 << 20);
    let blocks: u64 = hot.iter().map(|file| file.blocks).sum();
    assert!(blocks > 0 && hot.len() < files.all().len(), "{hot:?}");
}
