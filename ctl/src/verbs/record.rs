//! `tierctl record`: a trace of what is asked of a device, for `simulate`.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tier_bpf::{DeviceNumber, KernelFeature, ProbeError, RecordedBio, Recorder};
use tier_sim::trace::{Op, Request, Writer};
use tier_sim::{Bytes, Micros};
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::{Look, Printer};
use crate::units::{count, parse_duration, percent_of, seconds, size};

/// Room for half a million requests between two looks.
const RING_BYTES: u32 = 16 << 20;
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The name that stands for standard output.
const STDOUT: &str = "-";

#[derive(Args, Debug)]
pub(crate) struct Record {
    /// The device whose load is recorded: a whole one with its partitions, or one partition
    device: PathBuf,
    /// The file to write, which must not exist yet; - for standard output
    ///
    /// Keep it on another disk: what writes the trace would be recorded too. A request takes some
    /// 30 bytes; `--output - | zstd > FILE` makes it a third of
    /// that, or less.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// How long to record; until interrupted if it is not given
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    time: Option<Duration>,
}

/// What was recorded.
#[derive(Debug, Default, Serialize)]
struct Recorded {
    device: String,
    output: String,
    seconds: f64,
    reads: u64,
    writes: u64,
    read_bytes: u64,
    written_bytes: u64,
    /// Requests that came too fast to be recorded.
    missed: u64,
}

impl Record {
    pub(crate) async fn run(self, printer: &mut Printer) -> Result<(), Failure> {
        let name = self.device.display().to_string();
        let device = DeviceNumber::of_path(&self.device)
            .map_err(|error| no_device(&error, &name).with_device(name.clone()))?;
        let mut ends = Ends::new()?;
        let recorder = Recorder::start(device, RING_BYTES)
            .map_err(|error| not_recorded(&error).with_device(name.clone()))?;
        let to = self.open()?;
        if self.is_on(device) {
            printer.note(&format!(
                "{} lies on {name}: what writes it is recorded too",
                self.output.display()
            ));
        }
        printer.note(&format!("recording {name}; an interrupt (Ctrl-C) ends it"));
        let began = Instant::now();
        ends.at = self.time.and_then(|time| began.checked_add(time));
        let mut tape = Tape::new(to).map_err(|error| self.not_written(&error))?;
        let mut is_over = false;
        while !is_over {
            is_over = ends.within(LOOK_EVERY).await;
            let bios = recorder.take().map_err(|error| not_recorded(&error))?;
            tape.add(&bios).map_err(|error| self.not_written(&error))?;
        }
        let mut sum = tape.end().map_err(|error| self.not_written(&error))?;
        sum.missed = recorder.missed().map_err(|error| not_recorded(&error))?;
        sum.seconds = began.elapsed().as_secs_f64();
        sum.device = name;
        sum.output = self.output.display().to_string();
        if self.output == Path::new(STDOUT) {
            printer.note(&shown(&sum, printer.look()));
            return Ok(());
        }
        printer.show(&sum, shown)
    }

    fn open(&self) -> Result<BufWriter<Box<dyn Sink>>, Failure> {
        let to: Box<dyn Sink> = if self.output == Path::new(STDOUT) {
            Box::new(io::stdout())
        } else {
            let file = File::create_new(&self.output).map_err(|error| self.not_written(&error))?;
            Box::new(file)
        };
        Ok(BufWriter::with_capacity(1 << 20, to))
    }

    fn not_written(&self, error: &io::Error) -> Failure {
        let exit = match error.kind() {
            ErrorKind::AlreadyExists => Exit::Exists,
            // The reader has what it wanted.
            ErrorKind::BrokenPipe => Exit::Done,
            _ => Exit::Output,
        };
        let message = format!("cannot write the trace {}: {error}", self.output.display());
        Failure::new(exit, message).with_errno(error.raw_os_error())
    }

    /// Whether the trace is written to the device that is recorded, as far as that can be seen.
    fn is_on(&self, device: DeviceNumber) -> bool {
        let Ok(metadata) = fs::metadata(&self.output) else {
            return false;
        };
        let holds = DeviceNumber::from_rdev(metadata.dev());
        let parent = fs::canonicalize(format!("/sys/dev/block/{holds}/.."));
        let parent = parent.and_then(|parent| fs::read_to_string(parent.join("dev")));
        holds == device || parent.is_ok_and(|parent| parent.trim() == device.to_string())
    }
}

/// What a trace is written to.
trait Sink: Write {
    /// Makes it durable.
    fn keep(&mut self) -> io::Result<()>;
}

impl Sink for io::Stdout {
    fn keep(&mut self) -> io::Result<()> {
        self.flush()
    }
}

impl Sink for File {
    fn keep(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// The trace as it is written.
struct Tape {
    writer: Writer<BufWriter<Box<dyn Sink>>>,
    recorded: Recorded,
    /// When the first request came: times count from it.
    origin_ns: Option<u64>,
}

impl Tape {
    fn new(to: BufWriter<Box<dyn Sink>>) -> io::Result<Self> {
        Ok(Self {
            writer: Writer::new(to)?,
            recorded: Recorded::default(),
            origin_ns: None,
        })
    }

    /// Writes requests, in the order of time within what was taken together.
    fn add(&mut self, bios: &[RecordedBio]) -> io::Result<()> {
        let mut bios = bios.to_vec();
        bios.sort_by_key(|bio| bio.time_ns);
        for bio in &bios {
            let origin_ns = *self.origin_ns.get_or_insert(bio.time_ns);
            let length = u64::from(bio.length_bytes);
            let (op, requests, bytes) = if bio.is_write {
                let all = &mut self.recorded;
                (Op::Write, &mut all.writes, &mut all.written_bytes)
            } else {
                let all = &mut self.recorded;
                (Op::Read, &mut all.reads, &mut all.read_bytes)
            };
            *requests += 1;
            *bytes += length;
            self.writer.write(&Request {
                at: Micros(bio.time_ns.saturating_sub(origin_ns) / 1000),
                op,
                offset: Bytes(bio.offset_bytes),
                length: Bytes(length),
            })?;
        }
        Ok(())
    }

    fn end(mut self) -> io::Result<Recorded> {
        self.writer.flush()?;
        self.writer.into_inner().get_mut().keep()?;
        Ok(self.recorded)
    }
}

/// What ends the recording.
struct Ends {
    at: Option<Instant>,
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Ends {
    fn new() -> Result<Self, Failure> {
        let catch = |kind: SignalKind| {
            signal(kind).map_err(|error| {
                let message = format!("cannot catch the signal that ends a recording: {error}");
                Failure::new(Exit::Internal, message).with_errno(error.raw_os_error())
            })
        };
        Ok(Self {
            at: None,
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
        })
    }

    /// Waits so long; whether it is over then.
    async fn within(&mut self, time: Duration) -> bool {
        let left = self
            .at
            .map(|at| at.saturating_duration_since(Instant::now()));
        let time = left.map_or(time, |left| left.min(time));
        tokio::select! {
            _ = self.interrupt.recv() => true,
            _ = self.terminate.recv() => true,
            () = tokio::time::sleep(time) => left.is_some_and(|left| left <= time),
        }
    }
}

fn no_device(error: &io::Error, name: &str) -> Failure {
    let exit = match error.kind() {
        ErrorKind::NotFound => Exit::NotFound,
        ErrorKind::InvalidInput => Exit::Invalid,
        ErrorKind::PermissionDenied => Exit::Denied,
        _ => Exit::Io,
    };
    let message = match exit {
        Exit::Invalid => error.to_string(),
        _ => format!("cannot find the device {name}: {error}"),
    };
    Failure::new(exit, message).with_errno(error.raw_os_error())
}

fn not_recorded(error: &ProbeError) -> Failure {
    let exit = match error {
        ProbeError::Missing {
            feature: KernelFeature::Permission,
        } => Exit::Denied,
        ProbeError::Missing { .. } | ProbeError::Refused { .. } => Exit::Unsupported,
        _ => Exit::Internal,
    };
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    Failure::new(exit, message)
}

fn shown(recorded: &Recorded, _: Look) -> String {
    let requests = recorded.reads + recorded.writes;
    let mut text = format!(
        "{} of {} in {}: {} read ({}), {} written ({})\n",
        count(requests, "request"),
        recorded.device,
        seconds(recorded.seconds),
        recorded.reads,
        size(recorded.read_bytes),
        recorded.writes,
        size(recorded.written_bytes),
    );
    if recorded.missed > 0 {
        text += &format!(
            "{} came too fast to be recorded ({} of all)\n",
            count(recorded.missed, "request"),
            percent_of(recorded.missed, requests + recorded.missed)
        );
    }
    if recorded.output != STDOUT {
        text += &format!("next: tierctl simulate --trace {}\n", recorded.output);
    }
    text
}
