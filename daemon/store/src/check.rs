//! The offline check: what `tierctl check` shows.
//!
//! Owns: [`check`] and its [`Finding`]s. Writes nothing, needs no daemon, and goes on past the
//! first thing it finds, where opening would stop.

use serde::Serialize;
use tier_core::units::{Generation, MemberIndex};

use crate::label::{LabelCopy, LabelState};
use crate::recover::{Choice, Seen, Tolerance, judge, survey};
use crate::refusal::OpenError;
use crate::storage::Disk;
use crate::words::{Epoch, ReplicaState};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; the next start deals with it by itself.
    Note,
    /// Redundancy or a member is lacking; the volume can be served.
    Warning,
    /// The volume cannot be opened for writing as it stands.
    Error,
}

/// What kind of thing was found: stable names, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// One copy of a label is not whole, or the copies differ.
    LabelCopy,
    /// A label was written under an older epoch than its member belongs to.
    LabelBehind,
    /// Creation stopped before every label was finished.
    LabelUnfinished,
    /// A replica cannot be read whole.
    ReplicaDamaged,
    /// A replica is whole and older than the newest.
    ReplicaBehind,
    /// A replica was dropped and not rebuilt yet.
    ReplicaDropped,
    /// Fewer than two replicas hold the newest metadata.
    LittleRedundancy,
    /// A member is absent.
    MemberAbsent,
    /// A member stayed behind when the others went on.
    MemberStale,
    /// Extents that lie only on members that are absent or stale.
    ExtentsUnreachable,
    /// The volume cannot be opened for writing.
    CannotOpen,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of thing it is.
    pub code: Code,
    /// The device it was found on, if it is about one.
    pub device: Option<String>,
    /// In words.
    pub detail: String,
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What was found, in the order in which it was looked for.
    pub findings: Vec<Finding>,
    /// What an opening would give, if there is whole metadata at all.
    pub newest: Option<Newest>,
}

/// The newest whole metadata, in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Newest {
    /// The volume's name.
    pub name: String,
    /// Its generation.
    pub generation: Generation,
    /// The newest generation that was acted on.
    pub acted_on: Generation,
    /// The newest epoch.
    pub epoch: Option<Epoch>,
    /// Regions of the volume.
    pub regions: u32,
    /// Its extents.
    pub extents: usize,
}

impl Report {
    /// The worst severity found; `None` if nothing was.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    fn add(&mut self, severity: Severity, code: Code, device: Option<String>, detail: String) {
        self.findings.push(Finding {
            severity,
            code,
            device,
            detail,
        });
    }
}

/// Checks the volume that `disks` are the members of.
#[must_use]
pub fn check(disks: &[Disk]) -> Report {
    check_survey(&survey(disks))
}

/// Checks what a survey found.
#[must_use]
pub fn check_survey(seen: &[Seen]) -> Report {
    let mut report = Report {
        findings: Vec::new(),
        newest: None,
    };
    for seen in seen {
        check_copies(&mut report, seen);
        if let Some(Err(error)) = &seen.metadata {
            let detail = error.to_string();
            report.add(
                Severity::Warning,
                Code::ReplicaDamaged,
                Some(seen.device()),
                detail,
            );
        }
    }
    if let Err(error) = judge(
        seen,
        Tolerance {
            missing: true,
            acted_on: false,
        },
    ) {
        report.add(Severity::Error, Code::CannotOpen, None, error.to_string());
    }
    match judge(
        seen,
        Tolerance {
            missing: true,
            acted_on: true,
        },
    ) {
        Ok(choice) => check_choice(&mut report, seen, &choice),
        Err(OpenError::NoDevices) => {}
        Err(_) => tracing::debug!("nothing could be chosen, so nothing more is checked"),
    }
    report
}

fn check_copies(report: &mut Report, seen: &Seen) {
    for (place, copy) in ["4 KiB", "512 KiB"].into_iter().zip(&seen.copies.copies) {
        if !matches!(copy, LabelCopy::Valid(_)) && !seen.copies.is_absent() {
            let detail = format!("the label copy at {place} is {}", copy.describe());
            report.add(Severity::Note, Code::LabelCopy, Some(seen.device()), detail);
        }
    }
    if let [LabelCopy::Valid(first), LabelCopy::Valid(second)] = &seen.copies.copies
        && first != second
    {
        let (first, second) = (first.sequence, second.sequence);
        let detail = format!("the label copies have sequences {first} and {second}");
        report.add(Severity::Note, Code::LabelCopy, Some(seen.device()), detail);
    }
}

fn check_choice(report: &mut Report, seen: &[Seen], choice: &Choice) {
    let facts = &choice.metadata.facts;
    report.newest = Some(Newest {
        name: facts.name.to_string(),
        generation: choice.metadata.generation,
        acted_on: choice.acted_on,
        epoch: facts.epoch(),
        regions: facts.regions,
        extents: choice.metadata.map.len(),
    });
    for index in choice.absent() {
        let severity = if choice.missing.contains(&index) {
            Severity::Error
        } else {
            Severity::Warning
        };
        let device = facts.member(index).map_or_else(String::new, |member| {
            format!(
                ", {} of {} bytes, id {}",
                member.class, member.device_bytes, member.id
            )
        });
        let detail = format!("member {index}{device} is absent");
        report.add(severity, Code::MemberAbsent, None, detail);
    }
    let found = |at: &usize| seen.get(*at);
    for stale in choice.stale.iter().filter_map(found) {
        let detail =
            "the volume went on without it; stop the volume and start it again to take it \
                      back"
                .to_owned();
        report.add(
            Severity::Warning,
            Code::MemberStale,
            Some(stale.device()),
            detail,
        );
    }
    let present: Vec<&Seen> = choice.present.iter().filter_map(found).collect();
    check_replicas(report, &present, choice);
    check_labels(report, &present, choice);
    check_reachable(report, &present, choice);
}

fn check_replicas(report: &mut Report, present: &[&Seen], choice: &Choice) {
    let facts = &choice.metadata.facts;
    let mut newest = 0;
    let mut carriers = 0;
    for seen in present {
        let Some(metadata) = &seen.metadata else {
            continue;
        };
        carriers += 1;
        let device = Some(seen.device());
        match metadata {
            Ok(found) if *found == choice.metadata => newest += 1,
            Ok(found) => {
                let detail = format!(
                    "its metadata is revision {} (generation {}), and {} is the newest",
                    found.revision.0, found.generation, choice.metadata.revision.0
                );
                report.add(
                    Severity::Warning,
                    Code::ReplicaBehind,
                    device.clone(),
                    detail,
                );
            }
            Err(_) => {}
        }
        let index = seen.label().map(|label| label.index);
        let dropped = index.ok().and_then(|index| facts.member(index));
        if dropped.is_some_and(|member| member.replica == ReplicaState::Dropped) {
            let detail = "its replica was dropped; the next start rebuilds it".to_owned();
            report.add(Severity::Warning, Code::ReplicaDropped, device, detail);
        }
    }
    let wanted = crate::layout::REPLICAS.min(facts.members.len());
    if newest < wanted {
        let detail = format!("{newest} of {carriers} replicas hold the newest metadata");
        report.add(Severity::Warning, Code::LittleRedundancy, None, detail);
    }
}

fn check_labels(report: &mut Report, present: &[&Seen], choice: &Choice) {
    let epoch = choice.metadata.facts.epoch();
    for seen in present {
        let Ok(label) = seen.label() else { continue };
        if Some(label.epoch) != epoch {
            let detail = format!("its label is of epoch {}", label.epoch);
            report.add(
                Severity::Note,
                Code::LabelBehind,
                Some(seen.device()),
                detail,
            );
        }
        if label.state == LabelState::Creating {
            let detail = "creation was cut off before its label was finished".to_owned();
            report.add(
                Severity::Note,
                Code::LabelUnfinished,
                Some(seen.device()),
                detail,
            );
        }
    }
}

fn check_reachable(report: &mut Report, present: &[&Seen], choice: &Choice) {
    let here: Vec<MemberIndex> = present
        .iter()
        .filter_map(|seen| seen.label().ok().map(|label| label.index))
        .collect();
    let lost = choice
        .metadata
        .map
        .extents()
        .filter(|extent| !extent.legs.iter().any(|leg| here.contains(&leg.member)));
    let (extents, regions) = lost.fold((0_u32, 0_u64), |(n, regions), extent| {
        (n + 1, regions + u64::from(extent.count))
    });
    if extents > 0 {
        let detail = format!("{extents} extents ({regions} regions) lie only on absent members");
        report.add(Severity::Error, Code::ExtentsUnreachable, None, detail);
    }
}

#[cfg(test)]
mod tests;
