//! Every interval, bound and price of the engine, with defaults for production.

use serde::{Deserialize, Serialize};

use super::trial::TrialPolicy;
use crate::migrate::Limits;
use crate::units::nanos;
use crate::wear::WearConfig;

/// Parameters of the engine. Times are in seconds; [`PolicyConfig::scaled`] shrinks them all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// Whether the engine moves anything by itself.
    pub enabled: bool,
    /// Whether experts beside the reactive one may be believed.
    pub foresight: bool,
    /// Mirrors under way at a time, at most. Each is copied by the kernel beside the others.
    pub mirrors_max: u32,
    /// Bytes that one move takes along at most. A region that is larger is moved alone.
    pub move_bytes_max: u64,
    /// Bytes per second that moves of the policy may copy while nothing suffers from it.
    pub copy_bytes_per_second_max: f64,
    /// 99th percentile of foreground latency, in seconds, above which moves slow down. Zero: one
    /// and a half times what is seen while nothing is being moved.
    pub foreground_target_seconds: f64,
    /// Share of the members' capacity by which a new volume is smaller than they are. Without free
    /// regions nothing can change places.
    pub headroom: f64,
    /// Share of each tier that promotions leave free, for moves by hand and, in all but the fastest,
    /// for what has to make room for others: of the fastest, whole regions only.
    pub tier_headroom: f64,
    /// Time in which the heat halves by which regions are weighed against each other: what was
    /// used for a while is taken to be used for about as long again.
    pub half_life_seconds: f64,
    /// Touches below which nothing is promoted, however cheap it is.
    pub promote_touches_min: u32,
    /// How many times warmer a region must be than the one it displaces.
    pub hysteresis: f64,
    /// Time after a region's arrival in which the policy does not move it again, unless it is known
    /// to rest for as long as that.
    pub residency_seconds: f64,
    /// Time between plans.
    pub plan_seconds: f64,
    /// Share of the members' busy time that the insurance account earns.
    pub insurance_share: f64,
    /// What the account begins with, in foreground seconds.
    pub insurance_start_seconds: f64,
    /// What the account holds at most, in foreground seconds.
    pub insurance_max_seconds: f64,
    /// Price of a second of device time, in foreground seconds. At 0, everything that is used at
    /// all is moved.
    pub device_price: f64,
    /// Price of wear while its budget is not used faster than the year passes, in foreground
    /// seconds per GiB written to flash. At 0, wear has no price, unless money has a rate.
    pub wear_seconds_per_gib: f64,
    /// Pause before a failed command is given again.
    pub retry_seconds: f64,
    /// Time for which a range that failed as a target is not chosen again.
    pub failed_range_seconds: f64,
    /// Time for which the policy leaves an extent alone whose move failed.
    pub rest_seconds: f64,
    /// Moves that may wait for room or budget.
    pub pending_max: u32,
    /// Extents into which promotions may cut the volume; 0: as many as they like. In the daemon's
    /// configuration, 0: as many as suit the kernel.
    pub extents_max: u32,
    /// How much may be written to flash, and what it costs.
    pub wear: WearConfig,
    /// How the target of a move is tried, by backends that can.
    pub trial: TrialPolicy,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            foresight: true,
            mirrors_max: 8,
            move_bytes_max: 64 << 20,
            copy_bytes_per_second_max: 512.0 * f64::from(1 << 20),
            foreground_target_seconds: 0.0,
            headroom: 0.1,
            tier_headroom: 0.01,
            half_life_seconds: 10_000.0,
            promote_touches_min: 2,
            hysteresis: 2.0,
            residency_seconds: 300.0,
            plan_seconds: 60.0,
            insurance_share: 0.05,
            insurance_start_seconds: 1.0,
            insurance_max_seconds: 600.0,
            device_price: 1.0,
            wear_seconds_per_gib: 0.05,
            retry_seconds: 1.0,
            failed_range_seconds: 86_400.0,
            rest_seconds: 3_600.0,
            pending_max: 1_024,
            extents_max: 0,
            wear: WearConfig::default(),
            trial: TrialPolicy::default(),
        }
    }
}

/// Why parameters cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// A value outside its bounds.
    #[error("policy.{key} is {value}, but must be {bounds}")]
    OutOfBounds {
        /// Which parameter.
        key: String,
        /// Its value.
        value: f64,
        /// What it must be.
        bounds: &'static str,
    },
    /// A member named by something else than its UUID.
    #[error(
        "policy.wear.members names {0:?}, which is no UUID; `tierctl member list --json` shows those \
         of members"
    )]
    NoUuid(String),
}

impl PolicyConfig {
    /// The same parameters with every time multiplied by `factor`: tests and demonstrations run
    /// in minutes what takes hours in production.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        for seconds in [
            &mut self.half_life_seconds,
            &mut self.residency_seconds,
            &mut self.plan_seconds,
            &mut self.retry_seconds,
            &mut self.failed_range_seconds,
            &mut self.rest_seconds,
        ] {
            *seconds *= factor;
        }
        self
    }

    /// Says which parameter is outside its bounds, if one is.
    pub fn check(&self) -> Result<(), ConfigError> {
        let positive = [
            ("copy_bytes_per_second_max", self.copy_bytes_per_second_max),
            ("half_life_seconds", self.half_life_seconds),
            ("plan_seconds", self.plan_seconds),
        ];
        let not_negative = [
            ("foreground_target_seconds", self.foreground_target_seconds),
            ("residency_seconds", self.residency_seconds),
            ("insurance_share", self.insurance_share),
            ("insurance_start_seconds", self.insurance_start_seconds),
            ("insurance_max_seconds", self.insurance_max_seconds),
            ("device_price", self.device_price),
            ("wear_seconds_per_gib", self.wear_seconds_per_gib),
            ("retry_seconds", self.retry_seconds),
            ("failed_range_seconds", self.failed_range_seconds),
            ("rest_seconds", self.rest_seconds),
        ];
        let at_least_one = [
            ("mirrors_max", f64::from(self.mirrors_max)),
            ("promote_touches_min", f64::from(self.promote_touches_min)),
            ("hysteresis", self.hysteresis),
        ];
        bounded(&positive, "a number above 0", |value| value > 0.0)?;
        bounded(&not_negative, "a number, 0 or more", |value| value >= 0.0)?;
        bounded(&at_least_one, "1 or more", |value| value >= 1.0)?;
        let shares = [
            ("headroom", self.headroom),
            ("tier_headroom", self.tier_headroom),
        ];
        bounded(&shares, "from 0 to 0.9", |value| {
            (0.0..=0.9).contains(&value)
        })?;
        self.wear.check()?;
        self.trial.check()
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            mirrors: self.mirrors_max,
            bytes_per_move: self.move_bytes_max,
            retry_nanos: nanos(self.retry_seconds),
            failed_range_nanos: nanos(self.failed_range_seconds),
            rest_nanos: nanos(self.rest_seconds),
            trial: self.trial,
        }
    }
}

/// Whether all of these fit; the first that does not.
pub(crate) fn bounded<K: Clone + Into<String>>(
    values: &[(K, f64)],
    bounds: &'static str,
    fits: impl Fn(f64) -> bool,
) -> Result<(), ConfigError> {
    match values
        .iter()
        .find(|(_, value)| !value.is_finite() || !fits(*value))
    {
        Some((key, value)) => Err(ConfigError::OutOfBounds {
            key: key.clone().into(),
            value: *value,
            bounds,
        }),
        None => Ok(()),
    }
}
