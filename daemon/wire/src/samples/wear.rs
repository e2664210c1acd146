//! Wear of flash, for a status.

use super::GIB;
use crate::{Class, MemberWear, Wear, WearMoney, WearRule};

pub(super) fn wear() -> Wear {
    let member = |member, class, written_bytes, seconds_per_gib| MemberWear {
        member,
        class,
        written_bytes,
        allowed_bytes: 400 * GIB,
        year_bytes: 1_095 * GIB,
        seconds_per_gib,
        rule: WearRule::Budget,
    };
    Wear {
        year_seconds: 8_640_000.0,
        members: vec![
            member(0, Class::Nvme, 402 * GIB, 0.1),
            member(1, Class::Ssd, 60 * GIB, 0.05),
        ],
        money: Some(WearMoney {
            spent: 12.5,
            allowed: Some(13.0),
            per_year: Some(40.0),
        }),
    }
}
