//! What a hold waits for, and how it is bounded.

use std::time::{Duration, Instant};

use tier_sys::dm::HoldControl;
use tier_sys::interrupt::Deadline;
use tier_tests::disk::{Answer, Answers};
use tier_tests::dm::Device;
use tier_tests::guest::Guest;
use tier_tests::io::{Pending, assert_filled, fill};
use tier_tests::test_name;

use super::{HANDLE_ERRORS, LONG, PARKED, SECTORS, disk, linear, synced_mirror};

const EINTR: i32 = 4;

/// [4] A hold is bounded by a signal: the volume runs on as if nobody had asked.
#[test]
fn a_suspend_waits_for_a_parked_write_and_a_signal_ends_it_with_the_device_running() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (source, target) = (disk(guest, "source"), disk(guest, "target"));
            let other = disk(guest, "other");
            let inner = synced_mirror("m", &source, &target, HANDLE_ERRORS);
            let table = format!(
                "0 {SECTORS} linear {} 0\n{SECTORS} {SECTORS} linear {} 0",
                inner.node(),
                other.node()
            );
            let top = Device::create("top", &table);
            target.answer(Answers {
                write: Answer::Fail,
                ..Answers::GOOD
            });
            let path = top.path();
            let write = Pending::start(move || fill(&path, 0, 4096, 9));
            write.assert_parked_for(PARKED);

            let mut control = HoldControl::open().unwrap();
            let deadline = Deadline::for_this_thread().unwrap();
            let start = Instant::now();
            let armed = deadline.arm(PARKED).unwrap();
            let error = control.suspend("top").unwrap_err();
            drop(armed);
            assert_eq!(error.raw_os_error(), Some(EINTR), "{error}");
            assert!(start.elapsed() >= PARKED, "it waited for the parked write");

            assert!(!top.is_suspended());
            write.assert_parked_for(Duration::from_millis(10));
            let path = top.path();
            let beside = Pending::start(move || fill(&path, SECTORS * 512, 4096, 5));
            beside.within(LONG).expect("other targets go on").unwrap();
            inner.swap(&linear(&source));
            write.within(LONG).expect("the parked write ends").unwrap();
            assert_filled(&top.path(), 0, 4096, 9);
            top.suspend();
            top.resume();
        })
        .run();
}

/// Why holds begin when slow members' queues are short.
#[test]
fn a_suspend_waits_for_a_request_in_flight_on_any_member() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let member = disk(guest, "member");
            let device = Device::create("d", &linear(&member));
            member.answer(Answers {
                write: Answer::Hang,
                ..Answers::GOOD
            });
            let path = device.path();
            let write = Pending::start(move || fill(&path, 0, 4096, 9));
            tier_tests::io::wait_until("the write is in flight", LONG, || member.hanging() == 1);
            let suspended = device.clone();
            let suspend = Pending::start(move || suspended.suspend());
            suspend.assert_parked_for(PARKED);
            member.answer(Answers::GOOD);
            suspend
                .within(LONG)
                .expect("the suspend ends with the write");
            write.within(LONG).expect("the write ends").unwrap();
            let path = device.path();
            let next = Pending::start(move || fill(&path, 0, 4096, 8));
            next.assert_parked_for(PARKED);
            device.resume();
            next.within(LONG)
                .expect("new I/O goes on after the hold")
                .unwrap();
        })
        .run();
}
