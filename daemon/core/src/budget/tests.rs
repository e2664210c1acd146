use super::*;

#[test]
fn the_pace_is_halved_when_the_foreground_suffers_and_grows_by_steps() {
    let mut pace = Pace::new(1_000.0, 0.01);
    let start = pace.bytes_per_second();
    pace.observe(0.02, Blame::Moves);
    assert!((pace.bytes_per_second() - start / 2.0).abs() < 1e-9);
    for _ in 0..20 {
        pace.observe(0.02, Blame::Moves);
    }
    assert!(
        pace.bytes_per_second() > 0.0,
        "a busy volume must still be able to mend"
    );
    assert_eq!(pace.mirrors(8), 1);
    for _ in 0..20 {
        pace.observe(0.005, Blame::Moves);
    }
    assert!((pace.bytes_per_second() - 1_000.0).abs() < 1e-9);
    assert_eq!(pace.mirrors(8), 8);
}

#[test]
fn while_nobody_asks_for_anything_the_pace_grows_by_steps() {
    let mut pace = Pace::new(1_000.0, 0.01);
    for _ in 0..20 {
        pace.observe(0.02, Blame::Moves);
    }
    assert_eq!(pace.mirrors(8), 1);
    pace.observe_silence();
    assert!(pace.bytes_per_second() < 100.0, "a step, not all at once");
    for _ in 0..20 {
        pace.observe_silence();
    }
    assert!((pace.bytes_per_second() - 1_000.0).abs() < 1e-9);
    assert_eq!(pace.mirrors(8), 8);
}

#[test]
fn without_a_target_the_latency_without_moves_is_the_measure() {
    let mut pace = Pace::new(1_000.0, 0.0);
    for _ in 0..10 {
        pace.observe(0.030, Blame::NoMoves);
    }
    let before = pace.bytes_per_second();
    pace.observe(0.040, Blame::Moves);
    assert!(
        pace.bytes_per_second() > before,
        "a slow volume is slow without moves too"
    );
    pace.observe(0.050, Blame::Moves);
    assert!(pace.bytes_per_second() < before);
}

#[test]
fn bytes_are_saved_up_for_a_moment_only_and_may_be_owed() {
    let mut pace = Pace::new(4_000.0, 0.0);
    pace.fill(Now(0));
    pace.fill(Now(3_600_000_000_000));
    pace.spend(1_999.0);
    assert!(pace.has_bytes());
    pace.spend(1_000.0);
    assert!(
        !pace.has_bytes(),
        "no more than two seconds' worth was saved"
    );
    pace.fill(Now(3_602_000_000_000));
    assert!(pace.has_bytes());
}

#[test]
fn the_account_lets_spend_what_it_earned() {
    let mut account = Account::new(0.0, 0.05, 10.0);
    assert!(!account.affords(0.1));
    account.earn_baseline(4.0);
    assert!(account.affords(0.2) && !account.affords(0.21));
    account.add(-0.2);
    account.add(f64::NAN);
    assert!(account.seconds().abs() < 1e-9);
    account.add(1e9);
    assert!((account.seconds() - 10.0).abs() < 1e-9);
}
