//! `tierctl heat`: a map of the volume, in order: how hot each part is, and on which tier it lives.
//!
//! Owns: the drawing. Each row of the map is two lines: blocks for the heat per region, on a
//! logarithmic scale up to the hottest, and beneath them the letter of the tier where most of it
//! lives (`N`, `S`, `H`; small where it is mixed).

use clap::Args;
use tier_wire::{Class, HeatBucket, HeatMap, VolumeName, route};

use crate::client::Client;
use crate::failure::Failure;
use crate::printer::{Look, Printer};
use crate::units::{percent, size};
use crate::watch::Watch;

/// Columns of the map where no terminal says how many there are.
const COLUMNS_DEFAULT: u16 = 80;
/// Columns of the offset to the left of each row, with the space after it.
const LABEL_COLUMNS: u16 = 12;

/// A block for each level of heat, from none to the hottest, and its colour (256-colour codes,
/// from grey over blue and yellow to red).
const LEVELS: [(char, u8); 6] = [
    ('·', 240),
    ('░', 25),
    ('▒', 37),
    ('▓', 178),
    ('█', 208),
    ('█', 196),
];

#[derive(Args, Debug)]
pub(crate) struct Heat {
    /// The volume
    volume: Option<VolumeName>,
    /// Rows of the map, at most
    #[arg(long, value_name = "N", default_value_t = 8,
          value_parser = clap::value_parser!(u16).range(1..=256))]
    rows: u16,
    /// Buckets to ask for, instead of as many as the map has room for
    #[arg(long, value_name = "N",
          value_parser = clap::value_parser!(u32)
              .range(1..=i64::from(tier_wire::HeatQuery::BUCKETS_MAX)))]
    buckets: Option<u32>,
    #[command(flatten)]
    watch: Watch,
}

impl Heat {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let name = client.volume_or_only(self.volume).await?;
        let columns = map_columns(printer.look());
        let buckets = self
            .buckets
            .unwrap_or(u32::from(self.rows) * u32::from(columns));
        let target = format!("{}?buckets={buckets}", route::of_volume(route::HEAT, &name));
        self.watch
            .show(printer, || client.get::<HeatMap>(&target), drawn)
            .await
    }
}

/// Columns left for the map itself; ten at least, however narrow the terminal is.
fn map_columns(look: Look) -> u16 {
    look.columns
        .unwrap_or(COLUMNS_DEFAULT)
        .saturating_sub(LABEL_COLUMNS)
        .clamp(10, 200)
}

fn drawn(map: &HeatMap, look: Look) -> String {
    let columns = usize::from(map_columns(look));
    let hottest = map.buckets.iter().map(per_region).fold(0.0, f64::max);
    let mut text = format!(
        "Volume {}: {} regions of {}\n\n",
        map.volume,
        map.regions,
        size(map.region_bytes)
    );
    for row in map.buckets.chunks(columns) {
        let offset = row
            .first()
            .map_or(0, |bucket| u64::from(bucket.first) * map.region_bytes);
        let label = usize::from(LABEL_COLUMNS - 1);
        text += &format!("{:>label$} ", size(offset));
        for bucket in row {
            text += &cell(level(per_region(bucket), hottest), look);
        }
        let letters: String = row.iter().map(letter).collect();
        text += &format!("\n{:label$} {letters}\n", "");
    }
    text + &legend(map, hottest, look)
}

fn legend(map: &HeatMap, hottest: f64, look: Look) -> String {
    let mut text = String::from("\nHeat   ");
    for (index, step) in LEVELS.into_iter().enumerate() {
        // Two levels share a block and differ in colour alone.
        if look.colours || LEVELS.get(index + 1).is_none_or(|next| next.0 != step.0) {
            text += &cell(index, look);
            text.push(' ');
        }
    }
    text += &format!("from none to {hottest:.1} touches a region, logarithmic\n");
    let heat: f64 = map.buckets.iter().map(|bucket| bucket.heat).sum();
    for class in Class::ALL {
        let Some(part) = part_of(map, class) else {
            continue;
        };
        let initial = class_letter(class);
        let share = if heat > 0.0 {
            percent(part.heat / heat)
        } else {
            "–".into()
        };
        text += &format!(
            "{initial}      {class}: {share} of the heat on {} of the volume\n",
            percent(part.regions / f64::from(map.regions.max(1))),
        );
    }
    text + "       small letters: most of it lives there, some elsewhere\n"
}

/// What of a volume lives on one class.
struct Part {
    heat: f64,
    regions: f64,
}

/// `None` if nothing does. A bucket's heat is taken to be spread evenly over it.
fn part_of(map: &HeatMap, class: Class) -> Option<Part> {
    let mut part = Part {
        heat: 0.0,
        regions: 0.0,
    };
    for bucket in &map.buckets {
        for home in bucket.homes.iter().filter(|home| home.class == class) {
            part.heat += bucket.heat * home.share;
            part.regions += f64::from(bucket.count) * home.share;
        }
    }
    (part.regions > 0.0).then_some(part)
}

fn per_region(bucket: &HeatBucket) -> f64 {
    bucket.heat / f64::from(bucket.count.max(1))
}

/// Index into [`LEVELS`]: 0 only for no heat at all, the last only for the hottest of the map.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number from 0 to the number of levels"
)]
fn level(heat: f64, hottest: f64) -> usize {
    const DECADES: f64 = 4.0;
    let top = LEVELS.len() - 1;
    if heat <= 0.0 || hottest <= 0.0 {
        return 0;
    }
    if heat >= hottest {
        return top;
    }
    // One level for each decade below the hottest; what is colder still shares the first.
    let decades = ((heat / hottest).log10() + DECADES).clamp(0.0, DECADES);
    (decades.ceil() as usize).clamp(1, top - 1)
}

fn cell(level: usize, look: Look) -> String {
    let Some((block, colour)) = LEVELS.get(level) else {
        return String::new();
    };
    if look.colours {
        format!("\x1b[38;5;{colour}m{block}\x1b[0m")
    } else {
        block.to_string()
    }
}

const fn class_letter(class: Class) -> char {
    match class {
        Class::Nvme => 'N',
        Class::Ssd => 'S',
        Class::Hdd => 'H',
    }
}

/// The letter of the class where most of a bucket lives; of equal ones, the fastest.
fn letter(bucket: &HeatBucket) -> char {
    let mut most: Option<tier_wire::ClassShare> = None;
    for home in &bucket.homes {
        if most.is_none_or(|most| home.share > most.share) {
            most = Some(*home);
        }
    }
    match most {
        None => ' ',
        Some(home) if bucket.homes.len() == 1 => class_letter(home.class),
        Some(home) => class_letter(home.class).to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_rise_with_heat_and_keep_their_ends() {
        let top = LEVELS.len() - 1;
        assert_eq!(level(0.0, 100.0), 0);
        assert_eq!(level(0.0, 0.0), 0);
        assert_eq!(level(100.0, 100.0), top);
        let mut last = 0;
        for heat in [1e-9, 0.01, 0.1, 1.0, 10.0, 99.9] {
            let now = level(heat, 100.0);
            assert!(now >= last.max(1) && now < top, "{heat}: {now}");
            last = now;
        }
        assert_eq!(last, top - 1);
    }

    #[test]
    fn every_cell_is_one_column_wide() {
        let look = Look {
            columns: Some(40),
            colours: false,
        };
        let map = tier_wire::samples::heat();
        let text = drawn(&map, look);
        let row = text.lines().nth(2).unwrap();
        assert_eq!(
            row.chars().count(),
            usize::from(LABEL_COLUMNS) + map.buckets.len()
        );
        assert!(!text.contains('\x1b'));
        assert!(
            drawn(
                &map,
                Look {
                    columns: None,
                    colours: true
                }
            )
            .contains("\x1b[38;5;196m█")
        );
    }

    #[test]
    fn a_volume_without_heat_or_regions_is_drawn_too() {
        let mut map = tier_wire::samples::heat();
        for bucket in &mut map.buckets {
            bucket.heat = 0.0;
        }
        let look = Look {
            columns: Some(80),
            colours: false,
        };
        assert!(drawn(&map, look).contains("– of the heat"));
        map.buckets.clear();
        map.regions = 0;
        assert!(drawn(&map, look).contains("0 regions"));
    }
}
