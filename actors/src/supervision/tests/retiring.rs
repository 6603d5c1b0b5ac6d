//! Planned ends: in order, bounded, never followed by a restart.

use tokio::time::Instant;

use super::*;

fn post(desk: &Arc<Desk>, guardian: &mut Guardian, name: &'static str, on_retire: OnRetire) -> Stable<Clerk> {
    let desk = desk.clone();
    guardian.supervise(Post::new(name, ChildSettings::default()), move |start| {
        let clerk = Clerk { number: start.restarts, desk: desk.clone(), on_retire };
        async move { Ok::<_, String>(clerk) }
    })
}

#[test]
fn the_last_to_start_is_the_first_to_retire() {
    on_virtual_time(async {
        let desk = Desk::new();
        let mut guardian = desk.guardian();
        let manager = post(&desk, &mut guardian, "manager", OnRetire::StopAtGate);
        let scheduler = post(&desk, &mut guardian, "scheduler", OnRetire::StopAtGate);
        let ended = actix_rt::spawn(guardian.shutdown());
        settle().await;
        // Until it has stopped, a child that retires is reached.
        assert_eq!(scheduler.send(ask(1, Deed::Answer)).await, Ok(0));
        desk.gate.add_permits(1);
        assert_eq!(scheduler.closed().await, Unreachable::ShutDown { child: "scheduler" });
        assert_eq!(manager.send(ask(2, Deed::Answer)).await, Ok(0));
        desk.gate.add_permits(1);
        assert_eq!(ended.await.expect("no panic"), []);
        let shut_down = Err(Unreachable::ShutDown { child: "manager" });
        assert_eq!(manager.send(ask(3, Deed::Answer)).await, shut_down);
        assert_eq!(desk.notices(), [], "nothing died, nothing was restarted");
    });
}

#[test]
fn who_does_not_retire_is_killed_and_named() {
    on_virtual_time(async {
        let desk = Desk::new();
        let mut guardian = desk.guardian();
        post(&desk, &mut guardian, "good", OnRetire::Stop);
        let deaf = post(&desk, &mut guardian, "deaf", OnRetire::Ignore);
        post(&desk, &mut guardian, "nervous", OnRetire::Panic);
        let held = spawn_ask(&deaf, ask(1, Deed::Hold));
        settle().await;
        let begun = Instant::now();
        let stragglers = guardian.shutdown().await;
        let died = StragglerEnd::Died(Death::Crashed("retiring is hard".into()));
        let expected = [
            Straggler { child: "nervous", how: died },
            Straggler { child: "deaf", how: StragglerEnd::Killed { after: RETIRE_MAX } },
        ];
        assert_eq!(stragglers, expected);
        assert_eq!(begun.elapsed(), RETIRE_MAX);
        assert_eq!(held.await.expect("no panic"), Err(Unreachable::ShutDown { child: "deaf" }));
    });
}

#[test]
fn a_post_without_a_child_retires_at_once() {
    on_virtual_time(async {
        let desk = Desk::new();
        // While its child is being started.
        let mut guardian = desk.guardian();
        let stable = guardian.supervise(Post::<Clerk>::new("clerk", ChildSettings::default()), |_| {
            std::future::pending::<Result<Clerk, String>>()
        });
        let waiting = spawn_ask(&stable, ask(1, Deed::Answer));
        settle().await;
        let begun = Instant::now();
        assert_eq!(guardian.shutdown().await, []);
        let shut_down = Unreachable::ShutDown { child: "clerk" };
        assert_eq!(waiting.await.expect("no panic"), Err(shut_down.clone()));

        // In the delay before a restart.
        let mut guardian = desk.guardian();
        let backoff = crate::retry::Backoff { base: seconds(3600), cap: seconds(3600) };
        let intensity = Intensity { backoff, ..Intensity::default() };
        let stable = desk.supervise(&mut guardian, ChildSettings { intensity, ..ChildSettings::default() });
        let waiting = spawn_ask(&stable, ask(1, Deed::Panic));
        settle().await;
        assert_eq!(guardian.shutdown().await, []);
        assert_eq!(waiting.await.expect("no panic"), Err(shut_down));
        assert!(begun.elapsed() < seconds(1));
    });
}

#[test]
fn children_of_a_dropped_guardian_retire() {
    on_virtual_time(async {
        let desk = Desk::new();
        let mut guardian = desk.guardian();
        let stable = desk.supervise(&mut guardian, ChildSettings::default());
        assert_eq!(stable.send(ask(1, Deed::Answer)).await, Ok(0));
        drop(guardian);
        assert_eq!(stable.closed().await, Unreachable::ShutDown { child: "clerk" });
    });
}
