//! Room that a tier keeps free.

use super::Policy;
use super::dispatch::{COLD, Need, Wanting};
use crate::forecast::LAST;
use crate::migrate::Migrate;
use crate::units::Now;

impl Policy {
    /// Lets what is cold leave the tiers that lack their headroom, while that costs nothing.
    pub(super) fn restore_headroom(&mut self, migrate: &mut Migrate, now: Now) {
        for class in self.loads.classes() {
            if self.turns(migrate) == 0 {
                return;
            }
            if self.known(migrate, now).demotes_to(class).is_none() {
                continue;
            }
            self.refresh_victims(class, migrate, now);
            let known = self.known(migrate, now);
            let free = migrate
                .alloc
                .free_in(class)
                .saturating_add(known.leaving(class));
            let headroom = known.headroom(class);
            let list = self.victims.iter().find(|known| known.class == class);
            let coldest = list.and_then(|list| list.lists[LAST].first().copied());
            let Some(coldest) = coldest.filter(|one| one.expected.in_all() <= COLD) else {
                continue;
            };
            let regions = headroom.saturating_sub(free);
            let Some(price) = known
                .demotes_to(class)
                .zip(known.movable(coldest.region))
                .map(|((to, _), leg)| known.price_to_leave(leg, to))
            else {
                continue;
            };
            // Room at hand is worth no more than this; only idle members are asked for it.
            if regions > 0 && price.is_idle() {
                let want = Wanting {
                    worth_seconds: price.seconds + f64::EPSILON + COLD * self.slowest_read(),
                    touches_soon: f64::INFINITY,
                };
                let need = Need {
                    class,
                    horizon: LAST,
                    wants: vec![want; regions as usize],
                    room_for: None,
                    cold_until: None,
                };
                self.demote(&need, migrate, now);
            }
        }
    }

    fn slowest_read(&self) -> f64 {
        let slowest = self.loads.classes().last().copied();
        slowest.map_or(0.0, |class| self.loads.latency(class).read_seconds) * self.hysteresis()
    }
}
