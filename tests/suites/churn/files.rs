//! A file system on a volume whose regions all move beneath it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use tier_tests::command::{attempt, run};

use super::*;

/// Files that are there at a time.
const FILES_MAX: usize = 48;
/// Longest file in bytes.
const FILE_BYTES_MAX: usize = 400 << 10;

#[test]
fn every_region_moves_several_times_beneath_a_file_system() {
    Guest::uml(test_name!())
        .deadline(super::deadline())
        .phase(|guest| {
            let rig = Rig::start(guest, programs(), true);
            rig.slow_down_the_hdd();
            run("mkfs.ext4", &["-q", "-F", VOLUME]);
            let mount = PathBuf::from("/run/churned");
            fs::create_dir(&mount).unwrap();
            let daemon = rig.run();
            run("mount", &["-o", "discard", VOLUME, "/run/churned"]);
            let files = Files::start(&mount);
            churn_all(&rig, &daemon, || files.check());
            let files = files.stop();
            println!("{} files", files.len());
            verify(&mount, &files);
            run("umount", &["/run/churned"]);
            daemon.must(&["volume", "stop", "v"]);
            daemon.must(&["volume", "start", "v"]);
            let clean = attempt("e2fsck", &["-f", "-n", VOLUME]);
            assert!(clean.is_ok(), "{clean:?}");
            run("mount", &[VOLUME, "/run/churned"]);
            verify(&mount, &files);
            run("umount", &["/run/churned"]);
            assert!(daemon.stop().success());
            rig.assert_all_linear();
            rig.assert_checked();
        })
        .run();
}

/// The seed and the length of each file's content.
type Contents = BTreeMap<u32, (u64, usize)>;

/// Writes, reads back and deletes files until told to end.
struct Files {
    end: Arc<AtomicBool>,
    thread: JoinHandle<Contents>,
}

impl Files {
    fn start(folder: &Path) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let folder = folder.to_owned();
        let thread = std::thread::spawn({
            let end = Arc::clone(&end);
            move || work(&folder, &end)
        });
        Self { end, thread }
    }

    fn check(&self) {
        assert!(!self.thread.is_finished(), "a file differs; see above");
    }

    fn stop(self) -> Contents {
        self.end.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

fn work(folder: &Path, end: &AtomicBool) -> Contents {
    let mut random = fastrand::Rng::with_seed(5);
    let mut files = Contents::new();
    let mut next = 0;
    while !end.load(Ordering::SeqCst) || files.is_empty() {
        if files.len() >= FILES_MAX || (files.len() > 8 && random.u8(0..4) == 0) {
            let at = random.usize(0..files.len());
            let name = *files.keys().nth(at).unwrap();
            verify_one(folder, name, files[&name]);
            fs::remove_file(path(folder, name)).unwrap();
            files.remove(&name);
        }
        let content = (random.u64(..), random.usize(1..FILE_BYTES_MAX));
        let mut file = File::create(path(folder, next)).unwrap();
        file.write_all(&bytes(content)).unwrap();
        if random.bool() {
            file.sync_all().unwrap();
        }
        files.insert(next, content);
        next += 1;
    }
    run("sync", &["-f", &folder.display().to_string()]);
    files
}

/// Reads past the page cache what it can: what was read before is dropped first.
fn verify(folder: &Path, files: &Contents) {
    fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
    for (&name, &content) in files {
        verify_one(folder, name, content);
    }
}

fn verify_one(folder: &Path, name: u32, content: (u64, usize)) {
    let found = fs::read(path(folder, name)).unwrap();
    assert!(found == bytes(content), "file {name} differs");
}

fn path(folder: &Path, name: u32) -> PathBuf {
    folder.join(format!("file-{name}"))
}

/// A file's content: its seed again and again, so that a block of another file differs.
fn bytes((seed, length): (u64, usize)) -> Vec<u8> {
    let mut bytes = seed.to_le_bytes().repeat(length.div_ceil(8));
    bytes.truncate(length);
    bytes
}
