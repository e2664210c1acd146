//! Tests of the live view: what it draws of a moment.

use tier_wire::Class;

use super::*;
use crate::demo::outcome::Latency;

fn moment() -> Scene {
    let mut scene = Scene {
        stage: Stage::Moving,
        detail: "waiting".to_owned(),
        reads: Some(Latency::of(&[Duration::from_millis(3); 500])),
        seconds: 2.0,
        tiers: tier_wire::samples::status().tiers,
        moving: vec!["one under way".to_owned()],
        heat: "the map".to_owned(),
        ..Scene::default()
    };
    scene.served.insert(Class::Nvme, 0.5);
    scene.moves.done = 3;
    scene
}

#[test]
fn the_picture_shows_stages_rates_tiers_moves_and_the_map() {
    let view = View {
        stage: Some((Stage::Moving, Instant::now())),
        ..View::default()
    };
    let text = view.picture(&moment());
    for part in [
        "✓ measure, policy paused",
        "▸ policy at work, 0 s  waiting",
        "    measure again",
        "250 reads/s, median 3.0 ms",
        "████████████████████····················  50 % of reads",
        "3 done",
        "one under way",
        "the map",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
}

#[test]
fn a_line_says_it_in_short() {
    let line = View::default().line(&moment());
    for part in [
        "policy at work (waiting)",
        "250 reads/s",
        "nvme 50 %",
        "3 moves done",
    ] {
        assert!(line.contains(part), "{part} is missing: {line}");
    }
    assert_eq!(line.lines().count(), 1);
}
