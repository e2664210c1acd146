//! Requests to a run that moves: which leg is read, which is written first, and when both have it.
//!
//! Owns: what [`Piece`] does with two legs. Invariants: a write is answered when both legs have it
//! (where not in sync, when the source has); the target is read only where it is in sync, and answers
//! alone only with what was read back and not written since, unless the source is lost; legs are
//! compared only while nobody writes to the blocks in question, which the claim on them sees to.
//!
//! A read that comes while a write to the same blocks is not answered yet may be given what was
//! before or what comes after, and so may the next; so it is on any mirror whose legs are both read.

use smol::future::zip;
use tier_core::event::LegFault;

use super::memory::Taken;
use super::{Errno, Op, Piece, Stop, read};
use crate::chunks::{Claim, Proof};
use crate::in_flight::Asked;
use crate::moving::{Moving, Side};
use crate::trial::{Began, Read, Turn};

impl Piece<'_> {
    const fn length(&self) -> u64 {
        self.within.end - self.within.start
    }

    /// A request to the target begins.
    fn asked(&self, moving: &Moving) -> Option<Asked<'_>> {
        let target = self.volume.members().get(moving.target.member);
        target.map(|member| member.asked.ask())
    }

    /// Reads what moves: from the source, or by the trial's choice from the target or both.
    pub(super) async fn read_moving(&self, moving: &Moving) -> Result<(), Errno> {
        let read = moving.trial.read();
        let may_be_tried = || moving.is_well() && moving.chunks.are_in_sync(&self.within);
        let proof = moving.proof(&self.within);
        let turn = match (read, proof) {
            (Read::Source, _) => return self.read_source(moving).await,
            _ if !may_be_tried() => return self.read_source(moving).await,
            (Read::Target(_turn), Some(proof)) => return self.read_target(moving, proof).await,
            (Read::Target(turn), None) | (Read::Both(turn), _) => turn,
        };
        let claim = moving.chunks.claim_to_compare(self.within.clone());
        if let Some((claim, spare)) = claim.zip(self.spare.take()) {
            return self.compare(moving, &turn, &spare, &claim).await;
        }
        // Somebody writes there, or something else is being compared.
        match proof {
            Some(proof) => self.read_target(moving, proof).await,
            None => self.read_source(moving).await,
        }
    }

    /// Reads from the source or, where that fails and the target has the same, from there.
    async fn read_source(&self, moving: &Moving) -> Result<(), Errno> {
        let from = |side| moving.leg(side).plus(self.within.start);
        let may_fall_back = || moving.may_read_target() && moving.chunks.are_in_sync(&self.within);
        if !moving.is_alive(Side::Source) && may_fall_back() {
            return read(from(Side::Target), self.data, self.length()).await;
        }
        let done = read(from(Side::Source), self.data, self.length()).await;
        if done.is_ok() {
            return done;
        }
        moving.failed(Side::Source, LegFault::Read);
        if may_fall_back() {
            return read(from(Side::Target), self.data, self.length()).await;
        }
        done
    }

    /// Reads from the target or, where that fails or is being written meanwhile, from the source.
    async fn read_target(&self, moving: &Moving, proof: Proof) -> Result<(), Errno> {
        let target = moving.target.plus(self.within.start);
        let done = {
            let _asked = self.asked(moving);
            read(target, self.data, self.length()).await
        };
        if done.is_err() {
            moving.failed(Side::Target, LegFault::Read);
        } else if moving.chunks.holds(&self.within, proof) {
            return done;
        }
        self.read_source(moving).await
    }

    /// Reads from both legs, and sees that they are alike and how long they take. The claim keeps
    /// writers off.
    async fn compare(
        &self,
        moving: &Moving,
        turn: &Turn<'_>,
        spare: &Taken<'_>,
        _claim: &Claim<'_>,
    ) -> Result<(), Errno> {
        let from = |side, data| async move {
            let began = Began::now();
            let done = read(
                moving.leg(side).plus(self.within.start),
                data,
                self.length(),
            )
            .await;
            (done, began.micros())
        };
        let asked = self.asked(moving);
        let source = from(Side::Source, self.data);
        let target = from(Side::Target, spare.data());
        // They take turns in being asked first, which is an advantage.
        let (source, target) = if turn.is_target_first() {
            let (target, source) = zip(target, source).await;
            (source, target)
        } else {
            zip(source, target).await
        };
        drop(asked);
        match (source, target) {
            ((Ok(()), source_micros), (Ok(()), target_micros)) => {
                turn.measured(source_micros, target_micros);
                if let Some(at) = self.data.difference(spare.data(), self.length()) {
                    let at = moving.bytes.start + self.within.start + at;
                    moving.trial.differs(at);
                }
                Ok(())
            }
            ((Ok(()), _), (Err(_), _)) => {
                moving.failed(Side::Target, LegFault::Read);
                Ok(())
            }
            ((Err(_), _), _) => {
                moving.failed(Side::Source, LegFault::Read);
                self.read_source(moving).await
            }
        }
    }

    /// Writes what moves to both legs, as far as they are in sync, and to the source elsewhere.
    pub(super) async fn write_moving(&self, moving: &Moving) -> Result<(), Stop> {
        if self.op == Op::Discard {
            // Legs that are alike remain so; what is discarded need not be.
            return Ok(());
        }
        if !moving.may_be_written() {
            return Err(Stop::Parked);
        }
        let claim = moving.chunks.claim(self.within.clone());
        let claim = claim.ok_or(Stop::Parked)?;
        if let Some(turn) = moving.trial.write() {
            return self.write_target_first(moving, &claim, &turn).await;
        }
        let both = zip(self.write_source(moving), self.write_target(moving, &claim));
        let (source, target) = both.await;
        source.and(target)
    }

    /// Writes to the target and, once that has it, to the source. A target that refuses it leaves the
    /// source as it was.
    async fn write_target_first(
        &self,
        moving: &Moving,
        claim: &Claim<'_>,
        turn: &Turn<'_>,
    ) -> Result<(), Stop> {
        let began = Began::now();
        self.write_target(moving, claim).await?;
        let target_micros = began.micros();
        let began = Began::now();
        self.write_source(moving).await?;
        if self.op == Op::Write {
            turn.measured(began.micros(), target_micros);
        }
        Ok(())
    }

    async fn write_source(&self, moving: &Moving) -> Result<(), Stop> {
        let source = moving.source.plus(self.within.start);
        let done = self.put(source, self.data, self.length()).await;
        done.map_err(|_| parked(moving, Side::Source))
    }

    /// Writes to the target what of this is in sync.
    async fn write_target(&self, moving: &Moving, claim: &Claim<'_>) -> Result<(), Stop> {
        let mut at = self.within.start;
        while at < self.within.end {
            let part = claim.part(at);
            if part.in_sync {
                let data = self.data.plus(at - self.within.start);
                let place = moving.target.plus(at);
                let _asked = self.asked(moving);
                let done = self.put(place, data, part.bytes.end - at).await;
                done.map_err(|_| parked(moving, Side::Target))?;
            }
            at = part.bytes.end;
        }
        Ok(())
    }
}

/// A leg refused a write, which is not answered before somebody has decided.
fn parked(moving: &Moving, side: Side) -> Stop {
    moving.failed(side, LegFault::Write);
    Stop::Parked
}
