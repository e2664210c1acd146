//! `tierctl check`: looks through the metadata of a volume's members, without tierd.

use clap::Args;
use tier_store::check::{Finding, Report, Severity, check};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::offline::Devices;
use crate::printer::{Look, Printer};
use crate::table::{Column, table};
use crate::units::{count, or_dash};

#[derive(Args, Debug)]
pub(crate) struct Check {
    #[command(flatten)]
    devices: Devices,
}

impl Check {
    pub(crate) fn run(self, printer: &mut Printer) -> Result<(), Failure> {
        let report = check(&self.devices.open()?);
        printer.show(&report, shown)?;
        let found = count(
            u64::try_from(report.findings.len()).unwrap_or(u64::MAX),
            "finding",
        );
        match report.worst() {
            None | Some(Severity::Note) => Ok(()),
            Some(Severity::Warning) => Err(Failure::new(
                Exit::Degraded,
                format!("{found}: the volume can be served, and lacks redundancy or a member"),
            )),
            Some(Severity::Error) => Err(Failure::new(
                Exit::Damaged,
                format!("{found}: the volume cannot be opened for writing as it stands"),
            )),
        }
    }
}

fn shown(report: &Report, look: Look) -> String {
    let mut text = String::new();
    if let Some(newest) = &report.newest {
        text += &format!(
            "Volume {}: generation {} (acted on: {}), epoch {}, {} regions in {}\n",
            newest.name,
            newest.generation,
            newest.acted_on,
            or_dash(newest.epoch, |epoch| epoch.to_string()),
            newest.regions,
            count(u64::try_from(newest.extents).unwrap_or(u64::MAX), "extent"),
        );
    }
    if report.findings.is_empty() {
        return text + "Nothing was found.\n";
    }
    let columns = [
        Column::Left("SEVERITY"),
        Column::Left("DEVICE"),
        Column::Left("FINDING"),
    ];
    let row = |finding: &Finding| {
        vec![
            severity(finding.severity).into(),
            or_dash(finding.device.clone(), |device| device),
            finding.detail.clone(),
        ]
    };
    text + &table(look, &columns, report.findings.iter().map(row))
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}
