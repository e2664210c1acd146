//! Moves, planned, under way and past, each with its reason.

use std::time::SystemTime;

use tier_core::command::{Reason, Stage};
use tier_core::engine::MoveView;
use tier_core::event::{Priority, Target, Trial};
use tier_core::units::{MemberIndex, MoveId, VolumeRegion};
use tier_core::volume::{Class, Leg, Member};
use tier_wire as wire;

use super::wire_class;
use crate::volume::history::Finished;
use crate::volume::runtime::Runtime;

/// What the policy would move now.
pub(crate) fn plan(runtime: &Runtime, name: wire::VolumeName) -> wire::Plan {
    let engine = &runtime.parts.engine;
    let moves: Vec<wire::PlannedMove> = engine
        .plan_preview()
        .into_iter()
        .map(|planned| wire::PlannedMove {
            first: planned.first.0,
            count: planned.count,
            from: place(planned.source, planned.from),
            to: place(planned.target, planned.to),
            bytes: planned.bytes.0,
            seconds: planned.seconds,
            reason: reason(&planned.reason),
        })
        .collect();
    wire::Plan {
        volume: name,
        paused: engine.status().paused,
        bytes: moves.iter().map(|planned| planned.bytes).sum(),
        seconds: moves.iter().map(|planned| planned.seconds).sum(),
        moves,
    }
}

/// How many regions of a range would have to move, and how long that takes on idle devices.
pub(crate) fn would_move(
    runtime: &Runtime,
    first: VolumeRegion,
    count: u32,
    target: Target,
) -> (u32, f64) {
    let engine = &runtime.parts.engine;
    let mut regions = 0;
    let mut seconds = 0.0;
    for piece in engine.map().pieces(first, count) {
        let Some(home) = piece.home() else { continue };
        let there = match target {
            Target::Member(member) => home.member == member,
            Target::Class(class) => runtime.class_of(home.member) == Some(class),
        };
        if there {
            continue;
        }
        regions += piece.count;
        seconds += copy_seconds(runtime, home.member, target, piece.count);
    }
    (regions, seconds)
}

/// Seconds that a copy takes on idle devices: the slower of the two sets the pace.
#[allow(
    clippy::cast_precision_loss,
    reason = "an estimate for people needs no 53 bits"
)]
fn copy_seconds(runtime: &Runtime, from: MemberIndex, target: Target, count: u32) -> f64 {
    let speed_of = |member: &&Member| member.profile.bytes_per_second;
    let members = &runtime.parts.known_members;
    let source = members.iter().find(|member| member.index == from);
    let to = members.iter().find(|member| match target {
        Target::Member(index) => member.index == index,
        Target::Class(class) => member.class == class,
    });
    let slower = [source, to]
        .iter()
        .flatten()
        .map(speed_of)
        .fold(f64::INFINITY, f64::min);
    runtime.parts.region_size.bytes().0 as f64 * f64::from(count) / slower
}

pub(super) fn place(leg: Leg, class: Class) -> wire::Place {
    wire::Place {
        member: leg.member.0,
        class: wire_class(class),
    }
}

fn stage(stage: Stage) -> wire::Stage {
    match stage {
        Stage::Pending => wire::Stage::Pending,
        Stage::Copying => wire::Stage::Copying,
        Stage::Committing => wire::Stage::Committing,
        Stage::Swapping => wire::Stage::Swapping,
        Stage::Done => wire::Stage::Done,
        Stage::Undone => wire::Stage::Undone,
        Stage::Failed => wire::Stage::Failed,
    }
}

fn reason(reason: &Reason) -> wire::Reason {
    match reason {
        Reason::ByHand { .. } => wire::Reason {
            cause: wire::Cause::ByHand,
            text: "asked for by a person".to_owned(),
        },
        Reason::Promotion {
            expert,
            touches,
            confidence,
            benefit_seconds,
            cost_seconds,
            due_in_seconds,
        } => wire::Reason {
            cause: wire::Cause::Promotion {
                expert: expert.to_string(),
                touches: *touches,
                confidence: *confidence,
                benefit_seconds: *benefit_seconds,
                cost_seconds: *cost_seconds,
            },
            text: format!(
                "the expert \"{expert}\" expects {touches} touches: \
                 would save {benefit_seconds:.3} s of waiting for {cost_seconds:.3} s of moving, \
                 and pay with a confidence of {:.0} %{}",
                confidence * 100.0,
                due_in_seconds.map_or_else(String::new, |due| format!("; due in {due:.0} s"))
            ),
        },
        Reason::Demotion { heat, room_for } => wire::Reason {
            cause: wire::Cause::Demotion {
                heat: *heat,
                room_for: room_for.map(|id| id.0),
            },
            text: match room_for {
                Some(id) => {
                    format!("cold ({heat:.1} touches expected), and move {id} needs its place")
                }
                None => format!("cold ({heat:.1} touches expected), and the tier needs free room"),
            },
        },
        Reason::Worn { seconds_per_gib } => wire::Reason {
            cause: wire::Cause::Worn {
                seconds_per_gib: *seconds_per_gib,
            },
            text: format!(
                "writing to it wears the flash it was on, at {seconds_per_gib:.2} s for a GiB: \
                 more than it saves to have it there"
            ),
        },
        Reason::Adopted => wire::Reason {
            cause: wire::Cause::Adopted,
            text: "found under way when the daemon started".to_owned(),
        },
    }
}

const fn trial(trial: Trial) -> Option<wire::Trial> {
    Some(match trial {
        Trial::Ahead => return None,
        Trial::ReadsBack(percent) => wire::Trial::ReadingBack { percent },
        Trial::Reads(percent) => wire::Trial::ShadowingReads { percent },
        Trial::Writes(percent) => wire::Trial::RedirectingWrites { percent },
    })
}

const fn priority(priority: Priority) -> wire::Priority {
    match priority {
        Priority::Low => wire::Priority::Low,
        Priority::Normal => wire::Priority::Normal,
        Priority::High => wire::Priority::High,
    }
}

/// The engine's word for a priority of the wire.
pub(crate) const fn core_priority(priority: wire::Priority) -> Priority {
    match priority {
        wire::Priority::Low => Priority::Low,
        wire::Priority::Normal => Priority::Normal,
        wire::Priority::High => Priority::High,
    }
}

pub(super) fn live_move(runtime: &Runtime, one: &MoveView) -> wire::Move {
    let age = runtime.now().seconds_since(one.since);
    let progress = share(one.in_sync_chunks, one.total_chunks);
    let copying = one.stage == Stage::Copying && progress > 0.0 && progress < 1.0;
    wire::Move {
        id: one.id.0,
        first: one.first.0,
        count: one.count,
        bytes: runtime.parts.region_size.bytes_of(one.count).0,
        from: place(one.source, one.from),
        to: place(one.target, one.to),
        stage: stage(one.stage),
        trial: one
            .trial
            .filter(|_| one.stage == Stage::Copying)
            .and_then(trial),
        priority: Some(priority(one.priority)),
        progress,
        eta_seconds: copying.then(|| age / progress - age),
        age_seconds: age,
        ended_seconds_ago: None,
        reason: reason(&one.reason),
        error: one.error.clone(),
    }
}

pub(super) fn ended_move(runtime: &Runtime, finished: &Finished) -> wire::Move {
    let report = &finished.report;
    // A wall clock that was set back makes a move end just now.
    let ago = SystemTime::now()
        .duration_since(finished.at)
        .unwrap_or_default();
    wire::Move {
        id: report.id.0,
        first: report.first.0,
        count: report.count,
        bytes: runtime.parts.region_size.bytes_of(report.count).0,
        from: place(report.source, report.from),
        to: place(report.target, report.to),
        stage: stage(report.stage),
        trial: None,
        priority: None,
        progress: if report.stage == Stage::Done {
            1.0
        } else {
            0.0
        },
        eta_seconds: None,
        age_seconds: ago.as_secs_f64(),
        ended_seconds_ago: Some(ago.as_secs_f64()),
        reason: reason(&report.reason),
        error: report.error.clone(),
    }
}

/// Moves under way, pending and past.
pub(crate) fn moves(runtime: &Runtime, name: wire::VolumeName, history: u32) -> wire::MoveList {
    let (pending, live): (Vec<_>, Vec<_>) = runtime
        .parts
        .engine
        .moves()
        .partition(|one| one.stage == Stage::Pending);
    let history = usize::try_from(history).unwrap_or(usize::MAX);
    wire::MoveList {
        volume: name,
        live: live.iter().map(|one| live_move(runtime, one)).collect(),
        pending: pending.iter().map(|one| live_move(runtime, one)).collect(),
        history: runtime
            .history
            .newest_first()
            .take(history)
            .map(|finished| ended_move(runtime, finished))
            .collect(),
    }
}

/// One move, under way or past.
pub(crate) fn one_move(runtime: &Runtime, id: MoveId) -> Option<wire::Move> {
    let live = runtime.parts.engine.moves().find(|one| one.id == id);
    live.map(|one| live_move(runtime, &one)).or_else(|| {
        let mut past = runtime.history.newest_first();
        past.find(|finished| finished.report.id == id)
            .map(|past| ended_move(runtime, past))
    })
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a share for people needs no 53 bits"
)]
fn share(part: u64, all: u64) -> f64 {
    if all == 0 {
        0.0
    } else {
        part as f64 / all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_of_a_trial_has_its_word_and_the_copy_has_none() {
        assert_eq!(trial(Trial::Ahead), None);
        let percent = 30;
        let steps = [Trial::ReadsBack(30), Trial::Reads(30), Trial::Writes(30)].map(trial);
        let words = [
            wire::Trial::ReadingBack { percent },
            wire::Trial::ShadowingReads { percent },
            wire::Trial::RedirectingWrites { percent },
        ];
        assert_eq!(steps, words.map(Some));
    }
}
