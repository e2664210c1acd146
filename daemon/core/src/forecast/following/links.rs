//! A run of regions: when it is active, and what comes before it.

use serde::{Deserialize, Serialize};

use super::Times;
use crate::units::Now;

/// Candidates for what comes before a run.
const LINKS: usize = 4;
/// Runs for which one is such a candidate, at most.
const FOLLOWERS: usize = 8;
/// No run.
const NONE: u32 = u32::MAX;
/// Touches within a window from which on a run is active.
const ACTIVE_TOUCHES: f64 = 3.0;
/// It is no longer after so many windows of silence.
const SILENT_WINDOWS: u64 = 2;
/// Times that something must have followed before it is said that it will.
const SUPPORT_MIN: f32 = 2.0;
/// Share of the times that it must have: more than two of three. What does not come costs both copies,
/// and what does saves only what would be missed until it came by itself.
const CONFIDENCE_MIN: f32 = 0.7;
/// Times after which a candidate that is mostly wrong makes room.
const JUDGED_AFTER: f32 = 3.0;
/// Share of the times that it must be right not to be.
const RIGHT_MIN: f32 = 0.5;
/// Of what a run got before, so much is counted on before it has begun: what does not come after all
/// costs both copies, and what comes a little late costs them too. What has begun is known to have
/// come, and is counted on in full.
const COUNTED_ON: f64 = 0.5;
/// Times after which what was learned weighs half.
const HALVED_AT: f32 = 16.0;
/// Weight of the newest in a mean, at least.
const NEWEST: f32 = 0.2;

/// Something that came before a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Link {
    from: u32,
    /// Times that it became active, and of these, those after which the run did.
    seen: f32,
    hits: f32,
    /// Seconds until then, and by how much they differ.
    lag: f32,
    spread: f32,
    /// Its activation that is already counted as followed.
    counted: Now,
}

/// A run is expected to become active.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Due {
    pub(super) since: Now,
    pub(super) confidence: f64,
    lag: f32,
    spread: f32,
}

impl Due {
    /// Seconds until it may begin.
    pub(super) fn begins_in_seconds(&self, now: Now) -> f64 {
        (f64::from(self.lag - self.spread) - now.seconds_since(self.since)).max(0.0)
    }

    /// Whether it can still come.
    pub(super) fn is_open(&self, now: Now) -> bool {
        now.seconds_since(self.since) <= f64::from(self.lag * 1.25 + 2.0 * self.spread)
    }
}

/// A run of regions that is followed, as it is remembered too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Since when it is active, or was last, or is being touched.
    since: Now,
    /// When it last became active.
    began: Now,
    last: Now,
    touches: f64,
    /// Touches of the lasting span of its regions, as of the last.
    heat: f64,
    is_active: bool,
    /// Times that it was active, and of these, those of which it was said before.
    times: f32,
    announced: f32,
    /// What it usually gets when it is active, and for how many seconds it is.
    usual_touches: f32,
    usual_seconds: f32,
    links: [Option<Link>; LINKS],
    followers: [u32; FOLLOWERS],
    due: Option<Box<Due>>,
}

/// Weight of the newest of so many.
fn newest(of: f32) -> f32 {
    (1.0 / of.max(1.0)).max(NEWEST)
}

fn seconds(later: Now, earlier: Now) -> f32 {
    #[allow(clippy::cast_possible_truncation, reason = "some minutes")]
    let seconds = later.seconds_since(earlier) as f32;
    seconds
}

impl Run {
    pub(super) const fn new(now: Now) -> Self {
        Self {
            since: now,
            began: now,
            last: now,
            touches: 0.0,
            heat: 0.0,
            is_active: false,
            times: 0.0,
            announced: 0.0,
            usual_touches: 0.0,
            usual_seconds: 0.0,
            links: [None; LINKS],
            followers: [NONE; FOLLOWERS],
            due: None,
        }
    }

    pub(super) const fn last(&self) -> Now {
        self.last
    }

    /// When it last became active.
    pub(super) const fn began(&self) -> Now {
        self.began
    }

    pub(super) fn due(&self) -> Option<&Due> {
        self.due.as_deref()
    }

    /// Touches of the lasting span of its regions, as of the last.
    pub(super) const fn heat(&self) -> f64 {
        self.heat
    }

    /// What may be counted on of it, if that is known: the touches, and the seconds until they begin and
    /// for which they go on.
    pub(super) fn to_come(&self, now: Now, times: &Times) -> Option<(f64, f64, f64)> {
        let touches = f64::from(self.usual_touches);
        let seconds = f64::from(self.usual_seconds).max(1.0);
        if !self.is_silent(now, times) {
            let left = seconds - now.seconds_since(self.since);
            let is_known = self.times >= SUPPORT_MIN && left > 0.0;
            return is_known.then(|| (touches * left / seconds, 0.0, left));
        }
        let due = self.due().filter(|due| due.is_open(now))?;
        Some((
            touches * COUNTED_ON * due.confidence,
            due.begins_in_seconds(now),
            seconds,
        ))
    }

    /// Takes in touches. Tells whether it became active by them.
    pub(super) fn touched(&mut self, touches: f64, left: f64, now: Now, times: &Times) -> bool {
        self.heat = self.heat * left + touches;
        self.end(now, times);
        let is_over = now.nanos_since(self.since) > times.window;
        if !self.is_active && (self.touches <= 0.0 || is_over) {
            self.since = now;
            self.touches = 0.0;
        }
        self.touches += touches;
        self.last = now;
        let begins = !self.is_active && self.touches >= ACTIVE_TOUCHES;
        if begins {
            self.is_active = true;
            self.began = now;
        }
        begins
    }

    /// Ends the time in which it is active, if it has been silent for long.
    fn end(&mut self, now: Now, times: &Times) {
        if !self.is_active || !self.is_long_silent(now, times) {
            return;
        }
        self.is_active = false;
        self.times += 1.0;
        if self.times > HALVED_AT {
            self.times /= 2.0;
            self.announced /= 2.0;
        }
        let weight = newest(self.times);
        #[allow(clippy::cast_possible_truncation, reason = "a count needs no 53 bits")]
        let touches = self.touches as f32;
        self.usual_touches += weight * (touches - self.usual_touches);
        let lasted = seconds(self.last, self.since);
        self.usual_seconds += weight * (lasted - self.usual_seconds);
        self.touches = 0.0;
    }

    fn is_long_silent(&self, now: Now, times: &Times) -> bool {
        now.nanos_since(self.last) > times.window.saturating_mul(SILENT_WINDOWS)
    }

    /// Whether its time is over.
    pub(super) fn is_silent(&self, now: Now, times: &Times) -> bool {
        !self.is_active || self.is_long_silent(now, times)
    }

    /// Share of the times that it became active unforeseen.
    pub(super) fn unforeseen(&self) -> f64 {
        if self.times < JUDGED_AFTER {
            return 1.0;
        }
        f64::from(1.0 - self.announced / (self.times + 1.0)).clamp(0.0, 1.0)
    }

    /// Ends what is over. Tells whether it is worth following on.
    pub(super) fn swept(&mut self, now: Now, times: &Times) -> bool {
        self.end(now, times);
        if self.due().is_some_and(|due| !due.is_open(now)) {
            self.due = None;
        }
        self.times > 0.0 || self.is_active || !self.is_long_silent(now, times)
    }

    /// It became active: whether that was said before.
    pub(super) fn note_announced(&mut self, now: Now) {
        if self.due.take().is_some_and(|due| due.is_open(now)) {
            self.announced += 1.0;
        }
    }

    /// Judges what came before it; `began` tells when another became active, if it still leads here.
    pub(super) fn judge(&mut self, now: Now, times: &Times, began: impl Fn(u32) -> Option<Now>) {
        for place in &mut self.links {
            let Some(link) = place else {
                continue;
            };
            let Some(since) = began(link.from) else {
                *place = None;
                continue;
            };
            let lag = now.nanos_since(since);
            if since > link.counted && (times.lag_min..=times.lag_max).contains(&lag) {
                link.counted = since;
                link.hits += 1.0;
                let lag = seconds(now, since);
                let weight = newest(link.hits);
                link.spread += weight * ((lag - link.lag).abs() - link.spread);
                link.lag += weight * (lag - link.lag);
            }
            if link.seen >= JUDGED_AFTER && link.hits < link.seen * RIGHT_MIN {
                *place = None;
            }
        }
    }

    /// Places in which nothing stands.
    pub(super) fn free_places(&self) -> Vec<usize> {
        let places = self.links.iter().enumerate();
        places
            .filter(|(_, link)| link.is_none())
            .map(|(place, _)| place)
            .collect()
    }

    /// A number in no order, another one for each draw.
    pub(super) fn seed(&self, at: u32, place: usize, draw: u32) -> u64 {
        let mut state = self.since.0 ^ u64::from(at) << 20 ^ (place as u64) << 8 ^ u64::from(draw);
        // splitmix64's finaliser.
        state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^ state >> 31
    }

    pub(super) fn follows(&self, from: u32) -> bool {
        let mut links = self.links.iter().flatten();
        links.any(|link| link.from == from)
    }

    pub(super) fn link(&mut self, place: usize, from: u32, since: Now, now: Now) {
        if let Some(place) = self.links.get_mut(place) {
            *place = Some(Link {
                from,
                seen: 1.0,
                hits: 1.0,
                lag: seconds(now, since),
                spread: 0.0,
                counted: since,
            });
        }
    }

    /// Whether that one is told of this one.
    pub(super) fn leads(&self, to: u32) -> bool {
        self.followers.contains(&to)
    }

    /// Tells that one of this one from now on, if there is a place.
    pub(super) fn lead(&mut self, to: u32) -> bool {
        if self.leads(to) {
            return false;
        }
        let free = self.followers.iter_mut().find(|one| **one == NONE);
        free.map(|free| *free = to).is_some()
    }

    /// Tells only these from now on.
    pub(super) fn keep_followers(&mut self, keeps: impl Fn(u32) -> bool) {
        for one in &mut self.followers {
            if !keeps(*one) {
                *one = NONE;
            }
        }
    }

    /// Those that are told.
    pub(super) fn followers(&self) -> Vec<u32> {
        let followers = self.followers.iter().copied();
        followers.filter(|one| *one != NONE).collect()
    }

    /// What comes before it became active. Tells whether it is due now.
    pub(super) fn announce(&mut self, from: u32, now: Now, times: &Times) -> bool {
        let is_silent = self.is_silent(now, times);
        let mut links = self.links.iter_mut().flatten();
        let Some(link) = links.find(|link| link.from == from) else {
            return false;
        };
        let confidence = link.hits / link.seen;
        link.seen += 1.0;
        if link.seen > HALVED_AT {
            link.seen /= 2.0;
            link.hits /= 2.0;
        }
        let is_rule = link.hits >= SUPPORT_MIN && confidence >= CONFIDENCE_MIN;
        if !is_silent || !is_rule {
            return false;
        }
        let due = Due {
            since: now,
            confidence: f64::from(confidence),
            lag: link.lag,
            spread: link.spread,
        };
        let known = self.due.as_ref().filter(|known| known.is_open(now));
        if known.is_none_or(|known| known.confidence < due.confidence) {
            self.due = Some(Box::new(due));
        }
        true
    }
}
