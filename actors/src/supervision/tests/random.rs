//! Random crashes and stalls: nothing is lost in silence.

use std::collections::BTreeSet;

use super::*;

const SEEDS: u64 = 60;
const SENDERS: u32 = 8;
const REQUESTS_EACH: u32 = 40;

/// All, or the one that `KEEPWELL_TEST_SEED` names: a failure prints it.
fn seeds() -> std::ops::Range<u64> {
    let only = std::env::var("KEEPWELL_TEST_SEED").ok().map(|seed| seed.parse().expect("a number"));
    only.map_or(0..SEEDS, |seed: u64| seed..seed + 1)
}

fn seed_count() -> usize {
    seeds().count()
}

fn faults_of(seed: u64, panics_per_mille: u16) -> Faults {
    Faults::planned(RandomFaults { seed, panics_per_mille, stalls_per_mille: 20, stall: seconds(2) })
}

/// Sends numbered requests from several senders at once; gives each one's answer.
async fn requests(stable: &Stable<Clerk>) -> Vec<(u32, Result<u64, Unreachable>)> {
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let stable = stable.clone();
            actix_rt::spawn(async move {
                let mut answers = Vec::new();
                for id in (sender * REQUESTS_EACH)..((sender + 1) * REQUESTS_EACH) {
                    answers.push((id, stable.send(ask(id, Deed::Answer)).await));
                }
                answers
            })
        })
        .collect();
    let mut answers = Vec::new();
    for sender in senders {
        answers.extend(sender.await.expect("no panic"));
    }
    answers
}

#[test]
fn every_request_is_answered_however_often_children_crash() {
    let mut deaths = 0;
    for seed in seeds() {
        deaths += on_virtual_time(async move {
            let desk = Desk::with(faults_of(seed, 150));
            let mut guardian = desk.guardian();
            let intensity = Intensity { restarts_max: u32::MAX, ..Intensity::default() };
            let settings = ChildSettings {
                intensity,
                deliveries_max: u32::MAX,
                requests_max: 5,
                ..ChildSettings::default()
            };
            let stable = desk.supervise(&mut guardian, settings);
            let answers = requests(&stable).await;
            assert_eq!(answers.len(), (SENDERS * REQUESTS_EACH) as usize);
            let served: BTreeSet<(u64, u32)> = desk.served().into_iter().collect();
            for (id, answer) in answers {
                let clerk = answer.unwrap_or_else(|why| panic!("seed {seed}, request {id}: {why}"));
                assert!(served.contains(&(clerk, id)), "seed {seed}: request {id} was answered unserved");
            }
            assert_eq!(guardian.shutdown().await, [], "seed {seed}");
            desk.notices().len() / 2
        });
    }
    assert!(deaths > 15 * seed_count(), "only {deaths} deaths");
}

#[test]
fn with_ordinary_bounds_every_request_is_answered_or_refused_with_its_reason() {
    let (mut answered, mut suspected, mut given_up) = (0, 0, 0);
    for seed in seeds() {
        let answers = on_virtual_time(async move {
            let desk = Desk::with(faults_of(seed, 60));
            let mut guardian = desk.guardian();
            let stable = desk.supervise(&mut guardian, ChildSettings::default());
            requests(&stable).await
        });
        for (id, answer) in answers {
            match answer {
                Ok(_) => answered += 1,
                Err(Unreachable::Suspect { deaths: DELIVERIES_MAX, last: Death::Crashed(_), .. }) => {
                    suspected += 1
                }
                Err(Unreachable::GaveUp { restarts: RESTARTS_MAX, last: Death::Crashed(_), .. }) => {
                    given_up += 1
                }
                Err(why) => panic!("seed {seed}, request {id}: {why}"),
            }
        }
    }
    let both = answered > 0 && given_up > 0;
    assert!(both || seed_count() == 1, "{answered} answered, {suspected} suspected, {given_up} given up");
}
