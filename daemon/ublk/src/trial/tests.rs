use super::*;

const MILLI: u64 = 1_000_000;

/// A trial of one step of reads and one of writes, and its ramp, in the first step.
fn begun(is_judged: bool) -> (Trial, Ramp) {
    let policy = TrialPolicy {
        read_percents: [50, 0, 0, 0],
        compare_percent: 50,
        write_percents: [100, 0, 0, 0],
        step_requests: 4,
        samples_min: 2,
        ..TrialPolicy::default()
    };
    let trial = Trial::new(Some(policy), is_judged);
    let mut ramp = trial.ramp().unwrap();
    assert_eq!(trial.step(), Some(Step::Ahead));
    assert!(trial.go_on(&mut ramp, 0));
    assert_eq!(trial.step(), Some(Step::Reads(50)));
    (trial, ramp)
}

/// Reads of which every fourth is compared, with these latencies; how each was made.
fn read(trial: &Trial, count: usize, source: u64, target: u64) -> String {
    let one = |_| match trial.read() {
        Read::Source => 's',
        Read::Target(_) => 't',
        Read::Both(turn) => {
            turn.measured(source, target);
            'b'
        }
    };
    (0..count).map(one).collect()
}

#[test]
fn before_its_trial_no_request_goes_to_a_target() {
    let trial = Trial::new(Some(TrialPolicy::default()), true);
    assert!(matches!(trial.read(), Read::Source));
    assert!(trial.write().is_none());
}

#[test]
fn while_what_was_copied_is_read_back_no_request_goes_to_a_target() {
    let trial = Trial::new(Some(TrialPolicy::default()), true);
    assert!(trial.reads_back());
    for percent in [0, 50, 100] {
        trial.has_read_back(percent);
        assert_eq!(trial.step(), Some(Step::ReadsBack(percent)));
        assert!(matches!(trial.read(), Read::Source));
        assert!(trial.write().is_none());
    }
}

#[test]
fn what_is_used_while_it_is_copied_is_not_taken_to_be_idle() {
    let policy = TrialPolicy::default();
    let trial = Trial::new(Some(policy), true);
    let _ = (trial.read(), trial.write());
    let mut ramp = trial.ramp().unwrap();
    let mut steps = 0;
    while trial.go_on(&mut ramp, steps * 499 * MILLI) {
        steps += 1;
    }
    assert!(steps > 8, "{steps}");
}

#[test]
fn a_target_without_a_trial_passes_at_once() {
    let trial = Trial::new(None, true);
    assert!(trial.ramp().is_none());
    assert_eq!(trial.step(), Some(Step::Ahead), "its copy is under way");
    trial.pass();
    assert_eq!(trial.step(), None);
    assert!(matches!(trial.read(), Read::Source));
}

#[test]
fn a_share_of_the_reads_goes_to_the_target_and_a_share_of_that_to_both() {
    let (trial, mut ramp) = begun(true);
    assert_eq!(read(&trial, 8, 100, 100), "bstsbsts");
    assert!(trial.write().is_none(), "not yet");
    assert!(trial.go_on(&mut ramp, MILLI));
    assert_eq!(trial.step(), Some(Step::Writes(100)));
    assert!(trial.write().is_some());
    assert_eq!(read(&trial, 4, 100, 100), "bsts", "as before");
    assert!(!trial.go_on(&mut ramp, 600 * MILLI));
    assert_eq!(trial.step(), Some(Step::Writes(100)), "the rest is awaited");
    // What was written is read back, and until the source is dropped, requests go on as they did.
    trial.has_read_back(40);
    assert_eq!(trial.step(), Some(Step::ReadsBack(40)));
    assert_eq!(read(&trial, 4, 100, 100), "bsts");
    trial.pass();
    assert_eq!((trial.step(), trial.verdict()), (None, None));
    assert!(trial.write().is_some());
    assert_eq!(read(&trial, 4, 100, 100), "bsts");
}

#[test]
fn those_that_are_compared_take_turns_in_which_leg_is_asked_first() {
    let (trial, _) = begun(true);
    let compared = (0..16).filter_map(|_| match trial.read() {
        Read::Both(turn) => Some(turn.is_target_first()),
        _ => None,
    });
    assert_eq!(compared.collect::<Vec<_>>(), [false, true, false, true]);
}

#[test]
fn a_slow_target_fails_if_it_promised_to_be_faster_and_else_passes() {
    for is_judged in [true, false] {
        let (trial, mut ramp) = begun(is_judged);
        read(&trial, 16, 200, 31_000);
        assert_eq!(trial.go_on(&mut ramp, MILLI), !is_judged);
        let slow = LegFault::Slow {
            source: Micros(223),
            target: Micros(32_767),
        };
        assert_eq!(trial.verdict(), is_judged.then_some(slow));
        if is_judged {
            assert_eq!(trial.step(), Some(Step::Reads(50)), "it has not passed");
            assert_eq!(read(&trial, 4, 0, 0), "ssss");
            assert!(!trial.go_on(&mut ramp, 2 * MILLI));
        }
    }
}

#[test]
fn a_target_that_is_slow_to_write_fails_as_one_that_is_slow_to_read_does() {
    let (trial, mut ramp) = begun(true);
    assert!(trial.go_on(&mut ramp, 20 * MILLI));
    for _ in 0..4 {
        trial.write().unwrap().measured(300, 9_000);
    }
    assert!(!trial.go_on(&mut ramp, 21 * MILLI));
    assert!(matches!(trial.verdict(), Some(LegFault::Slow { .. })));
    assert!(trial.write().is_none());
}

#[test]
fn a_target_that_is_slow_as_often_as_its_source_is_not_slow() {
    let (trial, mut ramp) = begun(true);
    // By their medians alone it would be: 200 us on the source and 31 ms there.
    read(&trial, 5 * 4, 200, 31_000);
    read(&trial, 4 * 4, 31_000, 200);
    assert!(trial.go_on(&mut ramp, MILLI));
    assert_eq!(trial.verdict(), None);
}

#[test]
fn too_few_measurements_say_nothing() {
    let (trial, mut ramp) = begun(true);
    read(&trial, 3, 200, 31_000);
    assert!(trial.go_on(&mut ramp, 500 * MILLI));
    assert_eq!(trial.verdict(), None);
}

#[test]
fn a_target_that_differs_fails_at_once_whatever_it_promised() {
    let (trial, mut ramp) = begun(false);
    trial.differs(4096);
    trial.differs(8192);
    let at = Bytes(4096);
    assert_eq!(trial.verdict(), Some(LegFault::Differs { at }));
    assert!(!trial.go_on(&mut ramp, MILLI));
    assert_eq!(trial.step(), Some(Step::Reads(50)));
    assert_eq!(read(&trial, 4, 0, 0), "ssss");
}

#[test]
fn a_target_that_does_not_answer_fails_if_it_promised_to_be_faster_and_else_is_waited_for() {
    for is_judged in [true, false] {
        let (trial, mut ramp) = begun(is_judged);
        let unanswered = trial.read();
        assert!(trial.go_on(&mut ramp, 500 * MILLI));
        assert_eq!(trial.go_on(&mut ramp, 5_500 * MILLI), !is_judged);
        let waited = Micros(5_000_000);
        let verdict = is_judged.then_some(LegFault::Unanswered { waited });
        assert_eq!(trial.verdict(), verdict);
        drop(unanswered);
        assert_eq!(trial.go_on(&mut ramp, 5_501 * MILLI), !is_judged);
        let step = if is_judged {
            Step::Reads(50)
        } else {
            Step::Writes(100)
        };
        assert_eq!(trial.step(), Some(step));
    }
}
