//! How much of what flash stands is used, and what it costs.
//!
//! Owns: the part of a status that tells of wear.

use serde::{Deserialize, Serialize};

use crate::volume::Class;

/// How much of the year's budgets is used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wear {
    /// Seconds since the year began.
    pub year_seconds: f64,
    /// The members of flash.
    pub members: Vec<MemberWear>,
    /// What wear costs in money, where a budget or a rate is given.
    pub money: Option<WearMoney>,
}

/// How much of a member's endurance is used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberWear {
    /// Which, by its index.
    pub member: u16,
    /// Its class.
    pub class: Class,
    /// Bytes written in this year, as far as the daemon saw.
    pub written_bytes: u64,
    /// Bytes that may have been written by now.
    pub allowed_bytes: u64,
    /// Bytes that may be written in the whole year.
    pub year_bytes: u64,
    /// What writing a GiB costs now, in foreground seconds.
    pub seconds_per_gib: f64,
    /// What rules this price.
    pub rule: WearRule,
}

/// What rules the price of wear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WearRule {
    /// The member's endurance.
    Endurance,
    /// The budget of money.
    Budget,
    /// The rate of money.
    Rate,
}

/// What wear costs in the administrator's currency.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WearMoney {
    /// Spent in this year.
    pub spent: f64,
    /// What may have been spent by now; absent where there is a rate and no budget.
    pub allowed: Option<f64>,
    /// What may be spent in the whole year; absent likewise.
    pub per_year: Option<f64>,
}
