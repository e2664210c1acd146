//! What flash stands and costs, as the administrator gives it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::policy::ConfigError;
use crate::policy::bounded;
use crate::units::MemberIndex;
use crate::volume::Class;

/// A member that is smaller is taken to be a part of a drive of this size: none is sold that is much
/// smaller, and what a partition is written is worn by the whole of it.
const SMALLEST_DRIVE_BYTES: f64 = 1e11;
/// Days of a year.
pub(super) const YEAR_DAYS: f64 = 365.0;

/// How much may be written to flash, and what it costs. A member that is named has what is said of
/// it, and of the rest what is said of its class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WearConfig {
    /// How many times over a member of class nvme may be written each day; one of less than 100 GB
    /// is taken to be a part of a drive of that size. The default is what
    /// most drives for personal use are rated for (600 TB for one of 1 TB, over five years), the
    /// least that is sold; those for servers have 1, and for mixed use 3.
    pub nvme_drive_writes_per_day: f64,
    /// The same of class ssd.
    pub ssd_drive_writes_per_day: f64,
    /// Years for which members are rated: what may be written each day may be for so long.
    pub rated_years: f64,
    /// What a terabyte (10^12 bytes) of class nvme costs, in any currency; 0: not known.
    pub nvme_money_per_terabyte: f64,
    /// The same of class ssd.
    pub ssd_money_per_terabyte: f64,
    /// What wear may cost each year; 0: no budget of money, so that endurance is the budget.
    pub money_per_year: f64,
    /// What a second that a request does not have to wait is worth; 0: not known. With it, wear
    /// has this price and no other.
    pub money_per_foreground_second: f64,
    /// What is known of single members, by their UUID.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub members: BTreeMap<String, MemberWear>,
    /// The same by their place in a volume: not configured, but filled in by `of_volume`.
    #[serde(skip)]
    pub by_index: BTreeMap<MemberIndex, MemberWear>,
}

/// What is known of a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemberWear {
    /// How many times over it may be written each day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drive_writes_per_day: Option<f64>,
    /// How many bytes may be written to it each year, in place of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_bytes_per_year: Option<f64>,
    /// What it cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub money: Option<f64>,
}

/// What one member stands and costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rating {
    pub(super) bytes_per_year: f64,
    /// Zero where it is not known.
    pub(super) money_per_byte: f64,
}

impl Default for WearConfig {
    fn default() -> Self {
        Self {
            nvme_drive_writes_per_day: 0.3,
            ssd_drive_writes_per_day: 0.3,
            rated_years: 5.0,
            nvme_money_per_terabyte: 0.0,
            ssd_money_per_terabyte: 0.0,
            money_per_year: 0.0,
            money_per_foreground_second: 0.0,
            members: BTreeMap::new(),
            by_index: BTreeMap::new(),
        }
    }
}

impl WearConfig {
    /// The same, with the members of a volume known by their place in it: `uuids` are theirs, as
    /// people write them.
    #[must_use]
    pub fn of_volume(mut self, uuids: impl IntoIterator<Item = (MemberIndex, String)>) -> Self {
        let uuids = uuids.into_iter();
        let named = uuids.filter_map(|(index, uuid)| {
            let mut members = self.members.iter();
            let named = members.find(|(id, _)| id.eq_ignore_ascii_case(&uuid))?;
            Some((index, *named.1))
        });
        self.by_index = named.collect();
        self
    }

    /// Of a member of flash that has so many bytes; `None` where nothing wears out.
    pub(super) fn rating(&self, member: MemberIndex, class: Class, bytes: f64) -> Option<Rating> {
        let (writes_per_day, money_per_terabyte) = match class {
            Class::Nvme => (self.nvme_drive_writes_per_day, self.nvme_money_per_terabyte),
            Class::Ssd => (self.ssd_drive_writes_per_day, self.ssd_money_per_terabyte),
            Class::Hdd => return None,
        };
        let known = self.by_index.get(&member).copied().unwrap_or_default();
        let writes_per_day = known.drive_writes_per_day.unwrap_or(writes_per_day);
        let drive_bytes = bytes.max(SMALLEST_DRIVE_BYTES);
        let bytes_per_year = known
            .written_bytes_per_year
            .unwrap_or(writes_per_day * drive_bytes * YEAR_DAYS);
        let money = known
            .money
            .unwrap_or(money_per_terabyte * drive_bytes / 1e12);
        let in_all = bytes_per_year * self.rated_years;
        Some(Rating {
            bytes_per_year,
            money_per_byte: if in_all > 0.0 { money / in_all } else { 0.0 },
        })
    }

    /// Says what cannot be used, if something cannot.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let positive = [
            (
                "wear.nvme_drive_writes_per_day",
                self.nvme_drive_writes_per_day,
            ),
            (
                "wear.ssd_drive_writes_per_day",
                self.ssd_drive_writes_per_day,
            ),
            ("wear.rated_years", self.rated_years),
        ];
        let not_negative = [
            ("wear.nvme_money_per_terabyte", self.nvme_money_per_terabyte),
            ("wear.ssd_money_per_terabyte", self.ssd_money_per_terabyte),
            ("wear.money_per_year", self.money_per_year),
            (
                "wear.money_per_foreground_second",
                self.money_per_foreground_second,
            ),
        ];
        bounded(&positive, "a number above 0", |value| value > 0.0)?;
        bounded(&not_negative, "a number, 0 or more", |value| value >= 0.0)?;
        for (uuid, member) in &self.members {
            member.check(uuid)?;
        }
        self.check_money()
    }

    /// Money is a budget or a rate, and of no use where nothing has a price.
    fn check_money(&self) -> Result<(), ConfigError> {
        let [budget, rate] = [
            ("wear.money_per_year", self.money_per_year),
            (
                "wear.money_per_foreground_second",
                self.money_per_foreground_second,
            ),
        ];
        if rate.1 > 0.0 {
            let bounds = "0 where policy.wear.money_per_foreground_second is given: money is a \
                          budget or a rate";
            bounded(&[budget], bounds, |value| value <= 0.0)?;
        }
        let named = self.members.values().filter_map(|member| member.money);
        let money = named.fold(
            self.nvme_money_per_terabyte + self.ssd_money_per_terabyte,
            |sum, money| sum + money,
        );
        if money > 0.0 {
            return Ok(());
        }
        let bounds = "0 where nothing has a price: give policy.wear.nvme_money_per_terabyte, \
                      policy.wear.ssd_money_per_terabyte or the money of a member";
        bounded(&[budget, rate], bounds, |value| value <= 0.0)
    }
}

impl MemberWear {
    fn check(&self, uuid: &str) -> Result<(), ConfigError> {
        if !is_uuid(uuid) {
            return Err(ConfigError::NoUuid(uuid.to_owned()));
        }
        let key = |name| format!("wear.members.{uuid}.{name}");
        let given = |name, value: Option<f64>| value.map(|value| (key(name), value));
        let writes = given("drive_writes_per_day", self.drive_writes_per_day);
        let bytes = given("written_bytes_per_year", self.written_bytes_per_year);
        let both = writes.as_ref().and(bytes.clone());
        let endurance: Vec<_> = writes.into_iter().chain(bytes).collect();
        let money: Vec<_> = given("money", self.money).into_iter().collect();
        bounded(&endurance, "a number above 0", |value| value > 0.0)?;
        bounded(&money, "a number, 0 or more", |value| value >= 0.0)?;
        let both: Vec<_> = both.into_iter().collect();
        let bounds = "left out where drive_writes_per_day is given";
        bounded(&both, bounds, |_| false)
    }
}

/// Whether this is a UUID as people write it: 32 hexadecimal digits in five groups.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let is_hexadecimal = |group: &&str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    lengths == [8, 4, 4, 4, 12] && groups.iter().all(is_hexadecimal)
}
