use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn at(seconds: u64) -> Now {
    Now(seconds * SECOND)
}

fn task(due: u64, seconds: f64) -> Task {
    Task {
        due: at(due),
        seconds,
    }
}

#[test]
fn a_move_begins_before_its_deadline_by_the_copies_of_all_that_are_due_until_then() {
    // Twice two seconds and half a minute before the first; and twice as much before both of the
    // next, which come after it.
    let tasks = [task(1_000, 2.0), task(2_000, 3.0), task(2_000, 5.0)];
    let starts = latest_starts(&tasks, 30.0);
    assert_eq!(starts, [at(1_000 - 34), at(2_000 - 50), at(2_000 - 50)]);
    assert_eq!(latest_starts(&[], 30.0), []);
}

#[test]
fn what_comes_first_makes_way_in_time_for_what_comes_next() {
    // The second has to begin at 100 - 2 * 41, and the first is copied before it.
    let starts = latest_starts(&[task(99, 1.0), task(100, 40.0)], 0.0);
    assert_eq!(starts, [at(18), at(18)]);
    // A deadline that is nearer than the copies take is due at once.
    assert_eq!(latest_starts(&[task(3, 9.0)], 0.0), [at(0)]);
}

fn appointment(begins: u64, due: u64) -> Appointment {
    let (begins, due) = (at(begins), at(due));
    Appointment { begins, due }
}

#[test]
fn the_due_go_by_deadline_the_open_by_gain_and_who_waits_comes_last() {
    let waits = |due| Standing::Waits(appointment(1, due));
    let mut all = [
        (waits(5), 9.0),
        (Standing::Open, 1.0),
        (Standing::Due(at(7)), 0.1),
        (Standing::Open, 3.0),
        (Standing::Due(at(6)), 0.2),
        (Standing::Due(at(6)), 0.3),
        (waits(4), 0.1),
    ];
    all.sort_by(|one, other| order(*one, *other));
    let gains = all.map(|(_, gain)| gain.to_string());
    assert_eq!(gains, ["0.3", "0.2", "0.1", "3", "1", "0.1", "9"]);
}

#[test]
fn a_want_waits_until_its_latest_start_and_is_due_from_then_on() {
    let one = appointment(10, 20);
    assert_eq!(standing(one, at(9)), Standing::Waits(one));
    assert_eq!(standing(one, at(10)), Standing::Due(at(20)));
    assert_eq!(standing(one, at(30)), Standing::Due(at(20)));
}

#[test]
fn what_waits_is_not_taken_along_and_what_is_too_late_never() {
    let [open, due, waits, late] = [0, 1, 2, 3].map(VolumeRegion);
    let standing = Standing::Waits(appointment(10, 20));
    let timed = [
        (due, Standing::Due(at(5))),
        (waits, standing),
        (late, Standing::TooLate),
    ];
    let schedule = Schedule {
        timed: timed.into_iter().collect(),
    };
    let with = |beside| [open, due, waits, late].map(|one| schedule.has_turn(one, beside));
    assert_eq!(with(Standing::Open), [true, true, false, false]);
    assert_eq!(with(Standing::Due(at(5))), [true, true, false, false]);
    assert_eq!(with(standing), [true, true, true, false]);
}

proptest! {
    /// Copies that take as long as they are reckoned to, one after the other as the order has it,
    /// from the moment on at which the first is due.
    #[test]
    fn who_is_due_goes_before_later_deadlines_begins_no_earlier_than_it_must_and_ends_in_time(
        tasks in prop::collection::vec((100_u64..10_000, 1_u32..40), 1..30),
        margin in 0_u32..60,
    ) {
        let mut tasks: Vec<Task> = tasks
            .into_iter()
            .map(|(due, tenths)| task(due + 3_000, f64::from(tenths) / 10.0))
            .collect();
        tasks.sort_by_key(|one| one.due);
        let starts = latest_starts(&tasks, f64::from(margin));
        let mut left: Vec<(Task, Now)> = tasks.into_iter().zip(starts).collect();
        let mut now = Now(0);
        while !left.is_empty() {
            let stands = |(task, begins): &(Task, Now)| {
                let due = task.due;
                standing(Appointment { begins: *begins, due }, now)
            };
            left.sort_by(|one, other| order((stands(one), 0.0), (stands(other), 0.0)));
            let (next, begins) = left[0];
            if let Standing::Waits(_) = stands(&left[0]) {
                prop_assert!(left.iter().all(|one| one.1 > now), "somebody is due, and waits");
                now = begins;
                continue;
            }
            prop_assert!(begins <= now, "it begins no earlier than it must");
            let earlier = left.iter().any(|(other, begins)| *begins <= now && other.due < next.due);
            prop_assert!(!earlier, "an earlier deadline is due");
            now = Now(now.0 + nanos(next.seconds));
            prop_assert!(now <= next.due, "it ends in time");
            left.remove(0);
        }
    }
}
