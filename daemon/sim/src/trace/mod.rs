//! Block traces: what was read and written, where and when.
//!
//! Owns: [`Trace`], the writing of one ([`Writer`]), and its reading from a file, whose format is found by its beginning:
//!
//! - the CSV of this project: `timestamp_us,op,offset_bytes,length_bytes`, `op` being `R` or `W`;
//! - the CSV of the MSR Cambridge traces (SNIA): time in units of 100 ns, host, disk number, `Read`
//!   or `Write`, offset, size and response time, without a header;
//! - the text of blkparse(1) in its default format, of which the requests that were queued count;
//! - an I/O log of fio(1), version 2 or 3.
//!
//! Each of them plain or compressed by zstd. A line that is torn or makes no sense ends the reading
//! with its number: half a trace would be taken for a whole one.

mod blkparse;
mod csv;
mod fio;
mod writer;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use tier_core::units::{Bytes, Micros};

pub use writer::Writer;

/// What was asked of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// To read.
    Read,
    /// To write.
    Write,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// When it came, from the first request on.
    pub at: Micros,
    /// What it asked for.
    pub op: Op,
    /// Where it began.
    pub offset: Bytes,
    /// How long it was; never zero.
    pub length: Bytes,
}

/// A trace, in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// In the order of time, which begins with the first. Those of one instant stand as they
    /// stood in the file.
    pub requests: Vec<Request>,
    /// Lines that were read and tell of no read or write of data: flushes, discards, other stages
    /// of a request, files opened and closed.
    pub lines_passed_over: u64,
}

/// Why a trace could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file itself.
    #[error("cannot read the trace {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its beginning is that of no format known here.
    #[error(
        "{} is no trace that is known here: its first line is {line:?}; wanted are tierd's own \
         CSV (timestamp_us,op,offset_bytes,length_bytes), the CSV of the MSR Cambridge \
         traces, the text of blkparse, or an iolog of fio, plain or compressed by zstd",
        path.display()
    )]
    Unknown {
        /// Which file.
        path: PathBuf,
        /// How it begins.
        line: String,
    },
    /// A line.
    #[error(
        "line {number} of the trace {} is torn or makes no sense: {why}; cut the file before it, \
         or mend the line",
        path.display()
    )]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, counted from 1.
        number: u64,
        /// What is wrong with it.
        why: String,
    },
    /// There is no request in it.
    #[error("the trace {} holds no read and no write", .0.display())]
    Empty(PathBuf),
}

/// A line that cannot be understood: its number, and what is wrong.
#[derive(Debug, PartialEq, Eq)]
struct Torn {
    number: u64,
    why: String,
}

/// What stops the reading of a format.
#[derive(Debug)]
enum Stop {
    Io(io::Error),
    Torn(Torn),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Requests as a format gives them: times of any origin, in any order.
#[derive(Debug, Default)]
struct Raw {
    /// Time in nanoseconds, and the request without it.
    requests: Vec<(u64, Op, u64, u64)>,
    passed_over: u64,
}

impl Raw {
    /// Takes a request in. An empty one is no request.
    fn push(&mut self, nanos: u64, op: Op, offset: u64, length: u64) {
        if length == 0 {
            self.passed_over += 1;
        } else {
            self.requests.push((nanos, op, offset, length));
        }
    }
}

/// A reader of lines that begins with what was read to find the format.
type Lines = BufReader<Box<dyn Read>>;

impl Trace {
    /// Reads a trace.
    ///
    /// # Errors
    /// When the file cannot be read, is in no format known here, has a line that makes no sense,
    /// or holds no request.
    pub fn read(path: &Path) -> Result<Self, TraceError> {
        let failed = |source| TraceError::Io {
            path: path.to_owned(),
            source,
        };
        let mut lines = open(path).map_err(failed)?;
        let first = first_line(&mut lines).map_err(failed)?;
        let raw = match format(&first) {
            Some(Format::Own) => csv::own(lines),
            Some(Format::Msr) => csv::msr(lines),
            Some(Format::Blkparse) => by_line(lines, blkparse::Reader::default()),
            Some(Format::Fio(version)) => by_line(lines, fio::Reader::new(version)),
            None => {
                return Err(TraceError::Unknown {
                    path: path.to_owned(),
                    line: first.chars().take(80).collect(),
                });
            }
        };
        let raw = raw.map_err(|stop| match stop {
            Stop::Io(source) => failed(source),
            Stop::Torn(Torn { number, why }) => TraceError::Line {
                path: path.to_owned(),
                number,
                why,
            },
        })?;
        if raw.requests.is_empty() {
            return Err(TraceError::Empty(path.to_owned()));
        }
        Ok(Self::of(raw))
    }

    fn of(mut raw: Raw) -> Self {
        raw.requests.sort_by_key(|request| request.0);
        let origin = raw.requests.first().map_or(0, |request| request.0);
        let request = |(nanos, op, offset, length): (u64, Op, u64, u64)| Request {
            at: Micros((nanos - origin) / 1000),
            op,
            offset: Bytes(offset),
            length: Bytes(length),
        };
        Self {
            requests: raw.requests.into_iter().map(request).collect(),
            lines_passed_over: raw.passed_over,
        }
    }

    /// From the first request to the last.
    #[must_use]
    pub fn span(&self) -> Micros {
        self.requests.last().map_or(Micros(0), |last| last.at)
    }

    /// The byte after the last one that is read or written.
    #[must_use]
    pub fn end(&self) -> Bytes {
        let ends = self
            .requests
            .iter()
            .map(|one| one.offset.0.saturating_add(one.length.0));
        Bytes(ends.max().unwrap_or(0))
    }
}

/// The formats, told apart by the first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Own,
    Msr,
    Blkparse,
    Fio(fio::Version),
}

fn format(first: &str) -> Option<Format> {
    let first = first.trim();
    if first == csv::OWN_HEADER {
        return Some(Format::Own);
    }
    if let Some(version) = fio::Version::of(first) {
        return Some(Format::Fio(version));
    }
    if blkparse::is_line(first) {
        return Some(Format::Blkparse);
    }
    csv::is_msr_line(first).then_some(Format::Msr)
}

/// The first four bytes of a zstd frame (RFC 8878, 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

fn open(path: &Path) -> io::Result<Lines> {
    let mut file = BufReader::new(File::open(path)?);
    let plain: Box<dyn Read> = if file.fill_buf()?.starts_with(&ZSTD_MAGIC) {
        let decoder = ruzstd::decoding::StreamingDecoder::new(file);
        Box::new(decoder.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?)
    } else {
        Box::new(file)
    };
    Ok(BufReader::new(plain))
}

/// The first line, as far as it is in the buffer, without taking it.
fn first_line(lines: &mut Lines) -> io::Result<String> {
    let buffer = lines.fill_buf()?;
    let line = buffer.split(|&byte| byte == b'\n').next().unwrap_or(buffer);
    Ok(String::from_utf8_lossy(line).into_owned())
}

/// A format whose lines are read one by one.
trait ByLine {
    /// Takes a line in; an error says what is wrong with it.
    fn line(&mut self, line: &str, raw: &mut Raw) -> Result<(), String>;
}

fn by_line(mut lines: Lines, mut format: impl ByLine) -> Result<Raw, Stop> {
    let (mut raw, mut line, mut number) = (Raw::default(), Vec::new(), 0);
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(raw);
        }
        number += 1;
        let torn = |why| Stop::Torn(Torn { number, why });
        let text = std::str::from_utf8(&line).map_err(|error| torn(error.to_string()))?;
        let text = text.trim();
        if !text.is_empty() {
            format.line(text, &mut raw).map_err(torn)?;
        }
    }
}

/// A number in a line.
fn number<T: std::str::FromStr>(what: &str, text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{what} is {text:?}, which is no number that fits"))
}

#[cfg(test)]
mod tests;
