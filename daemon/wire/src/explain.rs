//! Why a region is where it is, and what came of a move.
//!
//! Owns: the reply of `/v1/volumes/{name}/explain`.

use serde::{Deserialize, Serialize};

use crate::moves::{Move, Place};
use crate::name::VolumeName;
use crate::volume::Class;

/// What to explain: exactly one of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainQuery {
    /// A region of the volume.
    pub region: Option<u32>,
    /// A move, by its number: under way, pending or one that is remembered.
    #[serde(rename = "move")]
    pub id: Option<u64>,
}

/// Why a region is where it is, and what would move it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The volume.
    pub volume: VolumeName,
    /// The region; of a move, its first.
    pub region: u32,
    /// Where it lives, unless its member is missing or it has more homes than one.
    pub home: Option<Place>,
    /// Touches within the last half-life or so, sequential ones left out.
    pub touches: f64,
    /// Touches since tierd took the volume up.
    pub touches_in_all: f64,
    /// Seconds since its first touch, if there was one.
    pub age_seconds: Option<f64>,
    /// Seconds since a move brought it where it is, if one did.
    pub resident_seconds: Option<f64>,
    /// How far ahead forecasts look, in seconds; the last, `null`, is for good.
    pub horizons_seconds: Vec<Option<f64>>,
    /// What the use that the believed expert expects would be worth.
    pub class: ForecastClass,
    /// How many touches pay for a move between the slowest tier and the fastest; absent where none
    /// would.
    pub pays_from_touches: Option<f64>,
    /// What each expert expects.
    pub experts: Vec<ExpertView>,
    /// What faster tiers would be worth, by the expert who is believed.
    pub offers: Vec<Offer>,
    /// What comes of it.
    pub verdict: Verdict,
    /// The verdict for people.
    pub text: String,
    /// The move that was asked for; of a region, the newest that is known.
    #[serde(rename = "move")]
    pub newest_move: Option<Move>,
    /// What came of that move, if it brought its data to their target.
    pub came: Option<Came>,
}

/// What an expert expects of a region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpertView {
    /// Who.
    pub name: String,
    /// Whether the policy goes by it.
    pub is_believed: bool,
    /// Touches until each horizon.
    pub touches: Vec<f64>,
    /// How likely it is that until each horizon at least as many come as pay for a move, 0 to 1:
    /// as often as they came of such forecasts. For good: until the farthest that has an end.
    pub confidence: Vec<f64>,
}

/// What a faster tier would be worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Which tier.
    pub to: Class,
    /// Foreground seconds that the expected touches would take less there, less the wear of those
    /// that write.
    pub benefit_seconds: f64,
    /// Foreground seconds that the move has to earn.
    pub cost_seconds: f64,
    /// Of these, for the wear of the copy.
    #[serde(default)]
    pub wear_seconds: f64,
    /// What the benefit is less by: the wear of the touches that write.
    #[serde(default)]
    pub writes_wear_seconds: f64,
    /// What writing a GiB there costs in wear, in foreground seconds.
    #[serde(default)]
    pub wear_seconds_per_gib: f64,
    /// Busy seconds of the slower member.
    pub device_seconds: f64,
    /// What requests would wait for it under the load of now.
    pub waiting_seconds: f64,
    /// How likely it is that as many touches come as pay for it, 0 to 1, until the farthest horizon
    /// that has an end.
    pub confidence: f64,
}

/// What the use that is expected of a region would be worth, wherever the region is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ForecastClass {
    /// Worth a move to the fastest tier: as many touches are expected as pay for one, and with even
    /// odds at least so many come.
    Hot,
    /// Not worth a move, but worth its place where it is on the fastest tier already: what is just
    /// hot would not displace it.
    Warm,
    /// Neither.
    Cold,
}

impl ForecastClass {
    /// The word for it, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Warm => "warm",
            Self::Cold => "cold",
        }
    }
}

/// Regions by the class of their forecast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForecastCounts {
    /// Hot ones.
    pub hot: u32,
    /// Warm ones.
    pub warm: u32,
    /// Cold ones.
    pub cold: u32,
}

/// Why a region is not on its way to a faster tier, or that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is moving.
    Moving,
    /// A move of it failed a little while ago.
    Resting,
    /// Its member is missing, or it has more homes than one.
    NotMovable,
    /// It is on the fastest tier there is.
    OnFastest,
    /// Too little is expected of it.
    TooFewTouches,
    /// It came a little while ago, and stays.
    JustCame,
    /// A move costs more than it is expected to save.
    DoesNotPay,
    /// It waits for room, budget or a turn.
    Waits,
    /// A move pays: the next samples want it.
    Pays,
}

/// What came of a move.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Came {
    /// Touches of its regions since it ended.
    pub touches: f64,
    /// What these take less on its target than where it came from, in foreground seconds; negative
    /// where they take longer.
    pub saved_seconds: f64,
    /// How long ago it ended, in seconds.
    pub seconds: f64,
}
