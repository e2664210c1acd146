use super::*;
use crate::engine::Engine;
use crate::event::Event;
use crate::testing::{Shell, config, state};
use crate::units::VolumeRegion;

const HOUR: u64 = 3_600_000_000_000;

/// An engine that goes on from a memory after some time.
fn after(memory: &Memory, passed_nanos: u64) -> Engine {
    let mut engine = Engine::new(config());
    let now = Now(memory.now.0 + passed_nanos);
    let adopted = Vec::new();
    engine.step(
        now,
        Event::Started {
            state: state(),
            adopted,
        },
    );
    let commands = engine.step(now, Event::Remembered(Box::new(memory.clone())));
    assert_eq!(commands, []);
    engine
}

fn touched() -> Shell {
    let mut shell = Shell::new(config(), state(), Vec::new());
    for region in [3, 7, 70] {
        shell.sample(region, 20 + region, 0);
    }
    shell
}

#[test]
fn what_was_touched_is_known_after_a_restart_less_what_has_cooled_meanwhile() {
    let shell = touched();
    let memory = shell.engine.memory();
    let told = |engine: &Engine, region| engine.explain(VolumeRegion(region)).unwrap();
    let before = told(&shell.engine, 7);
    let at_once = told(&after(&memory, 0), 7);
    assert_eq!(at_once.opinions, before.opinions);
    assert_eq!(at_once.offers, before.offers);
    let later = told(&after(&memory, HOUR), 7);
    assert!((later.touches_in_all - before.touches_in_all).abs() < 1e-9);
    assert!(later.touches < before.touches, "{later:?}");
    assert!(later.age_seconds.unwrap() > before.age_seconds.unwrap() + 3_500.0);
    // And what it remembers then is what it was told.
    assert_eq!(after(&memory, 0).memory(), memory);
}

#[test]
fn how_often_forecasts_came_true_is_known_after_a_restart() {
    let mut shell = touched();
    let believed = |engine: &Engine| {
        let told = engine.explain(VolumeRegion(7)).unwrap();
        let mut opinions = told.opinions.into_iter();
        opinions.find(|one| one.score.is_believed).unwrap()
    };
    let before = believed(&shell.engine).confidence;
    // Nothing comes, as nobody would have thought.
    for _ in 0..30 {
        shell.wait(60.0);
        shell.sample(3, 0, 0);
    }
    let learned = believed(&shell.engine);
    assert!(
        learned.confidence[1] < before[1] * 0.7,
        "{before:?} {learned:?}"
    );
    let memory = shell.engine.memory();
    assert_eq!(believed(&after(&memory, 0)), learned);
    assert_eq!(after(&memory, 0).memory(), memory);
}

#[test]
fn it_reads_back_from_what_it_is_kept_as() {
    let memory = touched().engine.memory();
    let text = serde_json::to_string(&memory).unwrap();
    assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
}

#[test]
fn what_does_not_fit_is_not_taken_over_and_that_is_said() {
    let shell = touched();
    let good = shell.engine.memory();
    let wrong: [fn(&mut Memory); 4] = [
        |memory| memory.version += 1,
        |memory| memory.regions += 1,
        |memory| memory.half_life_nanos *= 2,
        |memory| memory.now.0 += HOUR,
    ];
    for spoil in wrong {
        let mut memory = good.clone();
        spoil(&mut memory);
        let mut fresh = Shell::new(config(), state(), Vec::new());
        assert!(fresh.engine.fits(&good, good.now).is_ok());
        assert!(fresh.engine.fits(&memory, good.now).is_err());
        let commands = fresh.step(Event::Remembered(Box::new(memory)));
        assert!(
            matches!(&commands[..], [crate::command::Command::Warn(_)]),
            "{commands:?}"
        );
        let told = fresh.engine.explain(VolumeRegion(7)).unwrap();
        assert_eq!(told.age_seconds, None);
    }
}

#[test]
fn time_goes_on_unless_too_much_of_it_has_passed() {
    let mut memory = touched().engine.memory();
    let half_life_nanos = memory.half_life_nanos;
    let told = memory.now.0;
    assert_eq!(memory.resume(HOUR), Some(Now(told + HOUR)));
    assert_eq!(memory.resume(401 * half_life_nanos), None);
    // A clock that began in 1970 and was set right since.
    assert_eq!(memory.resume(1_800_000_000 * 1_000_000_000), None);
    assert_eq!(memory.resume(u64::MAX), None);
    // What is as late as may be is still far from what heat cannot count.
    memory.now = Now(half_life_nanos * TIME_HALF_LIVES_MAX);
    let latest = memory.resume(0).unwrap();
    let engine = after(&memory, 0);
    assert_eq!(latest, memory.now);
    let age = engine
        .explain(VolumeRegion(7))
        .unwrap()
        .age_seconds
        .unwrap();
    assert!(age > 1e9 && age < 2e9, "{age}");
    assert_eq!(memory.resume(half_life_nanos), None);
}
