//! Small facts about a volume that people are told.

use std::path::Path;

use tier_store::open::Recovery;
use tier_sys::block::DeviceNumber;

/// Whether the kernel passes discards through this device
/// (Documentation/ABI/stable/sysfs-block, `discard_max_bytes`: zero means that it does not).
pub(crate) fn takes_discard(number: DeviceNumber) -> bool {
    let path = format!(
        "/sys/dev/block/{}:{}/queue/discard_max_bytes",
        number.major, number.minor
    );
    std::fs::read_to_string(Path::new(&path)).is_ok_and(|text| text.trim() != "0")
}

/// What a start had to mend, and what is lacking, in sentences.
pub(crate) fn mended(recovery: &Recovery) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut tell = |members: &[tier_core::units::MemberIndex], what: &str| {
        for member in members {
            sentences.push(format!("member {member} {what}"));
        }
    };
    tell(
        &recovery.rebuilt,
        "had metadata that was behind or damaged; it was rewritten",
    );
    tell(
        &recovery.missing,
        "is missing: what is on it alone cannot be read or written",
    );
    tell(
        &recovery.stale,
        "stayed behind when the others went on, and is not used",
    );
    tell(&recovery.readmitted, "had stayed behind and was taken back");
    tell(
        &recovery.healed_labels,
        "had a torn or old label; it was written again",
    );
    for dropped in &recovery.dropped {
        sentences.push(format!(
            "the metadata replica on member {} was dropped: {}",
            dropped.member, dropped.error
        ));
    }
    for label in &recovery.unwritten_labels {
        sentences.push(format!(
            "the label of member {} could not be written: {}",
            label.member, label.error
        ));
    }
    sentences
}
