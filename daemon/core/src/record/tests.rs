use super::*;
use crate::event::{HotRegion, Resources, Target};
use crate::sim::recorded_life;
use crate::units::{RequestId, VolumeRegion};
use crate::volume::Class;

#[test]
fn replayed_events_give_the_same_commands_byte_for_byte() {
    for seed in 0..40 {
        let (config, events, commands) = recorded_life(seed);
        let lines: String = events
            .iter()
            .map(|(now, event)| encode(*now, event).unwrap())
            .collect();
        let read = lines
            .lines()
            .enumerate()
            .map(|(at, line)| decode(at + 1, line).unwrap());
        let replayed: Vec<String> = replay(config, read)
            .map(|commands| serde_json::to_string(&commands).unwrap())
            .collect();
        assert!(commands.len() > 100, "a life has events");
        assert_eq!(replayed, commands, "seed {seed}");
    }
}

#[test]
fn an_event_reads_back_as_it_was() {
    let events = [
        Event::Tick,
        Event::Hot(HotRegion {
            region: VolumeRegion(7),
            touches: 9,
            writes: 1,
            sequential: 2,
        }),
        Event::Resources(Resources {
            cpu_busy: 0.1 + 0.2,
            ..Resources::default()
        }),
        Event::MoveRequested {
            request: RequestId(1),
            first: VolumeRegion(0),
            count: 3,
            target: Target::Class(Class::Nvme),
        },
    ];
    for event in events {
        let line = encode(Now(5), &event).unwrap();
        assert_eq!(decode(1, &line).unwrap(), Recorded { now: Now(5), event });
    }
}

#[test]
fn a_torn_line_is_named_by_its_number() {
    let error = decode(17, r#"{"now":1,"event":{"event":"ti"#).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("line 17 of the recording is no event"),
        "{error}"
    );
    assert!(decode(1, r#"{"now":1,"event":{"event":"tick"},"more":2}"#).is_err());
}
