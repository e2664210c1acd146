//! What writing to flash costs.

use tier_core::wear::{MemberWearStatus, WearRule, WearStatus};
use tier_wire as wire;

use super::status::whole;
use super::wire_class;

pub(super) fn wear(of: &WearStatus) -> wire::Wear {
    wire::Wear {
        year_seconds: of.year_seconds,
        members: of.members.iter().map(member).collect(),
        money: of.money.map(|money| {
            let budget = |value| (money.per_year > 0.0).then_some(value);
            wire::WearMoney {
                spent: money.spent,
                allowed: budget(money.allowed),
                per_year: budget(money.per_year),
            }
        }),
    }
}

fn member(of: &MemberWearStatus) -> wire::MemberWear {
    wire::MemberWear {
        member: of.member.0,
        class: wire_class(of.class),
        written_bytes: whole(of.written_bytes),
        allowed_bytes: whole(of.allowed_bytes),
        year_bytes: whole(of.bytes_per_year),
        seconds_per_gib: of.seconds_per_gib,
        rule: match of.rule {
            WearRule::Endurance => wire::WearRule::Endurance,
            WearRule::Budget => wire::WearRule::Budget,
            WearRule::Rate => wire::WearRule::Rate,
        },
    }
}
