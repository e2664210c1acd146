use super::*;
use crate::event::{HotRegion, MemberLoad, Priority, Resources, Target};
use crate::sim::recorded_life;
use crate::units::{Bytes, MoveId, RequestId, VolumeRegion};
use crate::volume::Class;

#[test]
fn replayed_events_give_the_same_commands_byte_for_byte() {
    for seed in 0..40 {
        let (config, events, commands) = recorded_life(seed);
        let (config, events) = read(&recording(&config, &events)).unwrap();
        let replayed: Vec<String> = replay(config, events)
            .map(|commands| serde_json::to_string(&commands).unwrap())
            .collect();
        assert!(commands.len() > 100, "a life has events");
        assert_eq!(replayed, commands, "seed {seed}");
    }
}

/// What a shell would have written.
fn recording(config: &PolicyConfig, events: &[(Now, Event)]) -> String {
    let lines = events
        .iter()
        .map(|(now, event)| encode(*now, event).unwrap());
    [begin(config).unwrap()].into_iter().chain(lines).collect()
}

#[test]
fn what_was_known_of_single_members_decides_again() {
    let next_to_nothing = MemberWear {
        written_bytes_per_year: Some(1.0),
        ..MemberWear::default()
    };
    let mut config = crate::testing::config();
    config.wear.by_index.insert(MemberIndex(0), next_to_nothing);
    let written = MemberLoad {
        member: MemberIndex(0),
        busy: 0.0,
        in_flight: 0.0,
        read_latency: None,
        write_latency: None,
        written_bytes: Bytes(1 << 20),
    };
    let events = [
        Event::Started {
            state: crate::testing::state(),
            adopted: Vec::new(),
        },
        Event::Resources(Resources {
            members: vec![written],
            ..Resources::default()
        }),
        Event::Hot(HotRegion {
            region: VolumeRegion(7),
            touches: 40,
            writes: 0,
            sequential: 0,
        }),
    ];
    let events: Vec<(Now, Event)> = (1..).map(Now).zip(events).collect();
    let decide = |config, events| -> Vec<Vec<Command>> { replay(config, events).collect() };
    let recorded = |(now, event): (Now, Event)| Recorded { now, event };
    let given = || events.iter().cloned().map(recorded);
    let decided = decide(config.clone(), given().collect::<Vec<_>>());
    let (known, read) = read(&recording(&config, &events)).unwrap();
    assert_eq!(decide(known, read), decided);
    let without = decide(crate::testing::config(), given().collect());
    assert_ne!(without, decided, "a rating that decides nothing");
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
            priority: Priority::Low,
        },
        Event::PriorityRequested {
            request: RequestId(2),
            id: MoveId(7),
            priority: Priority::High,
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
            .starts_with("line 17 of the recording is not what belongs there"),
        "{error}"
    );
    assert!(decode(1, r#"{"now":1,"event":{"event":"tick"},"more":2}"#).is_err());
    // Of a version that did not write the parameters down.
    let error = read("{\"now\":1,\"event\":{\"event\":\"tick\"}}\n").unwrap_err();
    assert!(error.to_string().starts_with("line 1 of"), "{error}");
}
