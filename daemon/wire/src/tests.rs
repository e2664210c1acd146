//! What the API promises about its words: names, refusals, and the shape of the JSON.

use serde_json::json;

use super::*;

fn name(text: &str) -> VolumeName {
    text.parse().unwrap()
}

#[test]
fn a_volume_name_is_plain_and_short() {
    for good in ["a", "data", "vm-1", "Z.9_x", &"n".repeat(63)] {
        assert_eq!(name(good).as_str(), good);
    }
    for bad in [
        "",
        "-x",
        ".x",
        "_x",
        "a/b",
        "a b",
        "ä",
        "a%2f",
        "a\n",
        &"n".repeat(64),
    ] {
        assert!(bad.parse::<VolumeName>().is_err(), "{bad:?} was taken");
        assert!(serde_json::from_value::<VolumeName>(json!(bad)).is_err());
    }
}

#[test]
fn requests_refuse_fields_they_do_not_know() {
    let misspelt = [
        serde_json::from_value::<CreateVolume>(json!({"name": "a", "members": [], "dryrun": true}))
            .map(drop),
        serde_json::from_value::<CreateVolume>(
            json!({"name": "a", "members": [{"path": "/dev/x", "klass": "ssd"}]}),
        )
        .map(drop),
        serde_json::from_value::<StartVolume>(json!({"degrade": true})).map(drop),
        serde_json::from_value::<StopVolume>(json!({"x": 1})).map(drop),
        serde_json::from_value::<DestroyVolume>(json!({"dry-run": true})).map(drop),
        serde_json::from_value::<MoveRequest>(
            json!({"range": "all", "to": {"class": "nvme"}, "force": true}),
        )
        .map(drop),
        serde_json::from_value::<MoveRequest>(
            json!({"range": {"bytes": {"offset": 0, "len": 1}}, "to": {"class": "nvme"}}),
        )
        .map(drop),
        serde_json::from_value::<CancelMove>(json!({"id": 1})).map(drop),
        serde_json::from_value::<Pause>(json!({"paused": true})).map(drop),
        serde_json::from_value::<HeatQuery>(json!({"bucket": 1})).map(drop),
        serde_json::from_value::<MovesQuery>(json!({"histories": 1})).map(drop),
    ];
    for result in misspelt {
        assert!(result.unwrap_err().to_string().contains("unknown field"));
    }
}

#[test]
fn what_a_request_leaves_out_is_the_harmless_choice() {
    let create: CreateVolume =
        serde_json::from_value(json!({"name": "a", "members": [{"path": "/dev/x"}]})).unwrap();
    assert!(!create.force && !create.dry_run && create.region_bytes.is_none());
    assert_eq!(
        serde_json::from_value::<StartVolume>(json!({})).unwrap(),
        StartVolume::default()
    );
    assert!(!StartVolume::default().degraded);
    let heat: HeatQuery = serde_json::from_value(json!({})).unwrap();
    assert_eq!(heat.buckets, HeatQuery::BUCKETS_DEFAULT);
}

#[test]
fn a_move_request_has_the_documented_shape() {
    let request = MoveRequest {
        range: MoveRange::Regions { first: 3, count: 2 },
        to: MoveTarget::Member(1),
        priority: Priority::Low,
        dry_run: false,
    };
    assert_eq!(
        serde_json::to_value(request).unwrap(),
        json!({"range": {"regions": {"first": 3, "count": 2}}, "to": {"member": 1},
               "priority": "low", "dry_run": false})
    );
    let all: MoveRequest =
        serde_json::from_value(json!({"range": "all", "to": {"class": "hdd"}})).unwrap();
    assert_eq!(all.range, MoveRange::All);
    assert_eq!(all.to, MoveTarget::Class(Class::Hdd));
    assert_eq!(all.priority, Priority::Normal);
}

#[test]
fn a_reason_is_one_flat_object() {
    let reason = Reason {
        cause: Cause::Demotion {
            heat: 0.5,
            room_for: Some(7),
        },
        text: "cold; makes room for move 7".into(),
    };
    let value = serde_json::to_value(&reason).unwrap();
    assert_eq!(
        value,
        json!({"rule": "demotion", "heat": 0.5, "room_for": 7,
               "text": "cold; makes room for move 7"})
    );
    assert_eq!(serde_json::from_value::<Reason>(value).unwrap(), reason);
}

#[test]
fn replies_may_gain_fields() {
    let state: PauseState =
        serde_json::from_value(json!({"volume": "a", "paused": true, "since": 3})).unwrap();
    assert!(state.paused);
}

#[test]
fn every_kind_is_listed_once_and_is_an_http_error() {
    for (position, kind) in ErrorKind::ALL.into_iter().enumerate() {
        assert_eq!(
            ErrorKind::ALL.iter().position(|&k| k == kind),
            Some(position)
        );
        assert!((400..600).contains(&kind.http_status()), "{kind:?}");
    }
}

#[test]
fn an_error_leaves_out_what_it_does_not_know() {
    let error = ErrorBody::new(ErrorKind::Busy, "/dev/sdb is mounted")
        .with_device("/dev/sdb")
        .with_errno(Some(16));
    assert_eq!(
        serde_json::to_value(&error).unwrap(),
        json!({"kind": "busy", "message": "/dev/sdb is mounted", "device": "/dev/sdb",
               "errno": 16})
    );
}

#[test]
fn paths_are_filled_in() {
    assert_eq!(
        route::of_volume(route::HEAT, &name("a.b")),
        "/v1/volumes/a.b/heat"
    );
    assert_eq!(
        route::cancel(&name("a"), 12),
        "/v1/volumes/a/moves/12/cancel"
    );
    let versioned = [route::HEALTH, route::VOLUMES, route::CANCEL, route::PLAN];
    assert!(
        versioned
            .iter()
            .all(|path| path.starts_with(&format!("/{VERSION}/")))
    );
}

/// Writing and reading back loses nothing, in any reply.
#[test]
fn every_reply_reads_back_as_it_was() {
    macro_rules! reads_back {
        ($($sample:expr => $reply:ty),+ $(,)?) => {$({
            let sample: $reply = $sample;
            let text = serde_json::to_string(&sample).unwrap();
            assert_eq!(serde_json::from_str::<$reply>(&text).unwrap(), sample);
        })+};
    }
    reads_back! {
        samples::health() => Health,
        samples::volumes() => VolumeList,
        samples::change(true) => VolumeChange,
        samples::members() => MemberList,
        samples::status() => Status,
        samples::heat() => HeatMap,
        samples::plan() => Plan,
        samples::explanation() => Explanation,
        samples::explained_move() => Explanation,
        samples::accepted(false) => MoveAccepted,
        samples::moves() => MoveList,
        samples::pause(true) => PauseState,
    }
}
