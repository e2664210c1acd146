//! The allocator against a plain list of who has which region.

use proptest::prelude::*;

use super::*;
use crate::volume::Profile;

const REGIONS: u32 = 40;

fn alloc(regions: u32) -> Alloc {
    Alloc::new(&[Member {
        index: MemberIndex(3),
        class: Class::Ssd,
        regions,
        profile: Profile::typical(Class::Ssd),
        present: true,
    }])
}

fn leg(first: u32) -> Leg {
    Leg {
        member: MemberIndex(3),
        first: MemberRegion(first),
    }
}

#[test]
fn the_smallest_run_that_fits_is_taken() {
    let mut alloc = alloc(20);
    // Free runs: 2..5 (3), 6..16 (10), 18..20 (2).
    for (first, count) in [(0, 2), (5, 1), (16, 2)] {
        assert!(alloc.take(leg(first), count));
    }
    assert_eq!(alloc.allocate(MemberIndex(3), 3), Some((leg(2), 3)));
    assert_eq!(alloc.allocate(MemberIndex(3), 2), Some((leg(18), 2)));
    assert_eq!(alloc.allocate(MemberIndex(3), 4), Some((leg(6), 4)));
    // No run of seven is left: the largest is taken, and the rest is asked for again.
    assert_eq!(alloc.allocate(MemberIndex(3), 7), Some((leg(10), 6)));
    assert_eq!(alloc.allocate(MemberIndex(3), 1), None);
    assert_eq!(alloc.check(), Ok(()));
}

#[test]
fn nothing_is_taken_or_released_twice() {
    let mut alloc = alloc(8);
    assert!(alloc.take(leg(2), 3));
    assert!(!alloc.take(leg(4), 2), "region 4 is taken");
    assert!(!alloc.release(leg(1), 2), "region 1 is free");
    assert!(!alloc.release(leg(4), 5), "region 8 does not exist");
    assert!(
        !alloc.take(leg(u32::MAX), 2),
        "an end beyond what a number holds"
    );
    assert!(
        !alloc.take(
            Leg {
                member: MemberIndex(9),
                ..leg(0)
            },
            1
        ),
        "no such member"
    );
    assert_eq!(alloc.free_in(Class::Ssd), 5);
    assert_eq!(alloc.check(), Ok(()));
}

#[test]
fn a_range_that_failed_comes_back_when_its_time_is_over() {
    let mut alloc = alloc(4);
    let (target, count) = alloc.allocate(MemberIndex(3), 4).unwrap();
    alloc.set_aside(target, count, Now(100));
    assert!(alloc.forgive(Now(99)));
    assert_eq!(alloc.allocate(MemberIndex(3), 1), None);
    assert!(alloc.forgive(Now(100)));
    assert_eq!(alloc.allocate(MemberIndex(3), 4), Some((leg(0), 4)));
}

#[derive(Clone, Debug)]
enum Step {
    Take(u32, u32),
    Release(u32, u32),
    Allocate(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let range = || (0..REGIONS + 2, 0..8_u32);
    prop_oneof![
        range().prop_map(|(first, count)| Step::Take(first, count)),
        range().prop_map(|(first, count)| Step::Release(first, count)),
        (1..12_u32).prop_map(Step::Allocate),
    ]
}

proptest! {
    #[test]
    fn it_agrees_with_a_list_of_regions(steps in prop::collection::vec(step(), 1..120)) {
        let mut alloc = alloc(REGIONS);
        let mut free = vec![true; REGIONS as usize];
        let all = |free: &[bool], first: u32, count: u32, wanted: bool| {
            count > 0 && first + count <= REGIONS
                && (first..first + count).all(|at| free[at as usize] == wanted)
        };
        for step in steps {
            match step {
                Step::Take(first, count) => {
                    let may = all(&free, first, count, true);
                    prop_assert_eq!(alloc.take(leg(first), count), may);
                    if may {
                        (first..first + count).for_each(|at| free[at as usize] = false);
                    }
                }
                Step::Release(first, count) => {
                    let may = all(&free, first, count, false);
                    prop_assert_eq!(alloc.release(leg(first), count), may);
                    if may {
                        (first..first + count).for_each(|at| free[at as usize] = true);
                    }
                }
                Step::Allocate(wanted) => match alloc.allocate(MemberIndex(3), wanted) {
                    None => prop_assert!(free.iter().all(|free| !free)),
                    Some((Leg { first, .. }, count)) => {
                        prop_assert!(all(&free, first.0, count, true));
                        let longer = (0..REGIONS).any(|at| all(&free, at, count + 1, true));
                        prop_assert!(count == wanted || !longer, "a longer run was there");
                        (first.0..first.0 + count).for_each(|at| free[at as usize] = false);
                    }
                },
            }
            prop_assert_eq!(alloc.check(), Ok(()));
            let left = free.iter().filter(|free| **free).count();
            prop_assert_eq!(alloc.free_in(Class::Ssd) as usize, left);
        }
    }
}
