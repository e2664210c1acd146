//! What leaves a tier because its writes wear it more than being there is worth.

use super::Policy;
use crate::command::Reason;
use crate::migrate::Migrate;
use crate::plan::Price;
use crate::units::{Now, VolumeRegion};
use crate::volume::Class;

/// A tier is looked through only while its wear costs so many times more than at the least: where
/// no budget is ahead, nothing is written that much.
const DEAR: f64 = 2.0;

impl Policy {
    /// Proposes that those regions leave their tier of flash that cost more there, by the wear of
    /// what is written to them, than they save, with a surplus, and the copy. Without this what
    /// is there already would go on using a budget up that is used up.
    pub(super) fn shed(&mut self, migrate: &mut Migrate, now: Now) {
        for class in self.loads.classes() {
            let least = self.wear.base_seconds_per_byte() * DEAR;
            let here = self.wear.of_class(class);
            let Some((to, room)) = self.known(migrate, now).demotes_to(class) else {
                continue;
            };
            if here <= least.max(self.wear.of_class(to)) {
                continue;
            }
            let mut burdens = self.burdens((class, to), migrate, now);
            burdens.truncate(room as usize);
            for (_, region) in burdens {
                if self.turns(migrate) == 0 {
                    return;
                }
                self.send_away(region, to, migrate, now);
            }
        }
    }

    /// Regions of a tier that cost more there than on another, and how much, the worst first.
    fn burdens(
        &self,
        (from, to): (Class, Class),
        migrate: &Migrate,
        now: Now,
    ) -> Vec<(f64, VolumeRegion)> {
        let known = self.known(migrate, now);
        let wear = self.wear.of_class(from) - self.wear.of_class(to);
        let regions = self.heat.of_class(from, now);
        let burden = |(region, view): (VolumeRegion, crate::heat::View)| {
            let one = view.touches.of_one();
            let of_wear = one.writes * view.bytes_per_write * wear;
            let saved = self.loads.benefit(one, to, from).max(0.0) * self.hysteresis();
            // Cheaper than a forecast, and it rules most regions out.
            if of_wear <= saved || !known.is_settled(view) {
                return None;
            }
            let expected = known.expected(region, &view, 0.0).in_all();
            let source = known.movable(region)?;
            let price = known.price_to_leave(source, to);
            let more = (of_wear - saved) * expected - price.seconds;
            (more > 0.0).then_some((more, region))
        };
        let mut burdens: Vec<_> = regions.filter_map(burden).collect();
        burdens.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        burdens
    }

    fn send_away(&mut self, region: VolumeRegion, to: Class, migrate: &mut Migrate, now: Now) {
        let known = self.known(migrate, now);
        let Some(leg) = known.movable(region) else {
            return;
        };
        let Some(run) = known.run_around(region, 1, |_| false) else {
            return;
        };
        let price: Price = known.price_to_leave(leg, to);
        if !self.affords(price) {
            return;
        }
        let members: Vec<_> = known.targets(to).collect();
        let reason = Reason::Worn {
            seconds_per_gib: self.wear.seconds_per_byte(leg.member) * f64::from(1 << 30),
        };
        self.account.spend(price.seconds);
        self.propose(&run, &members, &reason, None, migrate, now);
    }
}

#[cfg(test)]
mod tests;
