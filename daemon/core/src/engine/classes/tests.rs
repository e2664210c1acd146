use std::collections::BTreeSet;

use super::*;
use crate::testing::{Shell, config, state};

#[test]
fn what_pays_for_a_move_is_hot_wherever_it_is() {
    let mut shell = Shell::new(config(), state(), Vec::new());
    let count = |shell: &Shell| {
        let tiers = shell.engine.tier_forecasts();
        let of = |class| tiers.iter().find(|tier| tier.class == class).unwrap();
        (of(Class::Nvme).regions, of(Class::Hdd).regions)
    };
    let cold = |cold| ClassCounts {
        cold,
        ..ClassCounts::default()
    };
    assert_eq!(count(&shell), (cold(0), cold(40)));
    shell.sample(7, 200, 0);
    let hot = |hot, cold| ClassCounts {
        hot,
        cold,
        ..ClassCounts::default()
    };
    assert_eq!(count(&shell), (cold(0), hot(1, 39)));
    shell.settle();
    shell.sample(7, 200, 0);
    shell.settle();
    assert_eq!(shell.class_of(7), Class::Nvme);
    assert_eq!(count(&shell), (hot(1, 0), cold(39)));
}

#[test]
fn of_a_large_volume_each_part_is_looked_at_once_and_at_no_even_distance() {
    for regions in [40, LOOKED_AT_MAX, LOOKED_AT_MAX + 1, 10_000_000] {
        let parts = regions.min(LOOKED_AT_MAX);
        let picked: Vec<u32> = (0..parts)
            .map(|part| super::picked(part, parts, regions).0)
            .collect();
        assert!(picked.is_sorted_by(|one, other| one < other), "{regions}");
        assert!(picked.iter().all(|region| *region < regions));
        let steps = picked.windows(2).map(|pair| pair[1] - pair[0]);
        let steps: BTreeSet<u32> = steps.collect();
        assert!(
            steps.len() > 100 || regions <= LOOKED_AT_MAX + 1,
            "{regions}"
        );
    }
}
