//! Where moves come from: people's requests and the policy's choices. Both reserve their target
//! at once, so that a request for which there is no room is refused and changes nothing.

use super::{Device, Ended, Migrate, Move, Waits};
use crate::command::{Command, Reason, Refusal, Stage};
use crate::event::{Kept, Priority, Target};
use crate::units::{Generation, MemberIndex, MoveId, Now, RequestId, VolumeRegion};
use crate::volume::{Extent, Leg};

impl Migrate {
    /// Moves a range by hand. Gives the moves it takes; none if all of it is there already.
    pub(crate) fn request(
        &mut self,
        request: RequestId,
        first: VolumeRegion,
        count: u32,
        target: Target,
        now: Now,
    ) -> Result<Vec<MoveId>, Refusal> {
        if let Some(why) = &self.latched {
            return Err(Refusal::Latched(why.clone()));
        }
        if !self.can_commit {
            return Err(Refusal::NoReplica);
        }
        self.check_range(first, count)?;
        let members = self.members_of(target)?;
        let pieces = self.pieces_elsewhere(first, count, &members)?;
        let wanted: u32 = pieces.iter().map(|piece| piece.count).sum();
        let spaces = self.alloc.spaces().iter();
        let free = spaces
            .filter(|space| members.contains(&space.member()))
            .map(crate::alloc::Space::free)
            .sum();
        if wanted > free {
            let target = match target {
                Target::Class(class) => class.name().to_owned(),
                Target::Member(member) => format!("member {member}"),
            };
            return Err(Refusal::NoRoom {
                target,
                wanted,
                free,
            });
        }
        let mut ids = Vec::new();
        for piece in &pieces {
            ids.extend(self.propose(piece, &members, &Reason::ByHand { request }, None, now));
        }
        Ok(ids)
    }

    fn check_range(&self, first: VolumeRegion, count: u32) -> Result<(), Refusal> {
        let regions = self.map.regions();
        match first.0.checked_add(count) {
            Some(end) if end <= regions && count > 0 => Ok(()),
            end => {
                let last = VolumeRegion(end.unwrap_or(u32::MAX).saturating_sub(1).max(first.0));
                Err(Refusal::OutOfRange {
                    first,
                    last,
                    regions,
                })
            }
        }
    }

    fn members_of(&self, target: Target) -> Result<Vec<MemberIndex>, Refusal> {
        let fits = |class, index| match target {
            Target::Class(wanted) => wanted == class,
            Target::Member(wanted) => wanted == index,
        };
        let spaces = self.alloc.spaces().iter();
        let members: Vec<MemberIndex> = spaces
            .filter(|space| space.is_present() && fits(space.class(), space.member()))
            .map(crate::alloc::Space::member)
            .collect();
        if members.is_empty() {
            return Err(Refusal::NoSuchTarget(match target {
                Target::Class(class) => format!("of class {class}"),
                Target::Member(member) => member.to_string(),
            }));
        }
        Ok(members)
    }

    /// Whether a member is there.
    pub(crate) fn is_present(&self, member: MemberIndex) -> bool {
        let space = self.alloc.space(member);
        space.is_some_and(crate::alloc::Space::is_present)
    }

    /// The parts of a range that are on none of these members.
    fn pieces_elsewhere(
        &self,
        first: VolumeRegion,
        count: u32,
        members: &[MemberIndex],
    ) -> Result<Vec<Extent>, Refusal> {
        if let Some((region, id)) = self.mover_of(first, count) {
            return Err(Refusal::Busy { region, id });
        }
        let mut elsewhere = Vec::new();
        for piece in self.map.pieces(first, count) {
            match piece.legs.as_slice() {
                [leg] if members.contains(&leg.member) => {}
                [leg] if !self.is_present(leg.member) => {
                    return Err(Refusal::Missing {
                        region: piece.first,
                        member: leg.member,
                    });
                }
                [_] => elsewhere.push(piece),
                _ => {
                    return Err(Refusal::Mirrored {
                        region: piece.first,
                    });
                }
            }
        }
        Ok(elsewhere)
    }

    /// Reserves room for a piece with one home on these members, and lets the moves that it takes
    /// wait for their turn: as many as the bound on a move and the gaps in the free space ask
    /// for. Stops early where the room ends. The first bears the number by which the piece is
    /// known already, if it is.
    pub(crate) fn propose(
        &mut self,
        piece: &Extent,
        members: &[MemberIndex],
        reason: &Reason,
        mut known_as: Option<MoveId>,
        now: Now,
    ) -> Vec<MoveId> {
        let mut ids = Vec::new();
        let Some(home) = piece.home() else { return ids };
        let mut done = 0;
        while done < piece.count {
            let wanted = (piece.count - done).min(self.regions_per_move());
            let first = VolumeRegion(piece.first.0 + done);
            let Some((target, count)) = self.allocate(first, wanted, members) else {
                break;
            };
            let id = known_as.take().unwrap_or_else(|| self.take_id());
            let one = self.new_move(
                id,
                first,
                count,
                home.plus(done),
                target,
                reason.clone(),
                now,
            );
            self.claims.insert(first.0, (first.0 + count, id));
            self.pending.insert(id, one);
            ids.push(id);
            done += count;
        }
        ids
    }

    pub(crate) fn take_id(&mut self) -> MoveId {
        let id = MoveId(self.next_id);
        self.next_id += 1;
        id
    }

    /// Makes sure that no move is given this number again.
    pub(super) fn reserve_id(&mut self, id: MoveId) {
        self.next_id = self.next_id.max(id.0.saturating_add(1));
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the facts that a move begins with, all distinct"
    )]
    pub(super) fn new_move(
        &self,
        id: MoveId,
        first: VolumeRegion,
        count: u32,
        source: Leg,
        target: Leg,
        reason: Reason,
        now: Now,
    ) -> Move {
        use crate::volume::Class;
        Move {
            id,
            first,
            count,
            source,
            target,
            from: self.class_of(source.member).unwrap_or(Class::Hdd),
            to: self.class_of(target.member).unwrap_or(Class::Hdd),
            reason,
            priority: Priority::Normal,
            since: now,
            home: Kept::Source,
            home_since: Generation(0),
            device: Device::Absent,
            waits: Waits::Nothing,
            wish: Kept::Target,
            mirror: None,
            was_complete: false,
            stale: None,
            flushed: false,
            target_failed: false,
            adopted: false,
            error: None,
            retry_at: now,
            reported: Stage::Pending,
        }
    }

    pub(super) fn claim(&mut self, one: &Move) {
        self.claims
            .insert(one.first.0, (one.first.0 + one.count, one.id));
    }

    /// Takes a move back.
    pub(crate) fn cancel(&mut self, id: MoveId) -> Result<(), Refusal> {
        if self.pending.contains_key(&id) {
            self.forget_pending(id, Stage::Undone, None);
            return Ok(());
        }
        let one = self.live.get_mut(&id).ok_or(Refusal::NoSuchMove(id))?;
        if one.home == Kept::Target || matches!(one.waits, Waits::Commit | Waits::Forever) {
            return Err(Refusal::TooLate(id));
        }
        one.wish = Kept::Source;
        Ok(())
    }

    /// Has a move go at another pace from now on.
    pub(crate) fn set_priority(&mut self, id: MoveId, priority: Priority) -> Result<(), Refusal> {
        if let Some(one) = self.pending.get_mut(&id) {
            one.priority = priority;
            return Ok(());
        }
        let one = self.live.get_mut(&id).ok_or(Refusal::NoSuchMove(id))?;
        one.priority = priority;
        // What it is not beginning or mirroring it no longer copies.
        if one.waits == Waits::Add || one.device == Device::Mirror {
            let bytes_per_second = self.limits.trial.pace(priority);
            self.out.push(Command::SetPace {
                id,
                bytes_per_second,
            });
        }
        Ok(())
    }

    pub(super) fn forget_pending(&mut self, id: MoveId, stage: Stage, why: Option<&str>) {
        let Some(mut one) = self.pending.remove(&id) else {
            return;
        };
        one.error = why.map(str::to_owned);
        self.claims.remove(&one.first.0);
        let released = self.alloc.release(one.target, one.count);
        self.out.push(Command::Report(one.report(stage)));
        self.note_end(&one, stage);
        if !released {
            self.latch(format!("the target of move {id} was free while it waited"));
        }
    }

    pub(super) fn note_end(&mut self, one: &Move, stage: Stage) {
        self.ended.push(Ended {
            first: one.first,
            count: one.count,
            from: one.from,
            to: one.to,
            stage,
            promoted: matches!(one.reason, Reason::Promotion { .. }),
            since: one.since,
        });
    }
}
