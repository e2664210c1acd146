//! Owns: reading a mirror's status. Pure, and without allocation, since it is read in a hold.

use tier_core::event::{LegFault, MirrorState};

/// Reads the status of a mirror of two legs, as `mirror_status` in drivers/md/dm-raid1.c prints
/// it: `2 <leg> <leg> <chunks in sync>/<chunks> 1 <a health letter per leg> <log arguments>
/// <log>…`.
///
/// The letters (`device_status_char`) are A: alive, D: a write failed, S: the copy failed, R: a
/// read failed, F: a flush failed, U: unknown. Only A is alive. `None` if it reads otherwise.
///
/// `events` is how many events the device had before. A mirror has one when a leg fails, and one
/// when it finds every chunk in sync, at which it forgets what failed (`do_recovery`): more of them
/// than a copy that went well makes, and a leg has failed, whatever the letters say (pinned by the
/// suite `kernel_facts`).
#[must_use]
pub fn parse_mirror_status(status: &str, events: u32) -> Option<MirrorState> {
    let mut words = status.split_whitespace();
    if words.next()? != "2" {
        return None;
    }
    let _names_of_the_legs = (words.next()?, words.next()?);
    let (in_sync, total) = words.next()?.split_once('/')?;
    if words.next()? != "1" {
        return None;
    }
    let letters: [u8; 2] = words.next()?.as_bytes().try_into().ok()?;
    if !letters.iter().all(u8::is_ascii_uppercase) {
        return None;
    }
    let (in_sync_chunks, total_chunks) = (in_sync.parse().ok()?, total.parse().ok()?);
    let expected = u32::from(in_sync_chunks == total_chunks);
    let forgotten = (events > expected).then_some(LegFault::Forgotten);
    let state = MirrorState {
        in_sync_chunks,
        total_chunks,
        source_alive: letters[0] == b'A',
        target_alive: letters[1] == b'A',
        fault: fault(letters[0])
            .or_else(|| fault(letters[1]))
            .or(forgotten),
        trial: None,
    };
    // A mirror without chunks would count as complete.
    (state.total_chunks > 0 && state.in_sync_chunks <= state.total_chunks).then_some(state)
}

const fn fault(letter: u8) -> Option<LegFault> {
    match letter {
        b'D' => Some(LegFault::Write),
        b'S' => Some(LegFault::Copy),
        b'R' => Some(LegFault::Read),
        b'F' => Some(LegFault::Flush),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_at_work_is_read() {
        let state = parse_mirror_status("2 8:0 259:3 5/8 1 AA 1 core", 0).unwrap();
        assert_eq!((state.in_sync_chunks, state.total_chunks), (5, 8));
        assert!(state.source_alive && state.target_alive && !state.is_complete());
        assert!(
            parse_mirror_status("2 8:0 259:3 8/8 1 AA 1 core", 0)
                .unwrap()
                .is_complete()
        );
    }

    #[test]
    fn every_letter_but_a_is_a_lost_leg() {
        for letter in ["D", "S", "R", "F", "U", "X"] {
            let target = format!("2 8:0 8:16 8/8 1 A{letter} 1 core");
            let state = parse_mirror_status(&target, 1).unwrap();
            assert!(state.source_alive && !state.target_alive && !state.is_complete());
            let source = format!("2 8:0 8:16 8/8 1 {letter}A 1 core");
            let state = parse_mirror_status(&source, 1).unwrap();
            assert!(!state.source_alive && state.target_alive && !state.is_complete());
        }
    }

    #[test]
    fn what_a_leg_failed_at_is_told_where_the_kernel_tells_it() {
        for (letters, fault) in [
            ("AA", None),
            ("DA", Some(LegFault::Write)),
            ("AS", Some(LegFault::Copy)),
            ("RA", Some(LegFault::Read)),
            ("AF", Some(LegFault::Flush)),
            ("SD", Some(LegFault::Copy)),
            ("AU", None),
        ] {
            let status = format!("2 8:0 8:16 8/8 1 {letters} 1 core");
            assert_eq!(parse_mirror_status(&status, 1).unwrap().fault, fault);
        }
    }

    #[test]
    fn more_events_than_a_copy_makes_tell_of_a_leg_that_failed_and_was_forgotten() {
        for (in_sync, events, in_doubt) in [
            (5, 0, false),
            (5, 1, true),
            (8, 0, false),
            (8, 1, false),
            (8, 2, true),
        ] {
            let status = format!("2 8:0 8:16 {in_sync}/8 1 AA 1 core");
            let state = parse_mirror_status(&status, events).unwrap();
            assert_eq!(state.is_in_doubt(), in_doubt, "{in_sync} {events}");
            assert_eq!(state.is_complete(), in_sync == 8 && !in_doubt);
        }
        let named = parse_mirror_status("2 8:0 8:16 7/8 1 AD 1 core", 2).unwrap();
        assert_eq!(named.fault, Some(LegFault::Write));
        assert!(!named.is_in_doubt() && !named.is_well());
    }

    #[test]
    fn anything_else_is_not_taken_for_a_status() {
        for status in [
            "",
            "3 8:0 8:16 8:32 8/8 1 AAA 1 core",
            "2 8:0 8:16 8 1 AA 1 core",
            "2 8:0 8:16 8/8 1 A 1 core",
            "2 8:0 8:16 8/8 1 AAA 1 core",
            "2 8:0 8:16 8/8",
            "2 8:0 8:16 -1/8 1 AA 1 core",
            "2 8:0 8:16 9/8 1 AA 1 core",
            "2 8:0 8:16 0/0 1 AA 1 core",
        ] {
            assert_eq!(parse_mirror_status(status, 0), None, "{status}");
        }
    }
}
