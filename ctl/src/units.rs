//! Quantities as people write and read them.
//!
//! Owns: the reading of sizes, ranges, targets and durations from arguments, and their writing in
//! tables. Sizes are binary as storage tools have it: `4M` and `4MiB` are 4 × 1024²; `4MB` is 10⁶.

use std::time::Duration;

use bytesize::ByteSize;
use tier_wire::{Class, MoveRange, MoveTarget, Priority};

/// A size from an argument: digits and a unit.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let wrong =
        || format!("{text:?} is no size; write bytes, or a number with K, M, G, T, MiB, MB …");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.trim_start().to_ascii_lowercase();
    let factor = match unit.as_str() {
        "" | "b" => 1,
        _ => {
            let (prefix, rest) = unit.split_at_checked(1).ok_or_else(wrong)?;
            let power = match prefix {
                "k" => 1,
                "m" => 2,
                "g" => 3,
                "t" => 4,
                "p" => 5,
                _ => return Err(wrong()),
            };
            let base: u64 = match rest {
                "" | "i" | "ib" => 1024,
                "b" => 1000,
                _ => return Err(wrong()),
            };
            base.pow(power)
        }
    };
    number
        .checked_mul(factor)
        .ok_or_else(|| format!("{text} is more than 64 bits of bytes"))
}

/// Regions from an argument: `A-B` (both of them too) or `A`.
pub(crate) fn parse_regions(text: &str) -> Result<MoveRange, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>()) else {
        return Err(format!(
            "{text:?} is no range of regions; write FIRST-LAST, such as 0-63"
        ));
    };
    match last
        .checked_sub(first)
        .and_then(|length| length.checked_add(1))
    {
        Some(count) => Ok(MoveRange::Regions { first, count }),
        None => Err(format!(
            "{text:?} ends before it begins; write FIRST-LAST, such as 0-63"
        )),
    }
}

/// Bytes from an argument: `OFFSET+LENGTH`, each a size.
pub(crate) fn parse_bytes(text: &str) -> Result<MoveRange, String> {
    let (offset, length) = text.split_once('+').ok_or_else(|| {
        format!("{text:?} is no range of bytes; write OFFSET+LENGTH, as in 1G+64M")
    })?;
    let (offset, length) = (parse_size(offset)?, parse_size(length)?);
    if length == 0 {
        return Err(format!(
            "{text:?} is empty; write a length of one byte at least"
        ));
    }
    Ok(MoveRange::Bytes { offset, length })
}

/// Where to, from an argument: a class, or `member:N`.
pub(crate) fn parse_target(text: &str) -> Result<MoveTarget, String> {
    if let Ok(class) = text.parse::<Class>() {
        return Ok(MoveTarget::Class(class));
    }
    text.strip_prefix("member:")
        .and_then(|index| index.parse().ok())
        .map(MoveTarget::Member)
        .ok_or_else(|| format!("{text:?} is no target; write nvme, ssd, hdd or member:N"))
}

/// A priority from an argument, by its name.
pub(crate) fn parse_priority(text: &str) -> Result<Priority, String> {
    let mut all = Priority::ALL.into_iter();
    all.find(|one| one.name() == text)
        .ok_or_else(|| format!("{text:?} is no priority; write low, normal or high"))
}

/// A duration from an argument: seconds, or as in `2m 30s`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string()),
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string()),
    };
    match duration {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        Ok(_) => Err("the time is zero; write seconds, or as in 500ms or 2m".into()),
        Err(error) => Err(format!(
            "{text:?} is no time ({error}); write seconds, or as in 500ms or 2m"
        )),
    }
}

/// Bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// Bytes per second for people.
pub(crate) fn rate(bytes_per_second: u64) -> String {
    format!("{}/s", size(bytes_per_second))
}

/// A share of 0 to 1 as a percentage.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// `part` of `whole` as a percentage.
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn percent_of(part: u64, whole: u64) -> String {
    if whole == 0 {
        "–".into()
    } else {
        percent(part as f64 / whole as f64)
    }
}

/// Seconds for people: three digits below a minute, two units above.
pub(crate) fn seconds(seconds: f64) -> String {
    let magnitude = seconds.abs();
    if magnitude == 0.0 {
        "0 s".into()
    } else if magnitude < 0.001 {
        format!("{:.0} µs", seconds * 1e6)
    } else if magnitude < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else if magnitude < 60.0 {
        format!("{seconds:.1} s")
    } else {
        let minutes = seconds / 60.0;
        if minutes < 60.0 {
            format!(
                "{:.0} min {:02.0} s",
                minutes.floor(),
                (seconds % 60.0).floor()
            )
        } else if minutes < 48.0 * 60.0 {
            format!(
                "{:.0} h {:02.0} min",
                (minutes / 60.0).floor(),
                (minutes % 60.0).floor()
            )
        } else {
            format!(
                "{:.0} d {:02.0} h",
                (minutes / 1440.0).floor(),
                (minutes / 60.0 % 24.0).floor()
            )
        }
    }
}

/// A value that may be missing.
pub(crate) fn or_dash<T>(value: Option<T>, write: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "–".into(), write)
}

/// `one thing`, `2 things`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    if number == 1 {
        format!("1 {thing}")
    } else {
        format!("{number} {thing}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_the_forms_people_use() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            ("4K", 4096),
            ("1MiB", 1 << 20),
            ("1 MiB", 1 << 20),
            ("4M", 4 << 20),
            ("4m", 4 << 20),
            ("4Mi", 4 << 20),
            ("4MB", 4_000_000),
            ("2g", 2 << 30),
            ("3TiB", 3 << 40),
            ("1P", 1 << 50),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "-1", "1.5M", "1X", "1MiBs", "1é", "999999P", "1M2"] {
            assert!(parse_size(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn ranges_are_read_with_both_ends() {
        assert_eq!(
            parse_regions("0-63"),
            Ok(MoveRange::Regions {
                first: 0,
                count: 64
            })
        );
        assert_eq!(
            parse_regions("7"),
            Ok(MoveRange::Regions { first: 7, count: 1 })
        );
        for text in ["", "a", "3-", "-3", "5-4", "0-4294967295", "1-2-3"] {
            assert!(parse_regions(text).is_err(), "{text} was taken");
        }
        assert_eq!(
            parse_bytes("1G+64M"),
            Ok(MoveRange::Bytes {
                offset: 1 << 30,
                length: 64 << 20
            })
        );
        for text in ["", "1G", "1G+", "+1", "0+0"] {
            assert!(parse_bytes(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn targets_are_classes_or_members() {
        assert_eq!(parse_target("ssd"), Ok(MoveTarget::Class(Class::Ssd)));
        assert_eq!(parse_target("member:2"), Ok(MoveTarget::Member(2)));
        for text in ["", "SSD", "member:", "member:x", "member:65536", "2"] {
            assert!(parse_target(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn durations_are_read_as_seconds_or_with_units() {
        assert_eq!(parse_duration("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_mins(2)));
        for text in ["", "0", "-1", "x", "NaN", "inf"] {
            assert!(parse_duration(text).is_err(), "{text} was taken");
        }
    }

    #[test]
    fn seconds_are_written_with_a_fitting_unit() {
        for (value, text) in [
            (0.0, "0 s"),
            (0.000_123, "123 µs"),
            (0.0123, "12.3 ms"),
            (12.34, "12.3 s"),
            (61.5, "1 min 01 s"),
            (3_725.0, "1 h 02 min"),
            (200_000.0, "2 d 07 h"),
            (-0.5, "-500.0 ms"),
        ] {
            assert_eq!(seconds(value), text);
        }
    }
}
