//! The two CSV formats.

use super::{Lines, Op, Raw, Stop, Torn};

/// The header of this project's own traces.
pub(super) const OWN_HEADER: &str = "timestamp_us,op,offset_bytes,length_bytes";

/// Columns of a line of the MSR Cambridge traces.
const MSR_COLUMNS: usize = 7;

/// Whether a line looks like one of the MSR Cambridge traces.
pub(super) fn is_msr_line(line: &str) -> bool {
    let columns: Vec<_> = line.split(',').collect();
    columns.len() == MSR_COLUMNS
        && columns[0].parse::<u64>().is_ok()
        && matches!(columns[3], "Read" | "Write")
}

/// Reads this project's own CSV.
pub(super) fn own(lines: Lines) -> Result<Raw, Stop> {
    rows(lines, true, |row| {
        let op = match row.get(1) {
            Some("R") => Op::Read,
            Some("W") => Op::Write,
            other => return Err(format!("the second column is {other:?}, and not R or W")),
        };
        let micros = column(row, 0, "timestamp_us")?;
        let offset = column(row, 2, "offset_bytes")?;
        Ok((
            nanos(micros, 1000)?,
            op,
            offset,
            column(row, 3, "length_bytes")?,
        ))
    })
}

/// Reads an MSR Cambridge trace. Its times are those of Windows: units of 100 ns since 1601.
pub(super) fn msr(lines: Lines) -> Result<Raw, Stop> {
    rows(lines, false, |row| {
        let op = match row.get(3) {
            Some("Read") => Op::Read,
            Some("Write") => Op::Write,
            other => {
                return Err(format!(
                    "the fourth column is {other:?}, and not Read or Write"
                ));
            }
        };
        let time = column(row, 0, "the time")?;
        let offset = column(row, 4, "the offset")?;
        // From 1601 on, a time in nanoseconds does not fit.
        let since_2000 = time_since_2000(time);
        Ok((
            nanos(since_2000, 100)?,
            op,
            offset,
            column(row, 5, "the size")?,
        ))
    })
}

/// Units of 100 ns from 1601 to 2000.
const YEAR_2000: u64 = 125_911_584_000_000_000;

const fn time_since_2000(time: u64) -> u64 {
    // A trace whose times were shifted to begin at zero stays as it is.
    if time >= YEAR_2000 {
        time - YEAR_2000
    } else {
        time
    }
}

fn nanos(time: u64, unit: u64) -> Result<u64, String> {
    time.checked_mul(unit)
        .ok_or_else(|| format!("the time {time} is too large"))
}

fn column(row: &csv::StringRecord, at: usize, what: &str) -> Result<u64, String> {
    super::number(what, row.get(at).unwrap_or_default())
}

type Row = (u64, Op, u64, u64);

fn rows(
    lines: Lines,
    has_header: bool,
    read: impl Fn(&csv::StringRecord) -> Result<Row, String>,
) -> Result<Raw, Stop> {
    let mut raw = Raw::default();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(has_header)
        .trim(csv::Trim::All)
        .from_reader(lines);
    let mut row = csv::StringRecord::new();
    loop {
        match reader.read_record(&mut row) {
            Ok(true) => {}
            Ok(false) => return Ok(raw),
            Err(error) => return Err(stop(error)),
        }
        let number = row.position().map_or(0, csv::Position::line);
        let (nanos, op, offset, length) =
            read(&row).map_err(|why| Stop::Torn(Torn { number, why }))?;
        raw.push(nanos, op, offset, length);
    }
}

fn stop(error: csv::Error) -> Stop {
    let number = error.position().map_or(0, csv::Position::line);
    let why = match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("it has {len} columns, and those before have {expected_len}"),
        csv::ErrorKind::Io(_) => {
            let csv::ErrorKind::Io(source) = error.into_kind() else {
                return Stop::Torn(Torn {
                    number,
                    why: "it cannot be read".to_owned(),
                });
            };
            return Stop::Io(source);
        }
        _ => error.to_string(),
    };
    Stop::Torn(Torn { number, why })
}
