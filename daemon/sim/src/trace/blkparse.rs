//! The text of blkparse(1), in its default format:
//! `major,minor cpu sequence seconds.nanos pid action flags sector + sectors [process]`.
//!
//! Requests that were queued (action `Q`) count: it is what came to the device, before requests
//! were merged and whatever became of them. blkparse ends its output with a summary per processor
//! and device, which is passed over.

use super::{ByLine, Op, Raw, number};

/// The unit of addresses, whatever the device's blocks are.
const SECTOR_BYTES: u64 = 512;

/// Whether a line is one of an event.
pub(super) fn is_line(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let device = words.next().and_then(|device| device.split_once(','));
    let is_device = device
        .is_some_and(|(major, minor)| major.parse::<u32>().is_ok() && minor.parse::<u32>().is_ok());
    let is_time = |word: &str| word.contains('.') && word.parse::<f64>().is_ok();
    is_device && words.nth(2).is_some_and(is_time)
}

/// Reads events until the summary begins.
#[derive(Debug, Default)]
pub(super) struct Reader {
    is_over: bool,
}

impl ByLine for Reader {
    fn line(&mut self, line: &str, raw: &mut Raw) -> Result<(), String> {
        // "CPU0 (sda):" or "Total (sda):"
        self.is_over |=
            line.ends_with("):") && (line.starts_with("CPU") || line.starts_with("Total"));
        if self.is_over {
            raw.passed_over += 1;
            return Ok(());
        }
        if !is_line(line) {
            return Err(format!("{line:?} is no event"));
        }
        let words: Vec<_> = line.split_whitespace().collect();
        let (time, rest) = (words[3], words.get(5..).unwrap_or_default());
        let (Some(&action), Some(&flags)) = (rest.first(), rest.get(1)) else {
            return Err("the action or its flags are missing".to_owned());
        };
        let op = op(flags).filter(|_| action == "Q");
        let Some(op) = op else {
            raw.passed_over += 1;
            return Ok(());
        };
        match rest.get(2..5) {
            Some([sector, "+", sectors]) => {
                let bytes = |what, text| -> Result<u64, String> {
                    let sectors: u64 = number(what, text)?;
                    let bytes = sectors.checked_mul(SECTOR_BYTES);
                    bytes.ok_or_else(|| format!("{what} {sectors} is too large"))
                };
                let (offset, length) =
                    (bytes("the sector", sector)?, bytes("the length", sectors)?);
                raw.push(nanos(time)?, op, offset, length);
            }
            // A flush without data has no place.
            _ if flags.starts_with('F') => raw.passed_over += 1,
            _ => return Err("a sector and a length, as in `8 + 8`, are missing".to_owned()),
        }
        Ok(())
    }
}

/// What the flags (RWBS) say of data; a discard is neither.
fn op(flags: &str) -> Option<Op> {
    if flags.contains('D') {
        return None;
    }
    let is = |letter| flags.contains(letter);
    match (is('R'), is('W')) {
        (true, false) => Some(Op::Read),
        (false, true) => Some(Op::Write),
        _ => None,
    }
}

fn nanos(time: &str) -> Result<u64, String> {
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let seconds: u64 = number("the time", seconds)?;
    let digits = format!("{fraction:0<9}");
    let nanos: u64 = number("the time", digits.get(..9).unwrap_or("?"))?;
    let all = seconds.checked_mul(1_000_000_000);
    all.and_then(|all| all.checked_add(nanos))
        .ok_or_else(|| format!("the time {time} is too large"))
}
