//! Owns: device-mapper tables as values: how they are written for the kernel, and read back.
//!
//! Pure. Facts are from Documentation/admin-guide/device-mapper/{linear,zero,dm-raid1…} and from
//! the `ctr` and `status` functions of drivers/md/dm-linear.c, dm-raid1.c and dm-log.c.

use std::fmt;

use tier_core::units::Sectors;
use tier_store::layout::{BLANK_BYTES, BLANK_OFFSET};
use tier_sys::block::DeviceNumber;

/// Length of the lead-in of every inner device: zeros on the member of its first leg. Without them
/// an inner device that begins where a file system does would show the file system's signature
/// twice. The target `zero` would do it too, but takes no discards in Linux 6.1 (it lacks
/// `discards_supported`), and so would have the volume refuse them while anything moves (rule 13).
pub const LEAD_IN: Sectors = Sectors(BLANK_BYTES.0 / SECTOR_BYTES);

/// Where the zeros begin on each member.
const BLANK: Sectors = Sectors(BLANK_OFFSET.0 / SECTOR_BYTES);

/// device-mapper's unit, whatever the device's own blocks are.
const SECTOR_BYTES: u64 = 512;

/// Largest chunk of a mirror: 1 MiB. A write into the chunk that is being copied waits for the
/// copy of all of it, so a chunk is small beside a slow member's patience, and large enough for
/// the copy to run at the members' sequential speed.
pub const CHUNK_MAX: Sectors = Sectors(2048);

/// A line as the `devicemapper` crate takes and gives it: start, length, type, parameters.
pub type Line = (u64, u64, String, String);

/// A place on a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The device.
    pub device: DeviceNumber,
    /// Where on it.
    pub offset: Sectors,
}

impl Place {
    /// The place so many sectors further on.
    #[must_use]
    pub const fn plus(self, sectors: Sectors) -> Self {
        Self {
            device: self.device,
            offset: Sectors(self.offset.0 + sectors.0),
        }
    }
}

/// A mirror of two legs with a log in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// The unit of copying, a power of two.
    pub chunk: Sectors,
    /// The leg that is true while the copy runs: dm-mirror reads from its first leg.
    pub source: Place,
    /// The leg that is copied to.
    pub target: Place,
    /// Whether a write that failed on one leg is parked instead of acknowledged (rule 2). Always,
    /// but in a canary.
    pub handle_errors: bool,
    /// Whether the legs are believed to be equal already (rule 5). Never, but in a canary.
    pub nosync: bool,
}

/// What a part of a table does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Reads zeros, swallows writes.
    Zero,
    /// Fails all I/O.
    Error,
    /// Is another device, from there on.
    Linear(Place),
    /// Is two at once.
    Mirror(Mirror),
}

/// A part of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where in the device it begins.
    pub start: Sectors,
    /// How long it is.
    pub length: Sectors,
    /// What it does.
    pub target: Target,
}

impl Segment {
    /// The line for the kernel.
    #[must_use]
    pub fn to_line(&self) -> Line {
        let (kind, parameters) = match self.target {
            Target::Zero => ("zero", String::new()),
            Target::Error => ("error", String::new()),
            Target::Linear(place) => ("linear", place.to_string()),
            Target::Mirror(mirror) => ("mirror", mirror.to_string()),
        };
        (self.start.0, self.length.0, kind.to_owned(), parameters)
    }

    /// From the kernel's line. `None` if tierd does not make such lines.
    #[must_use]
    pub fn parse(line: &Line) -> Option<Self> {
        let (start, length, kind, parameters) = line;
        let mut words = parameters.split_whitespace();
        let target = match kind.as_str() {
            "zero" => Target::Zero,
            "error" => Target::Error,
            "linear" => Target::Linear(parse_place(&mut words)?),
            "mirror" => Target::Mirror(parse_mirror(&mut words)?),
            _ => return None,
        };
        if words.next().is_some() {
            return None;
        }
        Some(Self {
            start: Sectors(*start),
            length: Sectors(*length),
            target,
        })
    }

    /// The sector after its last one.
    #[must_use]
    pub const fn end(&self) -> Sectors {
        Sectors(self.start.0 + self.length.0)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.device, self.offset)
    }
}

impl fmt::Display for Mirror {
    /// `core <number of log arguments> <chunk> [nosync] <legs> <leg>… [<features> <feature>…]`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nosync {
            write!(f, "core 2 {} nosync ", self.chunk)?;
        } else {
            write!(f, "core 1 {} ", self.chunk)?;
        }
        write!(f, "2 {} {}", self.source, self.target)?;
        if self.handle_errors {
            write!(f, " 1 handle_errors")
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, length, kind, parameters) = self.to_line();
        write!(f, "{start} {length} {kind} {parameters}")
    }
}

fn parse_number<T: std::str::FromStr>(word: Option<&str>) -> Option<T> {
    word?.parse().ok()
}

fn parse_place<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Place> {
    let (major, minor) = words.next()?.split_once(':')?;
    let device = DeviceNumber {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
    };
    Some(Place {
        device,
        offset: Sectors(parse_number(words.next())?),
    })
}

fn parse_mirror<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Mirror> {
    if words.next()? != "core" {
        return None;
    }
    let log_arguments: u32 = parse_number(words.next())?;
    let chunk = Sectors(parse_number(words.next())?);
    let nosync = match log_arguments {
        1 => false,
        2 => match words.next()? {
            "nosync" => true,
            "sync" => false,
            _ => return None,
        },
        _ => return None,
    };
    if parse_number::<u32>(words.next())? != 2 {
        return None;
    }
    let source = parse_place(words)?;
    let target = parse_place(words)?;
    let handle_errors = match words.next() {
        None => false,
        Some("1") => words.next()? == "handle_errors",
        Some(_) => return None,
    };
    Some(Mirror {
        chunk,
        source,
        target,
        handle_errors,
        nosync,
    })
}

/// The chunk for a mirror of this length: the largest power of two up to [`CHUNK_MAX`] that is
/// not above it. A length of whole regions, 1 MiB at least, always gets [`CHUNK_MAX`].
#[must_use]
pub const fn chunk_for(length: Sectors) -> Sectors {
    let mut chunk = CHUNK_MAX.0;
    while chunk > length.0 && chunk > 1 {
        chunk /= 2;
    }
    Sectors(chunk)
}

/// An inner device's table: the lead-in on `member`, then `target` over `length`.
#[must_use]
pub fn behind_lead_in(member: DeviceNumber, length: Sectors, target: Target) -> Vec<Segment> {
    let blank = Place {
        device: member,
        offset: BLANK,
    };
    vec![
        Segment {
            start: Sectors(0),
            length: LEAD_IN,
            target: Target::Linear(blank),
        },
        Segment {
            start: LEAD_IN,
            length,
            target,
        },
    ]
}

/// The target behind an inner device's lead-in, and its length. `None` if the table is no inner
/// device's.
#[must_use]
pub fn after_lead_in(table: &[Segment]) -> Option<(Sectors, Target)> {
    match table {
        [
            Segment {
                length: LEAD_IN,
                target: Target::Linear(Place { offset: BLANK, .. }),
                ..
            },
            rest,
        ] if rest.start == LEAD_IN => Some((rest.length, rest.target)),
        _ => None,
    }
}

/// The first difference between two tables, as (sector, found, wanted).
#[must_use]
pub fn difference(found: &[Segment], wanted: &[Segment]) -> Option<(u64, String, String)> {
    let show = |segment: Option<&Segment>| segment.map_or("nothing".into(), Segment::to_string);
    let length = found.len().max(wanted.len());
    let at = (0..length).find(|at| found.get(*at) != wanted.get(*at))?;
    let sector = found
        .get(at)
        .or_else(|| wanted.get(at))
        .map_or(0, |segment| segment.start.0);
    Some((sector, show(found.get(at)), show(wanted.get(at))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: Place = Place {
        device: DeviceNumber { major: 8, minor: 0 },
        offset: Sectors(4096),
    };
    const TARGET: Place = Place {
        device: DeviceNumber {
            major: 259,
            minor: 3,
        },
        offset: Sectors(0),
    };

    fn mirror() -> Mirror {
        Mirror {
            chunk: Sectors(1024),
            source: SOURCE,
            target: TARGET,
            handle_errors: true,
            nosync: false,
        }
    }

    fn segment(target: Target) -> Segment {
        Segment {
            start: Sectors(2048),
            length: Sectors(8192),
            target,
        }
    }

    #[test]
    fn lines_are_those_that_the_kernel_takes() {
        let line = |target| segment(target).to_line();
        let expected = |kind: &str, text: &str| (2048, 8192, kind.to_owned(), text.to_owned());
        assert_eq!(line(Target::Zero), expected("zero", ""));
        assert_eq!(line(Target::Linear(SOURCE)), expected("linear", "8:0 4096"));
        assert_eq!(
            line(Target::Mirror(mirror())),
            expected("mirror", "core 1 1024 2 8:0 4096 259:3 0 1 handle_errors")
        );
        let canary = Mirror {
            handle_errors: false,
            nosync: true,
            ..mirror()
        };
        assert_eq!(
            line(Target::Mirror(canary)),
            expected("mirror", "core 2 1024 nosync 2 8:0 4096 259:3 0")
        );
    }

    #[test]
    fn what_was_written_is_read_back() {
        for target in [
            Target::Zero,
            Target::Error,
            Target::Linear(TARGET),
            Target::Mirror(mirror()),
        ] {
            let segment = segment(target);
            assert_eq!(Segment::parse(&segment.to_line()), Some(segment));
        }
    }

    #[test]
    fn what_tierd_does_not_make_is_not_read() {
        for (kind, text) in [
            ("striped", "2 128 8:0 0 8:16 0"),
            ("linear", "8:0"),
            ("linear", "8:0 0 1"),
            ("linear", "/dev/sda 0"),
            ("mirror", "disk 2 8:1 1024 2 8:0 0 8:16 0 1 handle_errors"),
            ("mirror", "core 1 1024 3 8:0 0 8:16 0 8:32 0"),
            (
                "mirror",
                "core 1 1024 2 8:0 0 8:16 0 2 handle_errors keep_log",
            ),
        ] {
            assert_eq!(
                Segment::parse(&(0, 8, kind.into(), text.into())),
                None,
                "{kind} {text}"
            );
        }
    }

    #[test]
    fn a_chunk_is_a_power_of_two_not_above_the_length() {
        assert_eq!(chunk_for(Sectors(1 << 20)), CHUNK_MAX);
        assert_eq!(chunk_for(Sectors(1023)), Sectors(512));
        assert_eq!(chunk_for(Sectors(1)), Sectors(1));
    }

    #[test]
    fn the_first_difference_is_shown() {
        let wanted = behind_lead_in(SOURCE.device, Sectors(8192), Target::Linear(SOURCE));
        assert_eq!(difference(&wanted, &wanted), None);
        let other = behind_lead_in(SOURCE.device, Sectors(8192), Target::Linear(TARGET));
        let (sector, found, expected) = difference(&other, &wanted).unwrap();
        assert_eq!((sector, found.as_str()), (896, "896 8192 linear 259:3 0"));
        assert_eq!(expected, "896 8192 linear 8:0 4096");
        assert_eq!(difference(&wanted[..1], &wanted).unwrap().1, "nothing");
    }
}
