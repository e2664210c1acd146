use super::*;
use crate::event::MemberLoad;
use crate::policy::PolicyConfig;
use crate::testing::member;
use crate::units::Bytes;

const DAY: f64 = 86_400.0;
const BASE: f64 = 0.05;
const NVME: MemberIndex = MemberIndex(0);
const SSD: MemberIndex = MemberIndex(1);
/// Of 200,000 regions of 1 MiB.
const CAPACITY: f64 = 209_715_200_000.0;
/// Of a member of that size that may be written 0.3 times a day.
const YEAR_BYTES: f64 = CAPACITY * 0.3 * 365.0;

fn wear(config: &WearConfig) -> Wear {
    let members = [
        member(0, Class::Nvme, 200_000),
        member(1, Class::Ssd, 200_000),
        member(2, Class::Hdd, 200_000),
    ];
    Wear::new((config, BASE), &members, RegionSize::MIN, Now(0))
}

fn at(days: f64) -> Now {
    Now(nanos(days * DAY))
}

/// So much is written to one member until that day.
fn write(wear: &mut Wear, member: MemberIndex, bytes: f64, days: f64) {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from float to integer saturates"
    )]
    let written_bytes = Bytes(bytes as u64);
    let load = MemberLoad {
        member,
        busy: 0.0,
        in_flight: 0.0,
        read_latency: None,
        write_latency: None,
        written_bytes,
    };
    let resources = Resources {
        members: vec![load],
        ..Resources::default()
    };
    wear.observe(&resources, at(days));
}

fn price(wear: &Wear, member: MemberIndex) -> f64 {
    wear.seconds_per_byte(member) * GIB
}

fn priced() -> WearConfig {
    WearConfig {
        nvme_money_per_terabyte: 100.0,
        ssd_money_per_terabyte: 50.0,
        ..WearConfig::default()
    }
}

#[test]
fn it_costs_the_base_while_use_is_not_ahead_and_nothing_where_nothing_wears() {
    let mut wear = wear(&WearConfig::default());
    assert!((price(&wear, NVME) - BASE).abs() < 1e-12);
    assert!(price(&wear, MemberIndex(2)).abs() < 1e-12);
    // Half of what is allowed, all year.
    for day in 1..=365 {
        write(&mut wear, NVME, YEAR_BYTES / 730.0, f64::from(day));
        assert!((price(&wear, NVME) - BASE).abs() < 1e-12, "{day}");
    }
}

#[test]
fn the_more_use_is_ahead_the_dearer_it_is_up_to_a_bound_and_time_makes_it_cheaper() {
    let mut wear = wear(&WearConfig::default());
    let mut last = 0.0;
    for step in 0..500 {
        write(&mut wear, NVME, YEAR_BYTES / 365.0 / 5.0, 10.0);
        let now = price(&wear, NVME);
        assert!(now >= last && now.is_finite(), "{step}: {now}");
        last = now;
    }
    assert!((last - BASE * 20.0_f64.exp2()).abs() < 1e-6, "{last}");
    assert!(
        (price(&wear, SSD) - BASE).abs() < 1e-12,
        "it was not written"
    );
    for day in 11..=365 {
        write(&mut wear, NVME, 0.0, f64::from(day));
        assert!(price(&wear, NVME) <= last);
        last = price(&wear, NVME);
    }
    assert!((last - BASE).abs() < 1e-12);
}

#[test]
fn half_a_days_budget_doubles_it() {
    let mut wear = wear(&WearConfig::default());
    let day = YEAR_BYTES / 365.0;
    write(&mut wear, NVME, day * HEAD_START_DAYS, 0.0);
    assert!((price(&wear, NVME) / BASE - 1.0).abs() < 1e-6);
    write(&mut wear, NVME, day * 1.5, 0.0);
    assert!((price(&wear, NVME) / BASE - 8.0).abs() < 1e-3);
}

/// Demand that is the less the dearer it is: at the base, so many times the budget.
fn year_of_demand(config: &WearConfig, times: f64, spent: impl Fn(&Wear) -> (f64, f64)) {
    let mut wear = wear(config);
    let base = price(&wear, NVME);
    for hour in 1..365 * 24 {
        let dear = price(&wear, NVME) / base;
        // Of four kinds of use, one is worth it up to ten times the price, and so on.
        let kinds = [1.5, 30.0, 1_000.0, 40_000.0];
        let wanted = kinds.iter().filter(|kind| dear < **kind).count();
        let bytes = YEAR_BYTES / 8_760.0 * times * f64::from(u32::try_from(wanted).unwrap()) / 4.0;
        write(&mut wear, NVME, bytes, f64::from(hour) / 24.0);
    }
    let (used, budget) = spent(&wear);
    assert!(
        (used / budget - 1.0).abs() < 0.05,
        "{times}: {used} of {budget}"
    );
}

#[test]
fn steady_demand_just_uses_a_years_endurance_up() {
    for times in [1.5, 3.0, 5.0, 20.0] {
        year_of_demand(&WearConfig::default(), times, |wear| {
            let member = wear.status().members[0];
            (member.written_bytes, member.bytes_per_year)
        });
    }
}

#[test]
fn steady_demand_just_uses_a_years_money_up() {
    // Half of what the nvme member costs in a year of its rated use.
    let money = CAPACITY / 1e12 * 100.0 / 5.0 / 2.0;
    let config = WearConfig {
        money_per_year: money,
        ..priced()
    };
    for times in [1.5, 3.0, 5.0] {
        year_of_demand(&config, times, |wear| {
            let spent = wear.status().money.unwrap();
            (spent.spent, spent.per_year)
        });
    }
}

#[test]
fn a_rate_makes_a_price_of_what_a_byte_costs() {
    let config = WearConfig {
        money_per_foreground_second: 0.002,
        ..priced()
    };
    let mut wear = wear(&config);
    // 100 for a terabyte that may be written 0.3 times a day for five years.
    let money_per_gib = 100.0 / (1e12 * 0.3 * 365.0 * 5.0) * GIB;
    assert!((price(&wear, NVME) - money_per_gib / 0.002).abs() < 1e-9);
    assert!((price(&wear, NVME) / price(&wear, SSD) - 2.0).abs() < 1e-9);
    write(&mut wear, NVME, YEAR_BYTES * 2.0, 1.0);
    assert!(
        (price(&wear, NVME) - money_per_gib / 0.002).abs() < 1e-9,
        "nothing is adjusted"
    );
    assert_eq!(wear.status().members[0].rule, WearRule::Rate);
}

#[test]
fn of_one_budget_of_money_what_costs_more_has_the_higher_price() {
    let config = WearConfig {
        money_per_year: 2.0,
        ..priced()
    };
    let mut wear = wear(&config);
    assert!((price(&wear, NVME) / price(&wear, SSD) - 2.0).abs() < 1e-9);
    let before = price(&wear, NVME);
    // What the SSD uses is gone for both.
    write(&mut wear, SSD, YEAR_BYTES, 1.0);
    assert!(price(&wear, NVME) > before * 10.0);
}

#[test]
fn a_small_member_is_a_part_of_a_drive() {
    let small = member(0, Class::Nvme, 10);
    let config = WearConfig::default();
    let wear = Wear::new((&config, BASE), &[small], RegionSize::MIN, Now(0));
    let allowed = wear.status().members[0].bytes_per_year;
    assert!((allowed / (1e11 * 0.3 * 365.0) - 1.0).abs() < 1e-9);
}

#[test]
fn a_member_that_is_named_has_its_own_rating() {
    let uuid = "0F6D7E7A-3B0C-4F3E-9D65-0A53C4C1B111";
    let of_it = MemberWear {
        written_bytes_per_year: Some(1e12),
        money: Some(50.0),
        ..MemberWear::default()
    };
    let config = WearConfig {
        members: [(uuid.to_owned(), of_it)].into(),
        ..WearConfig::default()
    };
    let config = config.of_volume([(NVME, uuid.to_lowercase()), (SSD, "another".to_owned())]);
    let status = wear(&config).status();
    assert!((status.members[0].bytes_per_year - 1e12).abs() < 1.0);
    assert!((status.members[1].bytes_per_year - YEAR_BYTES).abs() < 1.0);
    let rating = config.rating(NVME, Class::Nvme, CAPACITY).unwrap();
    assert!((rating.money_per_byte - 50.0 / 5e12).abs() < 1e-20);
}

#[test]
fn a_new_year_begins_with_what_was_used_too_much() {
    let mut wear = wear(&WearConfig::default());
    write(&mut wear, NVME, YEAR_BYTES * 1.2, 364.0);
    write(&mut wear, SSD, YEAR_BYTES * 0.5, 364.0);
    write(&mut wear, SSD, 0.0, 365.0);
    let status = wear.status();
    assert!((status.members[0].written_bytes / YEAR_BYTES - 0.2).abs() < 1e-6);
    assert!(status.members[1].written_bytes.abs() < 1e-6);
    assert!(status.year_seconds < 1.0);
}

#[test]
fn what_was_written_outlives_the_daemon_and_time_has_gone_on() {
    let mut before = wear(&WearConfig::default());
    write(&mut before, NVME, YEAR_BYTES / 2.0, 20.0);
    let mut after = wear(&WearConfig::default());
    after.recall(&before.remember(), at(20.0));
    assert_eq!(after.status(), before.status());
    assert!(price(&after, NVME) > BASE * 100.0);
    after.recall(&WearMemory::default(), at(200.0));
    assert!((price(&after, NVME) - BASE).abs() < 1e-12);
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let refused = |spoil: fn(&mut WearConfig), says: &str| {
        let mut config = PolicyConfig::default();
        spoil(&mut config.wear);
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    refused(
        |wear| wear.nvme_drive_writes_per_day = 0.0,
        "policy.wear.nvme_drive_writes_per_day is 0, but must be a number above 0",
    );
    refused(
        |wear| wear.rated_years = f64::NAN,
        "policy.wear.rated_years",
    );
    refused(
        |wear| wear.money_per_year = 5.0,
        "policy.wear.money_per_year is 5, but must be 0 where nothing has a price",
    );
    refused(
        |wear| {
            *wear = WearConfig {
                money_per_year: 5.0,
                money_per_foreground_second: 1.0,
                ..priced()
            };
        },
        "money is a budget or a rate",
    );
    let uuid = "0f6d7e7a-3b0c-4f3e-9d65-0a53c4c1b111";
    let named = |name: &str, of_it| WearConfig {
        members: [(name.to_owned(), of_it)].into(),
        ..WearConfig::default()
    };
    let says = |wear: WearConfig| {
        let config = PolicyConfig {
            wear,
            ..PolicyConfig::default()
        };
        config.check().map_err(|error| error.to_string())
    };
    let both = MemberWear {
        drive_writes_per_day: Some(1.0),
        written_bytes_per_year: Some(1e12),
        money: Some(70.0),
    };
    let error = says(named(uuid, both)).unwrap_err();
    assert!(error.contains("written_bytes_per_year") && error.contains("left out"));
    let error = says(named("nvme0n1", MemberWear::default())).unwrap_err();
    assert!(error.contains("\"nvme0n1\", which is no UUID"), "{error}");
    let good = MemberWear {
        written_bytes_per_year: None,
        ..both
    };
    assert_eq!(says(named(uuid, good)), Ok(()));
}
