//! Fault points: nothing by default, after a plan the same every time.

use tokio::time::Instant;

use super::super::death::caught;
use super::*;

#[test]
fn no_plan_no_fault() {
    let faults = Faults::default();
    on_virtual_time(async move {
        faults.passage("anywhere").await;
        assert_eq!(faults.calls("anywhere"), 0, "not even counted");
    });
}

#[test]
fn the_planned_call_of_the_planned_point_panics() {
    let faults = Faults::planned(PanicAtCall { point: "here", call: 3 });
    let call = |point| caught(|| faults.strike(point)).err();
    assert_eq!([call("here"), call("there"), call("there"), call("there")], [None, None, None, None]);
    let text = Some("fault at here, call 3".to_owned());
    assert_eq!([call("here"), call("here"), call("here")], [None, text, None]);
    assert_eq!(faults.calls("here"), 4);
}

#[test]
fn random_faults_follow_from_seed_point_and_call() {
    let plan = |seed| RandomFaults { seed, panics_per_mille: 100, stalls_per_mille: 50, stall: seconds(1) };
    let course = |seed, point| (1..=10_000).map(|call| plan(seed).fault_at(point, call)).collect::<Vec<_>>();
    assert_eq!(course(1, "a"), course(1, "a"));
    assert_ne!(course(1, "a"), course(2, "a"));
    assert_ne!(course(1, "a"), course(1, "b"));
    let count = |fault| course(1, "a").into_iter().filter(|&now| now == fault).count();
    assert!((900..1100).contains(&count(Fault::Panic)), "{}", count(Fault::Panic));
    assert!((400..600).contains(&count(Fault::Stall(seconds(1)))));
}

#[test]
fn a_stalled_actor_takes_in_nothing_for_so_long() {
    struct StallFirst;
    impl FaultPlan for StallFirst {
        fn fault_at(&self, _: &str, call: u64) -> Fault {
            if call == 1 { Fault::Stall(seconds(90)) } else { Fault::None }
        }
    }
    on_virtual_time(async {
        let faults = Faults::planned(StallFirst);
        let begun = Instant::now();
        faults.passage("factory").await;
        assert_eq!(begun.elapsed(), seconds(90));

        let desk = Desk::with(faults);
        let mut guardian = desk.guardian();
        let stable = desk.supervise(&mut guardian, ChildSettings::default());
        let first = spawn_ask(&stable, ask(1, Deed::Answer));
        let second = spawn_ask(&stable, ask(2, Deed::Answer));
        settle().await;
        assert_eq!(desk.served(), [(0, 1)]);
        assert_eq!((first.await.expect("no panic"), second.await.expect("no panic")), (Ok(0), Ok(0)));
        assert!(begun.elapsed() >= 2 * seconds(90));
    });
}
