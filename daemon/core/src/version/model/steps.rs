//! What may happen, and in which order it is tried.

use proptest::prelude::*;

use super::{BLOCKS, DISKS_MAX};

/// What happens. Whatever does not fit the moment does nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A start with the disks whose bits are set.
    Start(u8),
    Write(usize),
    Read(usize, usize),
    Flush,
    /// A leg refuses a write; its disk stays.
    Fail(usize),
    /// A disk loses power. The number says what of its cache is lost.
    Vanish(usize, u32),
    /// A disk is plugged in again.
    Plug(usize),
    /// So many blocks are copied to a leg.
    Copy(usize, usize),
    /// A clean stop.
    Stop,
    /// The daemon dies; caches live on.
    Kill,
    /// Power goes while a block is written and, if a turn is due, while that is committed.
    Cut {
        block: usize,
        legs: u8,
        replicas: u8,
        loss: u32,
    },
    /// A person keeps a leg.
    Keep(usize),
    /// A person gives up a leg that failed or is missing for one on a new disk.
    Replace(usize),
    /// A person gives one up for none. Power may go then, while so many replicas have it.
    Remove(usize, Option<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let disk = || 0..DISKS_MAX;
    let block = || 0..BLOCKS;
    prop_oneof![
        4 => prop_oneof![Just(255), any::<u8>()].prop_map(Step::Start),
        6 => block().prop_map(Step::Write),
        2 => (block(), disk()).prop_map(|(block, leg)| Step::Read(block, leg)),
        2 => Just(Step::Flush),
        2 => disk().prop_map(Step::Fail),
        2 => (disk(), any::<u32>()).prop_map(|(disk, loss)| Step::Vanish(disk, loss)),
        2 => disk().prop_map(Step::Plug),
        4 => (disk(), 1..=BLOCKS).prop_map(|(disk, blocks)| Step::Copy(disk, blocks)),
        2 => Just(Step::Stop),
        1 => Just(Step::Kill),
        1 => (block(), any::<u8>(), any::<u8>(), any::<u32>()).prop_map(
            |(block, legs, replicas, loss)| Step::Cut { block, legs, replicas, loss }
        ),
        2 => disk().prop_map(Step::Keep),
        1 => disk().prop_map(Step::Replace),
        1 => (disk(), any::<Option<u8>>()).prop_map(|(disk, cut)| Step::Remove(disk, cut)),
    ]
}

/// Two starts with other disks each, which chance alone would seldom bring about.
fn split() -> impl Strategy<Value = Vec<Step>> {
    let ends = || prop_oneof![3 => Just(Step::Stop), 1 => Just(Step::Kill)];
    let goes_on = || prop::collection::vec(step(), 0..4);
    (
        any::<u8>(),
        any::<u8>(),
        goes_on(),
        goes_on(),
        ends(),
        ends(),
    )
        .prop_map(|(one, other, first, second, first_end, second_end)| {
            let mut steps = vec![Step::Stop, Step::Start(one)];
            steps.extend(first);
            steps.extend([first_end, Step::Start(!one | other & other >> 4)]);
            steps.extend(second);
            steps.extend([second_end, Step::Start(255)]);
            steps
        })
}

/// A leg goes away while something is unflushed, or is not, and comes back.
fn away() -> impl Strategy<Value = Vec<Step>> {
    let first = prop_oneof![(0..BLOCKS).prop_map(Step::Write), Just(Step::Flush)];
    (first, 0..3_usize, any::<u32>(), step()).prop_map(|(first, disk, loss, between)| {
        let back = [Step::Plug(disk), Step::Copy(disk, BLOCKS)];
        let mut steps = vec![Step::Start(255), first, Step::Vanish(disk, loss), between];
        steps.extend(back);
        steps
    })
}

/// A leg is kept on one side and given up on the other.
fn given_up() -> impl Strategy<Value = Vec<Step>> {
    (0..3_usize, 0..BLOCKS, 0..BLOCKS).prop_map(|(away, one, other)| {
        let others = 0b0111 & !(1 << away);
        let mut steps = vec![Step::Stop, Step::Start(others | 0b1000), Step::Write(one)];
        steps.extend([Step::Stop, Step::Start(1 << away | 0b1000), Step::Keep(0)]);
        steps.extend([Step::Stop, Step::Start(others), Step::Replace(away)]);
        steps.extend((0..DISKS_MAX).map(|disk| Step::Copy(disk, BLOCKS)));
        steps.extend([Step::Write(other), Step::Stop, Step::Start(255)]);
        steps
    })
}

/// One leg is left, but not for the side that has not heard of it.
fn left_alone() -> impl Strategy<Value = Vec<Step>> {
    (0..2_usize, 0..BLOCKS, any::<bool>()).prop_map(|(kept, block, is_cut)| {
        let (bit, gone) = (1 << kept, 1 - kept);
        let mut steps = vec![Step::Stop, Step::Start(0b1011), Step::Remove(2, None)];
        steps.extend([Step::Stop, Step::Start(bit | 0b1000), Step::Write(block)]);
        steps.push(Step::Remove(gone, is_cut.then_some(bit)));
        steps.extend([Step::Stop, Step::Start(1 << gone | 0b1000), Step::Keep(0)]);
        steps.extend([Step::Stop, Step::Start(bit), Step::Write(block)]);
        steps.extend([Step::Stop, Step::Start(255)]);
        steps
    })
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some = prop_oneof![
        36 => step().prop_map(|step| vec![step]),
        3 => split(),
        2 => away(),
        1 => given_up(),
        1 => left_alone(),
    ];
    prop::collection::vec(some, 1..50).prop_map(|steps| steps.concat())
}
