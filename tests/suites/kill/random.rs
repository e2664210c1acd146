//! Deaths at random moments, from outside.

use std::time::Duration;

use tier_tests::guest::Guest;
use tier_tests::rig::{Rig, ask_move};
use tier_tests::test_name;

use super::{By, load, make_whole, programs};

/// Deaths, unless the environment asks for more.
const DEATHS: u32 = 10;
/// Longest that a daemon lives after it was asked to move: a batch takes about so long.
const LIFE_MAX_MS: u64 = 900;
/// Regions that one request asks for: two moves.
const COUNT: u32 = 4;

#[test]
fn deaths_at_random_moments_of_many_moves() {
    // On the host, so that a seed of the environment's reaches the guest.
    let deaths = variable("TIER_KILL_DEATHS").unwrap_or(u64::from(DEATHS));
    let deaths = u32::try_from(deaths).unwrap();
    Guest::uml(test_name!())
        .deadline(Duration::from_mins(1) + Duration::from_secs(15) * deaths)
        .phase(|guest| {
            let seed = variable("TIER_KILL_SEED").unwrap_or(1);
            let mut random = fastrand::Rng::with_seed(seed);
            let rig = Rig::start(guest, programs(), false);
            let load = load(&rig, seed);
            for death in 0..deaths {
                let daemon = rig.run();
                let mut first = 0;
                for _ in 0..4 {
                    first = random.u32(0..rig.regions() / COUNT) * COUNT;
                    // Refused where there is no room, or where another of these moves already.
                    let _ = ask_move(first, COUNT, random.usize(0..3));
                }
                let life = Duration::from_millis(random.u64(0..LIFE_MAX_MS));
                std::thread::sleep(life);
                daemon.kill();
                println!("death {death} after {life:?}");
                make_whole(&rig, &load, By::turn(death), first, COUNT);
            }
            println!("longest request {:?}", load.longest());
            load.stop().verify();
        })
        .run();
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}
