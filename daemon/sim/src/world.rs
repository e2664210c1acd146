//! A trace, devices and moves between them, in simulated time.
//!
//! Owns: the order of events, and what is counted. Requests come at the times of the trace, however
//! slow the devices are; a copy reads a chunk, writes it, and goes on to the next, and its requests
//! wait in the same queues. What moves is the driver's to say. May not: decide.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use tier_core::units::{MemberIndex, Micros};
use tier_core::volume::{Class, Leg, Profile};

use crate::device::Device;
use crate::outcome::{Outcome, Tally};
use crate::trace::{Op, Request, Trace};

/// Bytes that a move copies at a time: the chunk of the daemon's mirrors.
const CHUNK_BYTES: u64 = 1 << 20;

/// A member of the simulated volume.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MemberSpec {
    pub(crate) class: Class,
    pub(crate) regions: u32,
    pub(crate) profile: Profile,
}

/// The part of a request that lies in one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Touch {
    pub(crate) region: u32,
    pub(crate) op: Op,
    /// Where the request begins on the volume.
    pub(crate) request_start: u64,
    /// Where it ends.
    pub(crate) request_end: u64,
    /// Bytes of it in this region.
    pub(crate) length: u64,
    /// Whether this is its first part.
    pub(crate) is_first: bool,
}

/// The parts of a request, one for each region that it lies in.
pub(crate) fn parts(request: &Request, region_bytes: u64) -> impl Iterator<Item = Touch> {
    let (op, start) = (request.op, request.offset.0);
    let end = start + request.length.0;
    let mut at = start;
    std::iter::from_fn(move || {
        let region = at / region_bytes;
        let length = end.min((region + 1) * region_bytes).checked_sub(at)?;
        let touch = Touch {
            region: u32::try_from(region).unwrap_or(u32::MAX),
            op,
            request_start: start,
            request_end: end,
            length,
            is_first: at == start,
        };
        at += length;
        (length > 0).then_some(touch)
    })
}

/// Where a region is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) home: Leg,
    /// The other leg of a mirror: writes go there too.
    pub(crate) mirror: Option<Leg>,
}

/// What a driver wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Copy these regions from one place to the other.
    Copy {
        id: u64,
        from: Leg,
        to: Leg,
        regions: u32,
    },
    /// Count this device time, which no request waited for: that of a move that takes no time.
    Charge {
        member: MemberIndex,
        op: Op,
        bytes: u64,
    },
}

/// The load of a member over an interval.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    pub(crate) busy_nanos: u64,
    /// Sum of the latencies of reads and of writes, and how many there were.
    pub(crate) latency_nanos: [u64; 2],
    pub(crate) requests: [u64; 2],
    pub(crate) written_bytes: u64,
}

/// Who decides where regions are.
pub(crate) trait Driver {
    /// Where a region is now.
    fn route(&self, region: u32) -> Route;
    /// A part of a request came.
    fn touched(&mut self, now_nanos: u64, touch: Touch, orders: &mut Vec<Order>);
    /// A copy is complete.
    fn copied(&mut self, now_nanos: u64, id: u64, orders: &mut Vec<Order>);
    /// Time has passed. Gives when it wants to be woken next, if it does.
    fn woken(&mut self, now_nanos: u64, seen: &mut Seen, orders: &mut Vec<Order>) -> Option<u64>;
}

/// What a driver may see of the devices: sums since it last took them.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) members: Vec<Load>,
    /// Latencies of the volume's requests, in nanoseconds.
    pub(crate) latencies_nanos: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Copying {
    from: Leg,
    to: Leg,
    bytes: u64,
    done: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Wake,
    /// The next chunk of this copy is to be read.
    Read(u64),
    /// It was read, and is to be written.
    Write(u64),
}

/// The simulation of one driver over one trace.
pub(crate) struct World<'trace, D> {
    trace: &'trace Trace,
    region_bytes: u64,
    devices: Vec<Device>,
    driver: D,
    copies: BTreeMap<u64, Copying>,
    due: BinaryHeap<Reverse<(u64, u64, Due)>>,
    next_due: u64,
    seen: Seen,
    tally: Tally,
    orders: Vec<Order>,
}

impl<'trace, D: Driver> World<'trace, D> {
    pub(crate) fn new(
        trace: &'trace Trace,
        members: &[MemberSpec],
        region_bytes: u64,
        driver: D,
    ) -> Self {
        let devices: Vec<_> = members
            .iter()
            .map(|member| Device::new(member.class, member.profile))
            .collect();
        Self {
            trace,
            region_bytes,
            seen: Seen {
                members: vec![Load::default(); devices.len()],
                latencies_nanos: Vec::new(),
            },
            tally: Tally::new(members, trace.span()),
            devices,
            driver,
            copies: BTreeMap::new(),
            due: BinaryHeap::new(),
            next_due: 0,
            orders: Vec::new(),
        }
    }

    /// Runs the trace to its end. Copies that are not complete then have cost what they cost.
    pub(crate) fn run(mut self) -> (Outcome, D) {
        self.schedule(0, Due::Wake);
        let trace = self.trace;
        for request in &trace.requests {
            let now = request.at.0.saturating_mul(1000);
            self.until(now);
            self.serve(now, request);
        }
        (self.tally.finish(), self.driver)
    }

    fn schedule(&mut self, at_nanos: u64, due: Due) {
        self.next_due += 1;
        self.due.push(Reverse((at_nanos, self.next_due, due)));
    }

    /// Lets everything happen that is due before `now`.
    fn until(&mut self, now: u64) {
        while let Some(&Reverse((at, _, due))) = self.due.peek()
            && at <= now
        {
            self.due.pop();
            match due {
                Due::Wake => {
                    let next = self.driver.woken(at, &mut self.seen, &mut self.orders);
                    self.obey(at);
                    if let Some(next) = next {
                        self.schedule(next.max(at + 1), Due::Wake);
                    }
                }
                Due::Read(id) => self.read_chunk(at, id),
                Due::Write(id) => self.write_chunk(at, id),
            }
        }
    }

    fn obey(&mut self, now: u64) {
        for order in std::mem::take(&mut self.orders) {
            match order {
                Order::Copy {
                    id,
                    from,
                    to,
                    regions,
                } => {
                    let bytes = u64::from(regions) * self.region_bytes;
                    let copying = Copying {
                        from,
                        to,
                        bytes,
                        done: 0,
                    };
                    self.copies.insert(id, copying);
                    self.tally.moved(Micros(now / 1000), to.member, bytes);
                    self.schedule(now, Due::Read(id));
                }
                Order::Charge { member, op, bytes } => self.charge(now, member, op, bytes),
            }
        }
    }

    fn charge(&mut self, now: u64, member: MemberIndex, op: Op, bytes: u64) {
        if let Some(device) = self.devices.get(usize::from(member.0)) {
            // A device of its own: nobody waits for it, and its head is elsewhere afterwards.
            let served = device.clone().serve(now, op, u64::MAX / 2, bytes);
            self.tally
                .worked(Micros(now / 1000), member, served.busy_nanos);
            if op == Op::Write {
                self.tally.moved(Micros(now / 1000), member, bytes);
            }
        }
    }

    fn offset(&self, leg: Leg, within: u64) -> u64 {
        u64::from(leg.first.0) * self.region_bytes + within
    }

    fn read_chunk(&mut self, now: u64, id: u64) {
        let Some(copying) = self.copies.get(&id).copied() else {
            return;
        };
        if copying.done >= copying.bytes {
            self.copies.remove(&id);
            self.driver.copied(now, id, &mut self.orders);
            return self.obey(now);
        }
        let length = CHUNK_BYTES.min(copying.bytes - copying.done);
        let offset = self.offset(copying.from, copying.done);
        let done = self.ask(now, copying.from.member, Op::Read, offset, length);
        self.schedule(done, Due::Write(id));
    }

    fn write_chunk(&mut self, now: u64, id: u64) {
        let Some(copying) = self.copies.get_mut(&id) else {
            return;
        };
        let (to, at) = (copying.to, copying.done);
        let length = CHUNK_BYTES.min(copying.bytes - at);
        copying.done += length;
        let offset = self.offset(to, at);
        let done = self.ask(now, to.member, Op::Write, offset, length);
        self.schedule(done, Due::Read(id));
    }

    /// Has a device serve a request. Gives when it is done.
    fn ask(&mut self, now: u64, member: MemberIndex, op: Op, offset: u64, length: u64) -> u64 {
        let at = usize::from(member.0);
        let Some(device) = self.devices.get_mut(at) else {
            return now;
        };
        let served = device.serve(now, op, offset, length);
        self.tally
            .worked(Micros(now / 1000), member, served.busy_nanos);
        if let Some(load) = self.seen.members.get_mut(at) {
            load.busy_nanos += served.busy_nanos;
            load.latency_nanos[op as usize] += served.done_nanos - now;
            load.requests[op as usize] += 1;
            load.written_bytes += if op == Op::Write { length } else { 0 };
        }
        served.done_nanos
    }

    fn serve(&mut self, now: u64, request: &Request) {
        let mut at = request.offset.0;
        let mut done = now;
        let mut first = None;
        for touch in parts(request, self.region_bytes) {
            let length = touch.length;
            let route = self.driver.route(touch.region);
            let within = at % self.region_bytes;
            let legs =
                std::iter::once(route.home).chain(route.mirror.filter(|_| request.op == Op::Write));
            for leg in legs {
                let offset = self.offset(leg, within);
                done = done.max(self.ask(now, leg.member, request.op, offset, length));
            }
            first.get_or_insert(route.home.member);
            self.tally.served(request, route.home.member, length);
            self.driver.touched(now, touch, &mut self.orders);
            self.obey(now);
            at += length;
        }
        if let Some(first) = first {
            self.tally.ended(request, done - now, first);
        }
        self.seen.latencies_nanos.push(done - now);
    }
}
