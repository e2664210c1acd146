//! How long I/O to a volume on ublk waits while either of its two processes dies and comes back.
//!
//! Owns: a load that notes its longest request, and the deaths.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tier_tests::guest::Inside;
use tier_tests::io::wait_until;

use crate::effort::Effort;
use crate::fio::Span;
use crate::page::Table;
use crate::rig::REGION_BYTES;
use crate::spread::Spread;
use crate::ublk::{daemon, server};

const BLOCK: usize = 4096;
/// Where the I/O goes.
const SPAN_BYTES: u64 = 64 * REGION_BYTES;
/// How long it is looked on after each death.
const AFTER: Duration = Duration::from_secs(3);
/// Less than a process takes to serve again.
const MOMENT: Duration = Duration::from_millis(50);
/// Longer than a process takes to serve again.
const PATIENCE: Duration = Duration::from_mins(2);

/// Reads and writes in turn, one in flight, until it is told to end.
struct Load {
    longest_micros: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Load {
    fn start(device: &Path) -> Self {
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_DIRECT.bits())
            .open(device)
            .expect("device of the bench");
        let longest_micros = Arc::new(AtomicU64::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let (longest, over) = (Arc::clone(&longest_micros), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            // Direct I/O wants memory that is aligned to blocks.
            let mut memory = vec![7; 2 * BLOCK];
            let start = memory.as_ptr().align_offset(BLOCK);
            let buffer = &mut memory[start..start + BLOCK];
            let mut random = fastrand::Rng::with_seed(1);
            while !over.load(Ordering::SeqCst) {
                let at = random.u64(0..SPAN_BYTES / BLOCK as u64) * BLOCK as u64;
                let begun = Instant::now();
                let done = if random.bool() {
                    file.read_exact_at(buffer, at)
                } else {
                    file.write_all_at(buffer, at)
                };
                done.expect("no request fails");
                let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                longest.fetch_max(micros, Ordering::SeqCst);
            }
        });
        Self {
            longest_micros,
            is_over,
            thread,
        }
    }

    /// The longest request that ended since this was asked last, in milliseconds.
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    fn longest_millis(&self) -> f64 {
        self.longest_micros.swap(0, Ordering::SeqCst) as f64 / 1e3
    }

    /// Whether a request has ended since then.
    fn has_news(&self) -> bool {
        self.longest_micros.load(Ordering::SeqCst) > 0
    }

    fn end(self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.join().expect("the load saw no error");
    }
}

/// The longest requests while nothing happens, while the daemon restarts, and while the process that
/// serves is killed.
pub(crate) fn measure(guest: &Inside) -> String {
    let effort = Effort::rounds(7);
    let mut policy = daemon(guest);
    policy.create_on("ublk", "v", &[("nvme", &guest.drive("fast"))]);
    let device = Path::new("/dev/tierd/v");
    Span::start(device, SPAN_BYTES).fill();
    let load = Load::start(device);
    let mut longest = [(); 4].map(|()| Spread::default());
    for _round in 0..effort.rounds {
        load.longest_millis();
        std::thread::sleep(AFTER);
        longest[0].note(load.longest_millis());
        assert!(policy.stop().success());
        policy = daemon(guest);
        std::thread::sleep(AFTER);
        longest[1].note(load.longest_millis());
        policy.kill();
        policy = daemon(guest);
        std::thread::sleep(AFTER);
        longest[2].note(load.longest_millis());
        let serving = server("v").expect("a process serves");
        kill(Pid::from_raw(serving.cast_signed()), Signal::SIGKILL).expect("SIGKILL");
        // What had ended before it died.
        std::thread::sleep(MOMENT);
        load.longest_millis();
        wait_until("a request ends again", PATIENCE, || load.has_news());
        longest[3].note(load.longest_millis());
    }
    load.end();
    let names = [
        "nothing happens",
        "the daemon is stopped, and started again",
        "the daemon is killed, and started again",
        "the process that serves is killed; the daemon starts another",
    ];
    let mut table = Table::new(
        "The longest request while either process of a volume on ublk restarts",
        &["", "ms", "longest of all"],
    );
    for (name, spread) in names.iter().zip(&longest) {
        let most = format!("{:.0}", spread.quantile(1.0));
        table.row(&[(*name).to_owned(), spread.shown(0), most]);
    }
    table.end(&format!(
        "{} rounds, one request of 4 KiB in flight, reads and writes, on NVMe. No request failed.",
        effort.rounds
    ))
}
