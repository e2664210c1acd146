//! An I/O log of fio(1), "Trace file format v2" and "v3" of its manual.
//!
//! A log may speak of several files; here they must be one, as a volume is one device. Version 2
//! has no times but waits between requests, version 3 a time on each line: microseconds, which the
//! manual does not say and fio 3.33 writes.

use super::{ByLine, Op, Raw, number};

/// Version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Two,
    Three,
}

impl Version {
    /// From the first line.
    pub(super) fn of(line: &str) -> Option<Self> {
        match line {
            "fio version 2 iolog" => Some(Self::Two),
            "fio version 3 iolog" => Some(Self::Three),
            _ => None,
        }
    }
}

/// Reads the lines behind the first.
#[derive(Debug)]
pub(super) struct Reader {
    version: Version,
    is_first: bool,
    file: Option<String>,
    now_nanos: u64,
}

impl Reader {
    pub(super) const fn new(version: Version) -> Self {
        Self {
            version,
            is_first: true,
            file: None,
            now_nanos: 0,
        }
    }

    /// Sees that all requests are for one file.
    fn file(&mut self, name: &str) -> Result<(), String> {
        let known = self.file.get_or_insert_with(|| name.to_owned());
        if known == name {
            Ok(())
        } else {
            Err(format!(
                "it is about {name}, and lines before are about {known}; a trace is of one device"
            ))
        }
    }
}

impl ByLine for Reader {
    fn line(&mut self, line: &str, raw: &mut Raw) -> Result<(), String> {
        if std::mem::take(&mut self.is_first) {
            return Ok(());
        }
        let mut words: Vec<_> = line.split_whitespace().collect();
        if self.version == Version::Three && !words.is_empty() {
            let micros: u64 = number("the time", words.remove(0))?;
            let nanos = micros.checked_mul(1000);
            self.now_nanos = nanos.ok_or_else(|| format!("the time {micros} is too large"))?;
        }
        match words.as_slice() {
            [_, "add" | "open" | "close"] | [_, "sync" | "datasync" | "trim", ..] => {
                raw.passed_over += 1;
            }
            [_, "wait", micros, ..] if self.version == Version::Two => {
                let micros: u64 = number("the wait", micros)?;
                self.now_nanos = self.now_nanos.saturating_add(micros.saturating_mul(1000));
                raw.passed_over += 1;
            }
            [file, action @ ("read" | "write"), offset, length] => {
                self.file(file)?;
                let op = if *action == "read" {
                    Op::Read
                } else {
                    Op::Write
                };
                let offset = number("the offset", offset)?;
                raw.push(self.now_nanos, op, offset, number("the length", length)?);
            }
            _ => return Err(format!("{line:?} is no action")),
        }
        Ok(())
    }
}
