//! A disk's socket, its threads, and its nbd device.
//!
//! Owns: three threads per disk. One sits in the kernel for as long as the disk lives
//! (`NBD_DO_IT`), one takes requests in and acts on them at once, one sends answers when due.
//! Invariant: the latter two never wait for I/O to a harness disk: their memory is locked, and the
//! kernel is told that they are what I/O is flushed through, so it reclaims nothing through them
//! and does not throttle their writes to the image by what is dirty on the disk itself.

use std::collections::BTreeMap;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use tier_sys::memory::lock_all;
use tier_sys::nbd::{Geometry, NbdDevice, READ_ONLY, SEND_FLUSH, SEND_FUA, SEND_TRIM};
use tier_sys::process::set_io_flusher;

use super::Disk;
use super::protocol::{Action, Answered, Request, read_request, write_reply};
use super::state::{Outcome, State};

/// Held while looking for a free device: another disk of this process may look as well.
static LOOKING: Mutex<()> = Mutex::new(());

/// Room for what the kernel may have in flight, 128 requests of 1 MiB, so that it never waits with one
/// sent in part. A signal ends that wait, as `io_uring` gives its own work to who submits, and Linux before
/// 6.14 then sends the request once more under a new number (drivers/block/nbd.c, mended by
/// `NBD_CMD_PARTIAL_SEND`): it takes an answer for a second one ("Double reply"), and gives the disk up.
const SEND_BYTES: usize = 128 << 20;
/// Memory of a guest that can spare that. In smaller ones it would take the last page when memory is
/// short; these have no `io_uring` over disks of the harness.
const SPARE_BYTES: u64 = 1 << 30;

/// A connected disk.
#[derive(Debug)]
pub(super) struct Connection {
    node: PathBuf,
    device: Arc<NbdDevice>,
    queues: Arc<Queues>,
}

/// What waits between the threads.
#[derive(Debug)]
struct Queues {
    waiting: Mutex<Waiting>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Answers by the moment at which they are due, and a number that keeps them apart.
    answers: BTreeMap<(Instant, u64), ([u8; 8], Answered)>,
    numbered: u64,
    /// Requests that hang.
    hanging: Vec<Request>,
    closed: bool,
}

impl Queues {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("a disk's server has panicked")
    }

    fn take_in(&self, state: &State, request: Request) {
        let outcome = state.handle(&request);
        let mut waiting = self.waiting();
        match outcome {
            Outcome::Hangs => waiting.hanging.push(request),
            Outcome::Answered(answered, due) => {
                waiting.numbered += 1;
                let key = (due, waiting.numbered);
                waiting.answers.insert(key, (request.handle, answered));
                self.news.notify_one();
            }
        }
    }

    /// Waits for the next answer that is due; `None` when the disk is closed.
    fn next_due(&self) -> Option<([u8; 8], Answered)> {
        let mut waiting = self.waiting();
        loop {
            if waiting.closed {
                return None;
            }
            let now = Instant::now();
            let pause = match waiting.answers.first_entry() {
                Some(first) if first.key().0 <= now => return Some(first.remove()),
                Some(first) => first.key().0 - now,
                None => Duration::from_hours(1),
            };
            waiting = self
                .news
                .wait_timeout(waiting, pause)
                .expect("a disk's server has panicked")
                .0;
        }
    }
}

/// The memory of this machine.
fn memory_bytes() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").expect("procfs");
    let total = info
        .split_whitespace()
        .nth(1)
        .expect("MemTotal comes first");
    total.parse::<u64>().expect("a number of KiB") << 10
}

impl Connection {
    /// Connects a disk to the first free nbd device and waits until it is there.
    pub(super) fn start(disk: &Disk, state: &Arc<State>) -> Self {
        lock_all().expect("memory is locked (as a guest's root)");
        let (kernel_end, our_end) = UnixStream::pair().expect("socket pair");
        if memory_bytes() >= SPARE_BYTES {
            setsockopt(&kernel_end, sockopt::SndBufForce, &SEND_BYTES)
                .expect("a large buffer (as a guest's root)");
        }
        let looking = LOOKING.lock().expect("another disk failed to start");
        let node = free_node();
        let device = Arc::new(NbdDevice::open(&node).expect("nbd device"));
        device
            .attach(kernel_end.as_fd(), geometry(disk))
            .expect("nbd device takes the disk");
        let waiting = Mutex::new(Waiting::default());
        let queues = Arc::new(Queues {
            waiting,
            news: Condvar::new(),
        });
        spawn("disk-device", {
            let device = Arc::clone(&device);
            // The kernel holds its end only from here on; ours stays open until it returns.
            move || {
                let _ = device.run();
                drop(kernel_end);
            }
        });
        serve(our_end, state, &queues);
        wait_until_ready(&node, disk.bytes);
        drop(looking);
        Self {
            node,
            device,
            queues,
        }
    }

    pub(super) fn node(&self) -> &Path {
        &self.node
    }

    pub(super) fn hanging(&self) -> usize {
        self.queues.waiting().hanging.len()
    }

    /// Offers all hanging requests to the disk again, in the order in which they came.
    pub(super) fn take_up_again(&self, state: &State) {
        let hanging = std::mem::take(&mut self.queues.waiting().hanging);
        for request in hanging {
            self.queues.take_in(state, request);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Whatever is still open on the device fails from here on; there is nobody to tell.
        let _ = self.device.disconnect();
        let _ = self.device.clear();
        self.queues.waiting().closed = true;
        self.queues.news.notify_all();
    }
}

fn serve(our_end: UnixStream, state: &Arc<State>, queues: &Arc<Queues>) {
    let mut sender = our_end.try_clone().expect("socket");
    spawn("disk-answers", {
        let queues = Arc::clone(queues);
        move || {
            set_io_flusher().expect("a guest's root may serve I/O");
            while let Some((handle, answered)) = queues.next_due() {
                if write_reply(&mut sender, handle, &answered).is_err() {
                    return;
                }
            }
        }
    });
    spawn("disk-requests", {
        let (state, queues) = (Arc::clone(state), Arc::clone(queues));
        let mut receiver = our_end;
        move || {
            set_io_flusher().expect("a guest's root may serve I/O");
            while let Ok(request) = read_request(&mut receiver) {
                if request.action == Action::Disconnect {
                    return;
                }
                queues.take_in(&state, request);
            }
        }
    });
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .expect("thread of a harness disk");
}

fn geometry(disk: &Disk) -> Geometry {
    let mut flags = 0;
    for (wanted, flag) in [
        (disk.read_only, READ_ONLY),
        (disk.write_cache, SEND_FLUSH | SEND_FUA),
        (disk.discard, SEND_TRIM),
    ] {
        flags |= if wanted { flag } else { 0 };
    }
    let block_bytes = u64::from(disk.block_bytes);
    assert!(
        disk.bytes.is_multiple_of(block_bytes),
        "a disk is a whole number of its blocks"
    );
    let blocks = u32::try_from(disk.bytes / block_bytes).expect("disk under 2^32 blocks");
    Geometry {
        block_bytes: disk.block_bytes,
        blocks,
        flags,
    }
}

/// The first nbd device that nobody uses: one in use has a `pid` in sysfs.
fn free_node() -> PathBuf {
    (0..16)
        .find(|number| {
            let block = PathBuf::from(format!("/sys/block/nbd{number}"));
            block.exists() && !block.join("pid").exists()
        })
        .map(|number| PathBuf::from(format!("/dev/nbd{number}")))
        .expect("a free nbd device; is the module loaded?")
}

/// Waits until the device has its size and its cache mode, which it gets in `NBD_DO_IT`.
fn wait_until_ready(node: &Path, bytes: u64) {
    let name = node.file_name().expect("name").to_string_lossy();
    let block = PathBuf::from(format!("/sys/block/{name}"));
    let deadline = Instant::now() + Duration::from_secs(10);
    let size = || std::fs::read_to_string(block.join("size")).unwrap_or_default();
    while size().trim() != (bytes / 512).to_string() || !block.join("pid").exists() {
        assert!(
            Instant::now() < deadline,
            "{name} did not come up: size {}",
            size().trim()
        );
        thread::sleep(Duration::from_millis(2));
    }
}
