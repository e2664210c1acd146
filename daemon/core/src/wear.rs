//! What writing to flash costs.
//!
//! Owns: [`Wear`], which counts what was written to each member of flash in a year, and sets a
//! price for the next byte. The price is a shadow price, in foreground seconds: it doubles with
//! each half day's budget by which use runs ahead of the year, so that demand falls until the
//! budget is just used up. That is dual ascent with a multiplicative step, as online advertising
//! paces its budgets (Balseiro, Lu, Mirrokni: Dual Mirror Descent for Online Allocation Problems,
//! ICML 2020). Where a rate of money is given, the price is what a byte costs at that rate, and
//! nothing is adjusted. May not: keep anything from being moved. A price only makes it worth less.

mod config;

use serde::{Deserialize, Serialize};

pub use config::{MemberWear, WearConfig};
use config::{Rating, YEAR_DAYS};

use crate::event::Resources;
use crate::power::exp2;
use crate::units::{MemberIndex, Now, RegionSize, nanos};
use crate::volume::{Class, Member};

/// Length of a year, for which a budget holds.
const YEAR_SECONDS: f64 = YEAR_DAYS * 86_400.0;
/// The price doubles with each so many days' budget by which use runs ahead.
const DOUBLING_DAYS: f64 = 0.5;
/// It doubles so many times at most: a 4 KiB write then costs more than a disk's access takes.
const DOUBLINGS_MAX: f64 = 20.0;
/// Budget of so many days may be used at once when a year begins, and less as it passes: a new
/// volume fills its fast tier, and by the end of the year there is no more than the year's.
const HEAD_START_DAYS: f64 = 30.0;
const GIB: f64 = 1_073_741_824.0;

/// A member of flash.
#[derive(Clone, Copy, Debug)]
struct Flash {
    member: MemberIndex,
    class: Class,
    rating: Rating,
    /// In this year.
    written_bytes: f64,
    seconds_per_byte: f64,
}

/// The flash members of a volume, and what was written to them this year.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wear {
    base_seconds_per_byte: f64,
    money_per_year: f64,
    money_per_second: f64,
    members: Vec<Flash>,
    /// When the year began.
    since: Now,
    now: Now,
}

/// What was written so far, so that it outlives the daemon.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct WearMemory {
    since: Now,
    written_bytes: Vec<(MemberIndex, f64)>,
}

/// What rules the price of wear on a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum WearRule {
    /// Its endurance.
    Endurance,
    /// The budget of money that all members with a price share.
    Budget,
    /// What money is worth.
    Rate,
}

/// How much of a member's endurance is used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MemberWearStatus {
    /// Which.
    pub member: MemberIndex,
    /// Its class.
    pub class: Class,
    /// Bytes written in this year.
    pub written_bytes: f64,
    /// Bytes that may have been written by now.
    pub allowed_bytes: f64,
    /// Bytes that may be written in a year.
    pub bytes_per_year: f64,
    /// What writing costs now, in foreground seconds per GiB.
    pub seconds_per_gib: f64,
    /// What rules this price.
    pub rule: WearRule,
}

/// How much of a budget of money is used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MoneyStatus {
    /// Spent in this year, in the administrator's currency.
    pub spent: f64,
    /// What may have been spent by now.
    pub allowed: f64,
    /// What may be spent in a year; zero where there is no budget, but a rate.
    pub per_year: f64,
}

/// How much of the budgets is used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WearStatus {
    /// Seconds since the year began.
    pub year_seconds: f64,
    /// The members of flash.
    pub members: Vec<MemberWearStatus>,
    /// What wear costs in money, where a budget or a rate is given.
    pub money: Option<MoneyStatus>,
}

impl Wear {
    /// Nothing is written yet, and a year begins. `base_seconds_per_gib` is the price while use is
    /// not ahead.
    pub(crate) fn new(
        (config, base_seconds_per_gib): (&WearConfig, f64),
        members: &[Member],
        region_size: RegionSize,
        now: Now,
    ) -> Self {
        let flash = members.iter().filter_map(|member| {
            let bytes = as_f64(region_size.bytes_of(member.regions).0);
            Some(Flash {
                member: member.index,
                class: member.class,
                rating: config.rating(member.index, member.class, bytes)?,
                written_bytes: 0.0,
                seconds_per_byte: 0.0,
            })
        });
        let mut wear = Self {
            base_seconds_per_byte: base_seconds_per_gib / GIB,
            money_per_year: config.money_per_year,
            money_per_second: config.money_per_foreground_second,
            members: flash.collect(),
            since: now,
            now,
        };
        wear.set_prices();
        wear
    }

    /// Takes in what was written to the members since the last time.
    pub(crate) fn observe(&mut self, resources: &Resources, now: Now) {
        self.pass(now);
        for load in &resources.members {
            let mut members = self.members.iter_mut();
            if let Some(flash) = members.find(|flash| flash.member == load.member) {
                flash.written_bytes += as_f64(load.written_bytes.0);
            }
        }
        self.set_prices();
    }

    /// Lets time pass: with a new year, what was written beyond the budget is its first use, and
    /// what was left of the budget is no more.
    fn pass(&mut self, now: Now) {
        self.now = now;
        while self.year_seconds() >= YEAR_SECONDS {
            self.since = Now(self.since.0.saturating_add(nanos(YEAR_SECONDS)));
            let (spent, budget) = (self.money_spent(), self.money_per_year);
            let beyond = if spent > budget {
                1.0 - budget / spent
            } else {
                0.0
            };
            let rules: Vec<WearRule> = self.members.iter().map(|one| self.rule(one)).collect();
            for (flash, rule) in self.members.iter_mut().zip(rules) {
                flash.written_bytes = match rule {
                    WearRule::Budget => flash.written_bytes * beyond,
                    WearRule::Endurance => {
                        (flash.written_bytes - flash.rating.bytes_per_year).max(0.0)
                    }
                    WearRule::Rate => 0.0,
                };
            }
        }
    }

    fn year_seconds(&self) -> f64 {
        self.now.seconds_since(self.since)
    }

    /// Of a year's budget, what may have been used by now, as a share.
    fn allowed(&self) -> f64 {
        let passed = (self.year_seconds() / YEAR_SECONDS).min(1.0);
        passed + HEAD_START_DAYS / YEAR_DAYS * (1.0 - passed)
    }

    /// How many times the base the price is, where so much of a year's budget was used.
    fn factor(&self, used: f64, per_year: f64) -> f64 {
        let ahead_days = (used / per_year - self.allowed()) * YEAR_DAYS;
        // Not a number where there is no budget at all: nothing may be written then.
        if ahead_days.is_nan() {
            return exp2(DOUBLINGS_MAX);
        }
        exp2((ahead_days / DOUBLING_DAYS).clamp(0.0, DOUBLINGS_MAX))
    }

    fn rule(&self, flash: &Flash) -> WearRule {
        if flash.rating.money_per_byte <= 0.0 {
            WearRule::Endurance
        } else if self.money_per_second > 0.0 {
            WearRule::Rate
        } else if self.money_per_year > 0.0 {
            WearRule::Budget
        } else {
            WearRule::Endurance
        }
    }

    fn money_spent(&self) -> f64 {
        let spent = self.members.iter();
        spent
            .map(|flash| flash.written_bytes * flash.rating.money_per_byte)
            .sum()
    }

    /// What a byte costs on average on the members that have a price.
    fn mean_money_per_byte(&self) -> f64 {
        let priced = self.members.iter().map(|flash| flash.rating);
        let (money, count) = priced
            .filter(|rating| rating.money_per_byte > 0.0)
            .fold((0.0, 0.0), |(money, count), rating| {
                (money + rating.money_per_byte, count + 1.0)
            });
        if count > 0.0 { money / count } else { 0.0 }
    }

    fn set_prices(&mut self) {
        let of_money = self.factor(self.money_spent(), self.money_per_year);
        let mean = self.mean_money_per_byte();
        let price = |flash: &Flash| match self.rule(flash) {
            WearRule::Rate => flash.rating.money_per_byte / self.money_per_second,
            // What costs more money per byte uses more of the one budget.
            WearRule::Budget => {
                self.base_seconds_per_byte * of_money * flash.rating.money_per_byte / mean
            }
            WearRule::Endurance => {
                let of_it = self.factor(flash.written_bytes, flash.rating.bytes_per_year);
                self.base_seconds_per_byte * of_it
            }
        };
        let prices: Vec<f64> = self.members.iter().map(price).collect();
        for (flash, seconds_per_byte) in self.members.iter_mut().zip(prices) {
            flash.seconds_per_byte = seconds_per_byte;
        }
    }

    /// What writing a byte to a member costs, in foreground seconds; nothing where nothing wears.
    pub(crate) fn seconds_per_byte(&self, member: MemberIndex) -> f64 {
        let mut members = self.members.iter();
        let flash = members.find(|flash| flash.member == member);
        flash.map_or(0.0, |flash| flash.seconds_per_byte)
    }

    /// What it costs where no budget is ahead.
    pub(crate) fn base_seconds_per_byte(&self) -> f64 {
        self.base_seconds_per_byte
    }

    /// The mean of a tier's members.
    pub(crate) fn of_class(&self, class: Class) -> f64 {
        let of_it = self.members.iter().filter(|flash| flash.class == class);
        let (sum, count) = of_it.fold((0.0, 0.0), |(sum, count), flash| {
            (sum + flash.seconds_per_byte, count + 1.0)
        });
        if count > 0.0 { sum / count } else { 0.0 }
    }

    /// What was written so far.
    pub(crate) fn remember(&self) -> WearMemory {
        let written = self.members.iter();
        WearMemory {
            since: self.since,
            written_bytes: written
                .map(|flash| (flash.member, flash.written_bytes))
                .collect(),
        }
    }

    /// Takes in what is remembered; what has been counted since the start is added to it.
    pub(crate) fn recall(&mut self, memory: &WearMemory, now: Now) {
        self.since = memory.since;
        for (member, written_bytes) in &memory.written_bytes {
            let mut members = self.members.iter_mut();
            let is_sane = written_bytes.is_finite() && *written_bytes >= 0.0;
            if let Some(flash) = members.find(|flash| is_sane && flash.member == *member) {
                flash.written_bytes += written_bytes;
            }
        }
        self.pass(now);
        self.set_prices();
    }

    /// How much of the budgets is used.
    pub(crate) fn status(&self) -> WearStatus {
        let allowed = self.allowed();
        let member = |flash: &Flash| MemberWearStatus {
            member: flash.member,
            class: flash.class,
            written_bytes: flash.written_bytes,
            allowed_bytes: flash.rating.bytes_per_year * allowed,
            bytes_per_year: flash.rating.bytes_per_year,
            seconds_per_gib: flash.seconds_per_byte * GIB,
            rule: self.rule(flash),
        };
        let has_money = self.money_per_year > 0.0 || self.money_per_second > 0.0;
        WearStatus {
            year_seconds: self.year_seconds(),
            members: self.members.iter().map(member).collect(),
            money: has_money.then(|| MoneyStatus {
                spent: self.money_spent(),
                allowed: self.money_per_year * allowed,
                per_year: self.money_per_year,
            }),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a price needs no 53 bits")]
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests;
