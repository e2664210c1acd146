use std::collections::BTreeSet;

use super::*;
use crate::trace::{Op, Request};

fn regions(trace: &Trace) -> BTreeSet<u64> {
    let regions = trace.requests.iter().map(|request| request.offset.0 >> 20);
    regions.collect()
}

fn only(part: Part, seconds: f64) -> Trace {
    let recipe = Recipe {
        name: "one",
        seconds,
        regions: 1_024,
        parts: vec![part],
    };
    recipe.make(7)
}

#[test]
fn a_seed_gives_one_load_and_another_seed_another() {
    for recipe in recipes() {
        let one = recipe.make(1);
        assert_eq!(one, recipe.make(1), "{}", recipe.name);
        assert_ne!(one, recipe.make(2), "{}", recipe.name);
        assert!(one.requests.is_sorted_by_key(|request| request.at));
        assert!(one.end().0 <= u64::from(recipe.regions) << 20);
        let count = one.requests.len();
        assert!(
            (10_000..500_000).contains(&count),
            "{}: {count}",
            recipe.name
        );
        let most = tier_core::units::nanos(recipe.seconds) / 1000;
        assert!((1..=most).contains(&one.span().0));
    }
}

#[test]
fn one_more_part_leaves_the_others_as_they_were() {
    let [hot, more] = [vec![HOT], vec![HOT, NOISE]].map(|parts| {
        let recipe = Recipe {
            name: "hot",
            seconds: 600.0,
            regions: 1_024,
            parts,
        };
        recipe.make(3).requests
    });
    // Time counts from the first request, so that what lies between two is what is compared.
    let offsets: Vec<u64> = more.iter().map(|request| request.offset.0).collect();
    let missing = hot.iter().filter(|one| !offsets.contains(&one.offset.0));
    assert_eq!(missing.count(), 0);
    assert!(more.len() > hot.len());
}

#[test]
fn a_rhythm_comes_at_about_the_same_time_to_the_same_regions() {
    let daily = only(DAILY, 4.0 * DAY);
    let day = |number: u64| {
        let requests = daily.requests.iter();
        let of_day: Vec<_> = requests
            .filter(|request| (request.at.0 + 43_200_000_000) / 86_400_000_000 == number)
            .collect();
        of_day
    };
    let sets: Vec<BTreeSet<u64>> = (0..3)
        .map(|number| day(number).iter().map(|one| one.offset.0 >> 20).collect())
        .collect();
    let shared = sets[0].intersection(&sets[1]).count();
    assert!(
        shared * 10 > sets[0].len() * 8,
        "{shared} of {}",
        sets[0].len()
    );
    for number in 0..3 {
        let of_day = day(number);
        let (first, last) = (of_day[0].at.0, of_day[of_day.len() - 1].at.0);
        assert!(last - first < 3_700_000_000, "an hour of each day");
    }
}

#[test]
fn what_is_used_on_workdays_rests_on_two_of_seven() {
    let weekly = only(WORKDAYS, 2.0 * WEEK);
    let days: BTreeSet<u64> = weekly
        .requests
        .iter()
        .map(|request| (request.at.0 + 43_200_000_000) / 86_400_000_000)
        .collect();
    assert_eq!(days, [0, 1, 2, 3, 4, 7, 8, 9, 10, 11].into());
}

#[test]
fn phases_return_mostly_in_one_order() {
    let phases = only(PHASES, DAY);
    // What a phase uses, by the tens of minutes; phases of other lengths blur that.
    let span = |number: u64| -> BTreeSet<u64> {
        let of_span = phases.requests.iter();
        of_span
            .filter(|request| request.at.0 / 600_000_000 == number)
            .map(|request| request.offset.0 >> 20)
            .collect()
    };
    let first = span(0);
    let returns: Vec<u64> = (2..140)
        .filter(|number| span(*number).intersection(&first).count() * 2 > first.len())
        .collect();
    assert!((20..80).contains(&returns.len()), "{returns:?}");
}

/// Which of the sets are used one after the other, and from when on, in microseconds.
fn uses(trace: &Trace, sets: &[BTreeSet<u64>]) -> Vec<(usize, u64)> {
    let mut uses: Vec<(usize, u64)> = Vec::new();
    for request in &trace.requests {
        let region = request.offset.0 >> 20;
        let of = sets.iter().position(|set| set.contains(&region));
        if let Some(of) = of.filter(|of| uses.last().is_none_or(|last| last.0 != *of)) {
            uses.push((of, request.at.0));
        }
    }
    uses
}

#[test]
fn a_jobs_sets_follow_one_another_and_which_job_is_next_and_when_is_open() {
    let part = Part::Jobs(Jobs {
        jobs: 2,
        sets: 2,
        regions: 16,
        every_seconds: 3_000.0,
        use_seconds: 240.0,
        pause_seconds: 120.0,
        jitter: 0.25,
        per_second: 5.0,
    });
    let trace = only(part, 4.0 * DAY);
    // Sets are found by the regions that are used within a few minutes of each other.
    let mut sets: Vec<BTreeSet<u64>> = Vec::new();
    let is_of_one_use = |one: &Request, next: &Request| next.at.0 - one.at.0 < 60_000_000;
    for requests in trace.requests.chunk_by(is_of_one_use) {
        let used: BTreeSet<u64> = requests.iter().map(|one| one.offset.0 >> 20).collect();
        match sets.iter_mut().find(|set| !set.is_disjoint(&used)) {
            Some(set) => set.extend(used),
            None => sets.push(used),
        }
    }
    assert_eq!(sets.len(), 4, "{sets:?}");
    let uses = uses(&trace, &sets);
    assert!(uses.len() > 100, "{}", uses.len());
    // What follows a set is always the same for the first of a job, and open for the second.
    let after = |set: usize| -> BTreeSet<usize> {
        let pairs = uses.windows(2).filter(|pair| pair[0].0 == set);
        pairs.map(|pair| pair[1].0).collect()
    };
    let firsts: Vec<usize> = (0..4).filter(|set| after(*set).len() == 1).collect();
    assert_eq!(firsts.len(), 2, "{firsts:?}");
    // Within a job some six minutes pass; from job to job, anything does.
    let gaps = |is_within: bool| {
        let pairs = uses
            .windows(2)
            .filter(|pair| firsts.contains(&pair[0].0) == is_within);
        let gaps: Vec<u64> = pairs
            .map(|pair| (pair[1].1 - pair[0].1) / 1_000_000)
            .collect();
        (gaps.iter().copied().min(), gaps.iter().copied().max())
    };
    let (within, between) = (gaps(true), gaps(false));
    assert!(within.0 >= Some(260) && within.1 <= Some(460), "{within:?}");
    assert!(between.1 > Some(3_000), "{between:?}");
}

#[test]
fn streams_run_on_scans_pass_by_and_bursts_do_not_return() {
    let streams = only(STREAMS, 2.0 * HOUR);
    let follows = streams
        .requests
        .windows(2)
        .filter(|pair| pair[0].offset.0 + pair[0].length.0 == pair[1].offset.0);
    assert!(follows.count() * 10 > streams.requests.len() * 5);
    let backup = only(BACKUP, DAY);
    assert!(backup.requests.iter().all(|request| request.op == Op::Read));
    assert_eq!(regions(&backup).len(), 1_024, "all there is");
    assert_eq!(backup.requests.len(), 4 * 1_024, "once");
    let drift = only(DRIFT, 12.0 * HOUR);
    assert!(regions(&drift).len() > 450, "others than at first");
}
