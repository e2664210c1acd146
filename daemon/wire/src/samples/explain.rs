//! Why a region is where it is, and what came of a move.

use super::{FAST, SLOW, moves, name};
use crate::{Came, Class, ExpertView, Explanation, ForecastClass, Offer, Verdict};

/// Why a region is where it is, and what came of the move that brought it there.
#[must_use]
pub fn explanation() -> Explanation {
    let expert = |name: &str, is_believed, touches: [f64; 5], confidence: [f64; 5]| ExpertView {
        name: name.into(),
        is_believed,
        touches: touches.to_vec(),
        confidence: confidence.to_vec(),
    };
    Explanation {
        volume: name(),
        region: 51_200,
        home: Some(SLOW),
        touches: 9.5,
        touches_in_all: 40.0,
        age_seconds: Some(86_400.0),
        resident_seconds: None,
        horizons_seconds: vec![Some(60.0), Some(600.0), Some(3_600.0), Some(21_600.0), None],
        class: ForecastClass::Hot,
        pays_from_touches: Some(2.5),
        experts: vec![
            expert(
                "recent",
                false,
                [0.1, 1.0, 3.0, 4.0, 4.5],
                [0.0, 0.2, 0.6, 0.7, 0.7],
            ),
            expert(
                "lasting",
                true,
                [0.05, 0.4, 2.1, 7.4, 12.0],
                [0.0, 0.1, 0.5, 0.83, 0.83],
            ),
            expert(
                "rhythm",
                false,
                [0.0, 0.0, 30.0, 31.0, 36.0],
                [0.0, 0.0, 0.9, 0.9, 0.9],
            ),
        ],
        offers: vec![Offer {
            to: Class::Nvme,
            benefit_seconds: 1.9,
            cost_seconds: 0.2,
            wear_seconds: 0.000_1,
            writes_wear_seconds: 0.002,
            wear_seconds_per_gib: 0.1,
            device_seconds: 0.2,
            waiting_seconds: 0.5,
            confidence: 0.83,
        }],
        verdict: Verdict::Moving,
        text: "it is moving: move 18".into(),
        newest_move: moves().live.pop(),
        came: None,
    }
}

/// The same of a move that is done.
#[must_use]
pub fn explained_move() -> Explanation {
    Explanation {
        region: 128,
        home: Some(FAST),
        resident_seconds: Some(55.0),
        offers: Vec::new(),
        verdict: Verdict::OnFastest,
        text: "it is on the fastest tier".into(),
        newest_move: moves().history.into_iter().next(),
        came: Some(Came {
            touches: 31.0,
            saved_seconds: 0.25,
            seconds: 55.0,
        }),
        ..explanation()
    }
}
