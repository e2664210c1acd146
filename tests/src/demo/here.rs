//! The job on the machine's own kernel: whether that can do it, and devices to do it on.
//!
//! Owns: three files with loop devices over them, made only after a yes, and their removal. A loop
//! device is as fast as the disk below it, so the slow ones are slowed by dm-delay: the differences
//! between the tiers are made, and the view says so.

use std::fs::File;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use tier_wire::Class;

use super::witness::Member;
use crate::command::{attempt, run};
use crate::loopdev::LoopDevice;

/// Oldest kernel on which this was tried: from here on a flush is not sent to each linear target.
const KERNEL_MIN: (u32, u32) = (6, 12);
/// Milliseconds that dm-delay adds to each access.
const DELAYS: [(Class, u32); 2] = [(Class::Hdd, 7), (Class::Ssd, 1)];

/// Why the running kernel cannot do the job, if so. Touches nothing.
pub fn suits() -> Result<(), String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut parts = release.split(|letter: char| !letter.is_ascii_digit());
    let mut part = || parts.next().and_then(|part| part.parse::<u32>().ok());
    let version = (part().unwrap_or(0), part().unwrap_or(0));
    if version < KERNEL_MIN {
        return Err(format!("it is Linux {}, older than 6.12", release.trim()));
    }
    LoopDevice::available()?;
    if !Path::new("/dev/mapper/control").exists() {
        return Err("it has no device-mapper".to_owned());
    }
    for target in ["dm-mirror", "dm-delay"] {
        // A dry run looks for the module, or finds it built in, and loads nothing (modprobe(8)).
        attempt("modprobe", &["--dry-run", target])?;
    }
    Ok(())
}

/// Asks whether the devices may be made. No terminal, no yes.
#[must_use]
pub fn is_allowed(folder: &Path, bytes: u64) -> bool {
    if !io::stdin().is_terminal() {
        return false;
    }
    let mut out = io::stdout().lock();
    let _ = write!(
        out,
        "This kernel can do the job itself. It would make files of {} MiB in {},\n\
         loop devices over them, slowed by dm-delay, and a volume of its own, and remove all of it\n\
         afterwards. No other device is touched. Otherwise it runs in a virtual machine.\n\
         Use this kernel? [y/N] ",
        bytes >> 20,
        folder.display()
    );
    let _ = out.flush();
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).is_ok() && answer.trim().eq_ignore_ascii_case("y")
}

/// The devices, gone when dropped.
#[derive(Debug)]
pub struct Devices {
    slowed: Vec<String>,
    loops: Vec<(Class, LoopDevice)>,
}

impl Devices {
    /// Makes a device for each class and size, with its file in `folder`.
    #[must_use]
    pub fn make(folder: &Path, sizes: &[(Class, u64)]) -> Self {
        run("modprobe", &["-a", "dm-mirror", "dm-delay"]);
        let mut devices = Self {
            slowed: Vec::new(),
            loops: Vec::new(),
        };
        for &(class, bytes) in sizes {
            let file = folder.join(format!("{class}.img"));
            let image = File::create(&file).expect("file of a device");
            image.set_len(bytes).expect("file of a device");
            let device = LoopDevice::attach(&file, 512);
            if let Some((_, delay)) = DELAYS.iter().find(|(slow, _)| *slow == class) {
                let name = format!("tierd-demo-{class}");
                let (sectors, below) = (bytes / 512, device.path().display());
                let table = format!("0 {sectors} delay {below} 0 {delay}");
                run("dmsetup", &["create", &name, "--table", &table]);
                devices.slowed.push(name);
            }
            devices.loops.push((class, device));
        }
        devices
    }

    /// As members, in the order in which they were made.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        let member = |(class, device): &(Class, LoopDevice)| {
            let slowed = PathBuf::from(format!("/dev/mapper/tierd-demo-{class}"));
            Member {
                class: *class,
                path: if slowed.exists() {
                    slowed
                } else {
                    device.path().to_owned()
                },
            }
        };
        self.loops.iter().map(member).collect()
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        for name in &self.slowed {
            if let Err(why) = attempt("dmsetup", &["remove", "--retry", name]) {
                // After a failure the volume may still be there. It is not torn down by force: what
                // went wrong can be looked at, and a real volume may run beside it.
                let _ = writeln!(
                    io::stderr(),
                    "left behind: {why}\nwhat is still there shows in `dmsetup ls --tree`, and its \
                     file system in `findmnt`"
                );
            }
        }
    }
}
