use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use proptest::prelude::*;

use super::*;

mod believed;

const CHUNKS: u64 = 4;

fn chunks() -> Chunks {
    Chunks::new(CHUNKS * CHUNK_BYTES)
}

fn copy(chunks: &Chunks, which: Range<u64>) {
    chunks.want(which.clone());
    assert!(chunks.begin(which.clone()));
    chunks.done(which);
}

#[test]
fn two_writers_share_a_chunk_but_no_block_of_it() {
    let chunks = chunks();
    let first = chunks.claim(0..4096).unwrap();
    assert!(chunks.claim(2048..2560).is_none(), "half a block is one");
    assert!(chunks.claim(0..CHUNK_BYTES).is_none());
    let second = chunks.claim(4096..8192).unwrap();
    drop(first);
    assert!(chunks.claim(2048..2560).is_some());
    assert!(chunks.claim(4096..4608).is_none());
    drop(second);
    assert!(chunks.claim(0..CHUNKS * CHUNK_BYTES).is_some());
}

#[test]
fn who_cannot_have_all_has_nothing() {
    let chunks = chunks();
    let other = chunks.claim(CHUNK_BYTES + 512..CHUNK_BYTES + 1024).unwrap();
    assert!(chunks.claim(512..2 * CHUNK_BYTES).is_none());
    assert!(chunks.claim(0..CHUNK_BYTES).is_some(), "given back");
    // And gives back nothing of others.
    assert!(
        chunks
            .claim(CHUNK_BYTES + 1024..CHUNK_BYTES + 1536)
            .is_none()
    );
    assert!(chunks.claim(CHUNK_BYTES..CHUNK_BYTES + 512).is_none());
    drop(other);
    assert!(chunks.claim(512..2 * CHUNK_BYTES).is_some());
}

#[test]
fn a_copy_waits_for_writers_and_keeps_new_ones_off() {
    let chunks = chunks();
    let writer = chunks.claim(0..512).unwrap();
    chunks.want(0..1);
    assert!(!chunks.begin(0..1), "it writes still");
    assert!(chunks.claim(8192..12288).is_none(), "no new one");
    assert!(chunks.claim(CHUNK_BYTES..CHUNK_BYTES + 512).is_some());
    drop(writer);
    assert!(chunks.begin(0..1));
    assert!(chunks.claim(0..512).is_none(), "it is copied");
    chunks.done(0..1);
    assert_eq!(chunks.in_sync(), 1);
    assert!(chunks.are_in_sync(&(0..CHUNK_BYTES)) && !chunks.are_in_sync(&(0..CHUNK_BYTES + 1)));
    assert!(chunks.claim(0..512).is_some());
}

#[test]
fn a_copy_that_is_given_up_leaves_its_chunks_behind() {
    let chunks = chunks();
    let writer = chunks.claim(CHUNK_BYTES..CHUNK_BYTES + 512).unwrap();
    chunks.want(0..2);
    assert!(!chunks.begin(0..2), "one of two");
    chunks.give_up(0..2);
    drop(writer);
    assert_eq!(chunks.in_sync(), 0);
    assert!(chunks.claim(0..2 * CHUNK_BYTES).is_some());
    copy(&chunks, 0..2);
    chunks.give_up(0..2);
    assert_eq!(chunks.in_sync(), 2, "what is in sync remains so");
}

#[test]
fn a_claim_is_told_in_parts_that_are_alike() {
    let chunks = chunks();
    copy(&chunks, 1..3);
    let claim = chunks.claim(4096..4 * CHUNK_BYTES - 512).unwrap();
    let mut at = 4096;
    let mut parts = Vec::new();
    while at < 4 * CHUNK_BYTES - 512 {
        let part = claim.part(at);
        at = part.bytes.end;
        parts.push((part.bytes.end, part.in_sync));
    }
    let wanted = [
        (CHUNK_BYTES, false),
        (3 * CHUNK_BYTES, true),
        (4 * CHUNK_BYTES - 512, false),
    ];
    assert_eq!(parts, wanted);
}

/// Reads back what these chunks hold, and finds it good.
fn verify(chunks: &Chunks, which: Range<u64>, pass: Pass) {
    chunks.hold(which.clone());
    assert!(chunks.are_at_rest(which.clone()));
    chunks.release(which, Some(pass));
}

#[test]
fn a_chunk_that_is_read_back_is_claimed_by_nobody() {
    let chunks = chunks();
    copy(&chunks, 0..CHUNKS);
    let writer = chunks.claim(0..512).unwrap();
    chunks.hold(0..1);
    assert!(!chunks.are_at_rest(0..1), "it writes still");
    assert!(chunks.claim(8192..12288).is_none(), "no new one");
    assert!(chunks.claim_to_compare(8192..12288).is_none());
    assert!(chunks.claim(CHUNK_BYTES..CHUNK_BYTES + 512).is_some());
    drop(writer);
    assert!(chunks.are_at_rest(0..1));
    assert!(chunks.are_in_sync(&(0..CHUNK_BYTES)), "and remains so");
    chunks.release(0..1, None);
    assert_eq!(chunks.proof(&(0..512)), None);
    assert!(chunks.claim(0..512).is_some());
}

#[test]
fn what_is_known_of_a_chunk_is_over_when_somebody_claims_to_write_there() {
    let chunks = chunks();
    copy(&chunks, 0..CHUNKS);
    let of = |chunk: u64| chunk * CHUNK_BYTES..(chunk + 1) * CHUNK_BYTES;
    assert!(chunks.is_as_copied(1));
    assert_eq!(chunks.proof(&of(1)), None, "not read back");
    verify(&chunks, 0..CHUNKS, Pass::First);
    let two = CHUNK_BYTES / 2..CHUNK_BYTES + 512;
    let proof = chunks.proof(&two).unwrap();
    drop(chunks.claim_to_compare(two.clone()).unwrap());
    assert!(chunks.holds(&two, proof) && chunks.is_as_copied(1));
    let writer = chunks
        .claim(2 * CHUNK_BYTES - 512..2 * CHUNK_BYTES)
        .unwrap();
    assert!(!chunks.holds(&two, proof) && !chunks.is_as_copied(1));
    assert_eq!(chunks.proof(&two), None);
    assert!(chunks.holds(&of(0), proof) && chunks.is_as_copied(0));
    drop(writer);
    // What was read before the write is not proven by what was found after it.
    verify(&chunks, 1..2, Pass::Last);
    assert!(!chunks.holds(&of(1), proof));
    assert!(chunks.proof(&of(1)).is_some() && !chunks.is_as_copied(1));
    assert_eq!(chunks.proof(&two), None, "by no pass both");
}

#[test]
fn a_pass_comes_to_each_chunk_once_and_to_none_that_is_verified() {
    let chunks = chunks();
    copy(&chunks, 0..CHUNKS);
    assert_eq!(chunks.next_unverified(0, 3, Pass::First), Some(0..3));
    assert_eq!(chunks.next_unverified(3, 3, Pass::First), Some(3..4));
    assert_eq!(chunks.next_unverified(4, 3, Pass::First), None);
    verify(&chunks, 0..CHUNKS, Pass::First);
    drop(chunks.claim(CHUNK_BYTES..2 * CHUNK_BYTES + 512).unwrap());
    let run = chunks.next_unverified(0, 3, Pass::Last).unwrap();
    assert_eq!(run, 1..3);
    verify(&chunks, run, Pass::Last);
    assert_eq!(chunks.next_unverified(3, 3, Pass::Last), None);
    let all = 0..CHUNKS * CHUNK_BYTES;
    let proof = chunks.proof(&all).unwrap();
    assert!(chunks.holds(&all, proof), "all by the last");
    assert!(chunks.holds(&(0..1 << 40), Proof::NOT_ASKED));
}

proptest! {
    #[test]
    fn claims_overlap_exactly_where_their_blocks_do(
        a in 0..CHUNKS * 128, long_a in 1_u64..200, b in 0..CHUNKS * 128, long_b in 1_u64..200,
    ) {
        let sectors = |from: u64, count: u64| {
            let end = (from + count).min(CHUNKS * 128);
            from * 512..end * 512
        };
        let (a, b) = (sectors(a, long_a), sectors(b, long_b));
        let blocks = |bytes: &Range<u64>| bytes.start / BLOCK_BYTES..bytes.end.div_ceil(BLOCK_BYTES);
        let (blocks_a, blocks_b) = (blocks(&a), blocks(&b));
        let overlap = blocks_a.start < blocks_b.end && blocks_b.start < blocks_a.end;
        let chunks = chunks();
        let first = chunks.claim(a).unwrap();
        prop_assert_eq!(chunks.claim(b.clone()).is_none(), overlap);
        drop(first);
        prop_assert!(chunks.claim(b).is_some());
        prop_assert!(chunks.claim(0..CHUNKS * CHUNK_BYTES).is_some(), "nothing is left taken");
    }
}

/// Threads that write to both legs in memory while one copies: in the end both are alike, and hold
/// what was written last.
#[test]
fn writers_and_a_copy_beside_each_other_leave_legs_that_are_alike() {
    const WRITERS: u32 = 4;
    const WRITES: u32 = 20_000;
    let blocks = CHUNKS * CHUNK_BYTES / BLOCK_BYTES;
    let leg = || (0..blocks).map(|_| AtomicU32::new(0)).collect::<Vec<_>>();
    let state = Arc::new((chunks(), leg(), leg(), AtomicBool::new(false)));
    let writer = |number: u32| {
        let state = state.clone();
        move || {
            let (chunks, source, target, is_copied) = &*state;
            let mut seed = number * 2_654_435 + 1;
            let mut write = 0;
            // The last writes come after the copy.
            while write < WRITES || !is_copied.load(Ordering::SeqCst) {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = u64::from(seed >> 8) % blocks;
                let Some(claim) = chunks.claim(at * BLOCK_BYTES..(at + 1) * BLOCK_BYTES) else {
                    continue;
                };
                let value = number << 24 | write & 0xff_ffff;
                source[index(at)].store(value, Ordering::Relaxed);
                if claim.part(at * BLOCK_BYTES).in_sync {
                    target[index(at)].store(value, Ordering::Relaxed);
                }
                write += 1;
            }
        }
    };
    let writers: Vec<_> = (1..=WRITERS)
        .map(|number| thread::spawn(writer(number)))
        .collect();
    let (chunks, source, target, is_copied) = &*state;
    for chunk in 0..CHUNKS {
        thread::yield_now();
        chunks.want(chunk..chunk + 1);
        while !chunks.begin(chunk..chunk + 1) {
            thread::yield_now();
        }
        let first = chunk * BLOCKS;
        for at in first..first + BLOCKS {
            let read = source[index(at)].load(Ordering::Relaxed);
            thread::yield_now();
            target[index(at)].store(read, Ordering::Relaxed);
        }
        chunks.done(chunk..chunk + 1);
    }
    is_copied.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.join().unwrap();
    }
    let values = |leg: &[AtomicU32]| {
        let blocks = leg.iter().map(|block| block.load(Ordering::Relaxed));
        blocks.collect::<Vec<_>>()
    };
    assert_eq!(values(source), values(target));
    assert!(values(source).iter().any(|value| *value != 0));
}
