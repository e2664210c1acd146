//! Why a region is where it is, and what came of a move.

use std::time::SystemTime;

use tier_core::command::Stage;
use tier_core::engine::{Explanation, Offer, Opinion, Verdict};
use tier_core::forecast::ForecastClass;
use tier_core::units::{MoveId, VolumeRegion};
use tier_wire as wire;

use super::moves::{ended_move, live_move, place};
use super::wire_class;
use crate::volume::history::Finished;
use crate::volume::runtime::Runtime;

type Answer = Result<wire::Explanation, wire::ErrorBody>;

/// Explains a region or a move.
pub(crate) fn explain(
    runtime: &Runtime,
    name: wire::VolumeName,
    query: wire::ExplainQuery,
) -> Answer {
    let engine = &runtime.parts.engine;
    let asked = query.id.map(MoveId);
    let is_meant = |id: MoveId, first: VolumeRegion, count: u32| match (asked, query.region) {
        (Some(asked), _) => id == asked,
        (None, Some(region)) => holds(first, count, region),
        (None, None) => false,
    };
    let live = engine
        .moves()
        .find(|one| is_meant(one.id, one.first, one.count));
    let past = runtime.history.newest_first().find(|past| {
        let report = &past.report;
        is_meant(report.id, report.first, report.count)
    });
    // What waits for room or budget has a number already, and no move yet.
    let waits = engine.wanted().find(|one| Some(one.id) == asked);
    let first = live.as_ref().map(|one| one.first);
    let first = first.or_else(|| waits.map(|one| one.region));
    let first = first.or_else(|| past.map(|past| past.report.first));
    let region = match (query.region, first) {
        (Some(region), _) => VolumeRegion(region),
        (None, Some(first)) => first,
        (None, None) => return Err(no_such_move(asked)),
    };
    let explained = engine.explain(region);
    let explained = explained.ok_or_else(|| beyond(region, engine.map().regions()))?;
    let past = past.filter(|_| live.is_none());
    let newest = live.map(|one| live_move(runtime, &one));
    let newest = newest.or_else(|| past.map(|past| ended_move(runtime, past)));
    let came = past.and_then(|past| came(runtime, past));
    Ok(shown(runtime, name, region, &explained, (newest, came)))
}

fn holds(first: VolumeRegion, count: u32, region: u32) -> bool {
    (first.0..first.0.saturating_add(count)).contains(&region)
}

fn no_such_move(id: Option<MoveId>) -> wire::ErrorBody {
    let id = id.map_or_else(String::new, |id| format!(" {id}"));
    wire::ErrorBody::new(
        wire::ErrorKind::NotFound,
        format!("there is no move{id}, or it is forgotten"),
    )
}

fn beyond(region: VolumeRegion, regions: u32) -> wire::ErrorBody {
    wire::ErrorBody::new(
        wire::ErrorKind::Invalid,
        format!("there is no region {region}: the volume has {regions}, from 0 on"),
    )
}

/// What came of a move that is done.
fn came(runtime: &Runtime, past: &Finished) -> Option<wire::Came> {
    let report = &past.report;
    if report.stage != Stage::Done {
        return None;
    }
    let engine = &runtime.parts.engine;
    let touches = engine.touches_in_all(report.first, report.count) - past.touches_before;
    // A wall clock that was set back makes a move end just now.
    let ago = SystemTime::now().duration_since(past.at);
    Some(wire::Came {
        touches,
        saved_seconds: engine.saved_seconds(report.first, touches, report.from, report.to),
        seconds: ago.unwrap_or_default().as_secs_f64(),
    })
}

fn shown(
    runtime: &Runtime,
    name: wire::VolumeName,
    region: VolumeRegion,
    explained: &Explanation,
    (newest_move, came): (Option<wire::Move>, Option<wire::Came>),
) -> wire::Explanation {
    let horizons = runtime.parts.engine.horizons_seconds();
    // JSON has no infinity.
    let finite = |seconds: f64| seconds.is_finite().then_some(seconds);
    wire::Explanation {
        volume: name,
        region: region.0,
        home: explained.home.map(|(leg, class)| place(leg, class)),
        touches: explained.touches,
        touches_in_all: explained.touches_in_all,
        age_seconds: explained.age_seconds,
        resident_seconds: explained.resident_seconds,
        horizons_seconds: horizons.into_iter().map(finite).collect(),
        class: class(explained.class),
        pays_from_touches: finite(explained.pays_from_touches),
        experts: explained.opinions.iter().map(expert).collect(),
        offers: explained.offers.iter().map(offer).collect(),
        verdict: verdict(explained.verdict),
        text: text(explained.verdict),
        newest_move,
        came,
    }
}

fn expert(opinion: &Opinion) -> wire::ExpertView {
    wire::ExpertView {
        name: opinion.score.name.to_string(),
        is_believed: opinion.score.is_believed,
        touches: opinion.touches.to_vec(),
        confidence: opinion.confidence.to_vec(),
    }
}

fn offer(offer: &Offer) -> wire::Offer {
    wire::Offer {
        to: wire_class(offer.to),
        benefit_seconds: offer.benefit_seconds,
        cost_seconds: offer.cost_seconds,
        wear_seconds: offer.wear_seconds,
        writes_wear_seconds: offer.writes_wear_seconds,
        wear_seconds_per_gib: offer.wear_seconds_per_gib,
        device_seconds: offer.device_seconds,
        waiting_seconds: offer.waiting_seconds,
        confidence: offer.confidence,
    }
}

const fn class(class: ForecastClass) -> wire::ForecastClass {
    match class {
        ForecastClass::Hot => wire::ForecastClass::Hot,
        ForecastClass::Warm => wire::ForecastClass::Warm,
        ForecastClass::Cold => wire::ForecastClass::Cold,
    }
}

const fn verdict(verdict: Verdict) -> wire::Verdict {
    match verdict {
        Verdict::Moving(_) => wire::Verdict::Moving,
        Verdict::Resting => wire::Verdict::Resting,
        Verdict::NotMovable => wire::Verdict::NotMovable,
        Verdict::OnFastest => wire::Verdict::OnFastest,
        Verdict::TooFewTouches(_) => wire::Verdict::TooFewTouches,
        Verdict::JustCame { .. } => wire::Verdict::JustCame,
        Verdict::DoesNotPay => wire::Verdict::DoesNotPay,
        Verdict::Waits(_) | Verdict::WaitsUntil { .. } => wire::Verdict::Waits,
        Verdict::Pays => wire::Verdict::Pays,
    }
}

fn text(verdict: Verdict) -> String {
    match verdict {
        Verdict::Moving(id) => format!("it is moving: move {id}"),
        Verdict::Resting => "a move of it failed a little while ago; it rests".to_owned(),
        Verdict::NotMovable => {
            "it cannot be moved now: its member is missing, or it has more homes than one"
                .to_owned()
        }
        Verdict::OnFastest => "it is on the fastest tier".to_owned(),
        Verdict::TooFewTouches(least) => {
            format!("it stays: less than {least} touches are expected of it")
        }
        Verdict::JustCame { left_seconds } => {
            format!("it stays for {left_seconds:.0} s more: a move has just brought it here")
        }
        Verdict::DoesNotPay => {
            "it stays: a move would cost more than it is expected to save".to_owned()
        }
        Verdict::Waits(id) => format!("it waits for room, budget or a turn, as move {id}"),
        Verdict::WaitsUntil {
            id,
            begins_in_seconds,
            due_in_seconds,
        } => format!(
            "it waits for its time, as move {id}: due in {due_in_seconds:.0} s, begins in \
             {begins_in_seconds:.0} s at the latest"
        ),
        Verdict::Pays => "a move pays: it is wanted with the next samples".to_owned(),
    }
}
