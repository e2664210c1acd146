use super::*;
use crate::event::MemberLoad;
use crate::units::Bytes;

fn loads() -> Loads {
    let member = |index, class| Member {
        index: MemberIndex(index),
        class,
        regions: 10,
        profile: Profile::typical(class),
        present: true,
    };
    Loads::new(&[member(0, Class::Nvme), member(1, Class::Hdd)])
}

fn seen(read_micros: Option<u64>, in_flight: f64) -> Resources {
    Resources {
        members: vec![MemberLoad {
            member: MemberIndex(1),
            busy: in_flight.min(1.0),
            in_flight,
            read_latency: read_micros.map(Micros),
            write_latency: None,
            written_bytes: Bytes(0),
        }],
        ..Resources::default()
    }
}

#[test]
fn latency_follows_the_load_and_drifts_back_when_it_ends() {
    let mut loads = loads();
    let idle = loads.latency(Class::Hdd).read_seconds;
    for _ in 0..20 {
        loads.observe(&seen(Some(40_000), 8.0));
    }
    assert!((loads.latency(Class::Hdd).read_seconds - 0.04).abs() < 0.001);
    for _ in 0..40 {
        loads.observe(&seen(None, 0.0));
    }
    assert!((loads.latency(Class::Hdd).read_seconds - idle).abs() < 0.001);
}

#[test]
fn copying_is_free_on_idle_members_and_dear_where_requests_wait() {
    let mut loads = loads();
    let (device, idle_cost) = loads.copy(MemberIndex(1), 1.8e8);
    assert!(
        (device - 1.008).abs() < 1e-6,
        "a second at 180 MB/s and one seek: {device}"
    );
    assert!(idle_cost.abs() < 1e-12);
    for _ in 0..20 {
        loads.observe(&seen(Some(40_000), 4.0));
    }
    let (device, cost) = loads.copy(MemberIndex(1), 1.8e8);
    assert!(
        (cost / device - 4.0).abs() < 0.05,
        "each of four requests waits as long"
    );
}

#[test]
fn a_figure_that_is_none_is_not_taken() {
    let mut loads = loads();
    loads.observe(&seen(Some(1_000), f64::NAN));
    loads.observe(&seen(Some(1_000), -1.0));
    assert!(loads.copy(MemberIndex(1), 1e6).1.is_finite());
}

#[test]
fn a_queue_at_the_slow_tier_makes_a_move_no_better_and_one_at_the_fast_tier_makes_it_worse() {
    let mut loads = loads();
    let one = Touches {
        reads: 1.0,
        writes: 0.0,
    };
    let at_rest = loads.benefit(one, Class::Hdd, Class::Nvme);
    assert!((at_rest - (0.008 - 0.000_09)).abs() < 1e-9, "{at_rest}");
    for _ in 0..50 {
        loads.observe(&seen(Some(2_000_000), 200.0));
    }
    let queued = loads.benefit(one, Class::Hdd, Class::Nvme);
    assert!((queued - at_rest).abs() < 1e-9, "{queued}");
    for _ in 0..50 {
        loads.observe(&Resources {
            members: vec![MemberLoad {
                member: MemberIndex(0),
                busy: 1.0,
                in_flight: 500.0,
                read_latency: Some(Micros(5_000_000)),
                write_latency: None,
                written_bytes: Bytes(0),
            }],
            ..Resources::default()
        });
    }
    let saturated = loads.benefit(one, Class::Hdd, Class::Nvme);
    assert!(saturated < 0.0, "it takes longer there: {saturated}");
}
