//! How loaded the members are: what an access and a copy cost at the moment.
//!
//! Owns: [`Loads`], smoothed figures per member, from `Event::Resources`, beginning with the
//! members' profiles. May not: decide anything.

use crate::event::Resources;
use crate::heat::Touches;
use crate::units::{MemberIndex, Micros};
use crate::volume::{Class, Member, Profile};

/// Weight of the newest figure against all before it.
const NEWEST: f64 = 0.3;

#[derive(Clone, Copy, Debug)]
struct Load {
    member: MemberIndex,
    class: Class,
    profile: Profile,
    read_seconds: f64,
    write_seconds: f64,
    busy: f64,
    in_flight: f64,
}

/// The members' loads, by member index.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loads {
    members: Vec<Load>,
}

/// Mean seconds of one access to a tier.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Latency {
    pub(crate) read_seconds: f64,
    pub(crate) write_seconds: f64,
}

fn seconds(micros: Micros) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a latency has no 53 bits")]
    let micros = micros.0 as f64;
    micros / 1e6
}

fn smooth(value: &mut f64, newest: f64) {
    if newest.is_finite() && newest >= 0.0 {
        *value += NEWEST * (newest - *value);
    }
}

impl Loads {
    pub(crate) fn new(members: &[Member]) -> Self {
        let load = |member: &Member| Load {
            member: member.index,
            class: member.class,
            profile: member.profile,
            read_seconds: member.profile.read_seconds,
            write_seconds: member.profile.write_seconds,
            busy: 0.0,
            in_flight: 0.0,
        };
        Self {
            members: members.iter().map(load).collect(),
        }
    }

    /// Takes in one interval's figures. A member that served nothing drifts back to its profile.
    pub(crate) fn observe(&mut self, resources: &Resources) {
        for seen in &resources.members {
            let known = self
                .members
                .iter_mut()
                .find(|load| load.member == seen.member);
            let Some(load) = known else { continue };
            let read = seen.read_latency.map_or(load.profile.read_seconds, seconds);
            let write = seen
                .write_latency
                .map_or(load.profile.write_seconds, seconds);
            smooth(&mut load.read_seconds, read);
            smooth(&mut load.write_seconds, write);
            smooth(&mut load.busy, seen.busy);
            smooth(&mut load.in_flight, seen.in_flight);
        }
    }

    /// The tiers that have members, from fast to slow.
    pub(crate) fn classes(&self) -> Vec<Class> {
        let has = |class: &Class| self.members.iter().any(|load| load.class == *class);
        Class::ALL.into_iter().filter(has).collect()
    }

    /// Loaded latency of a tier: the mean of its members.
    pub(crate) fn latency(&self, class: Class) -> Latency {
        self.mean(class, |load| (load.read_seconds, load.write_seconds))
    }

    /// Latency of a tier of which nothing else is asked: the mean of its members' profiles.
    fn at_rest(&self, class: Class) -> Latency {
        self.mean(class, |load| {
            (load.profile.read_seconds, load.profile.write_seconds)
        })
    }

    fn mean(&self, class: Class, of: impl Fn(&Load) -> (f64, f64)) -> Latency {
        let (mut sum, mut count) = (Latency::default(), 0.0);
        for load in self.members.iter().filter(|load| load.class == class) {
            let (read_seconds, write_seconds) = of(load);
            sum.read_seconds += read_seconds;
            sum.write_seconds += write_seconds;
            count += 1.0;
        }
        if count > 0.0 {
            sum.read_seconds /= count;
            sum.write_seconds /= count;
        }
        sum
    }

    /// Foreground seconds that these accesses would take less on `to` than on `from`.
    pub(crate) fn benefit(&self, touches: Touches, from: Class, to: Class) -> f64 {
        let gain = self.gain(from, to);
        touches.reads * gain.read_seconds + touches.writes * gain.write_seconds
    }

    /// What one access takes less on `to` than on `from`. How long requests queue just now says
    /// little about the hours for which a move is made, so that a queue at the slower tier makes
    /// a move no better; one at the faster tier that is longer makes it worse.
    fn gain(&self, from: Class, to: Class) -> Latency {
        let gain = |of: fn(Latency) -> f64| {
            let at_rest = of(self.at_rest(from)) - of(self.at_rest(to));
            let source = of(self.latency(from)).max(of(self.at_rest(from)));
            at_rest.min(source - of(self.latency(to)))
        };
        Latency {
            read_seconds: gain(|one| one.read_seconds),
            write_seconds: gain(|one| one.write_seconds),
        }
    }

    /// Device seconds that moving `bytes` takes on one member, and the foreground seconds they
    /// cost: each request in flight waits that much longer, so that an idle member is free.
    pub(crate) fn copy(&self, member: MemberIndex, bytes: f64) -> (f64, f64) {
        let Some(load) = self.members.iter().find(|load| load.member == member) else {
            return (0.0, 0.0);
        };
        let device = load.profile.read_seconds + bytes / load.profile.bytes_per_second.max(1.0);
        (device, device * load.in_flight.max(load.busy))
    }

    /// Sum of the members' busy shares.
    pub(crate) fn busy(&self) -> f64 {
        self.members.iter().map(|load| load.busy).sum()
    }
}

#[cfg(test)]
mod tests;
