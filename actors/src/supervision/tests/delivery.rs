//! Handles: what is sent again, what waits, and every way to fail.

use tokio::time::{Instant, sleep};

use super::*;

#[test]
fn a_request_over_which_a_child_died_is_answered_by_the_next() {
    on_virtual_time(async {
        let desk = Desk::new();
        let mut guardian = desk.guardian();
        let stable = desk.supervise(&mut guardian, ChildSettings::default());
        assert_eq!(stable.send(ask(1, Deed::Answer)).await, Ok(0));
        assert_eq!(stable.send(ask(2, Deed::PanicFirst)).await, Ok(1));
        // The second request was begun twice: its receiver must know it by its id.
        assert_eq!(desk.served(), [(0, 1), (0, 2), (1, 2)]);
    });
}

#[test]
fn a_child_that_dies_after_the_deed_gets_the_request_again() {
    let faults = Faults::planned(PanicAtCall { point: "clerk.ask.end", call: 1 });
    on_virtual_time(async move {
        let desk = Desk::with(faults);
        let mut guardian = desk.guardian();
        let stable = desk.supervise(&mut guardian, ChildSettings::default());
        assert_eq!(stable.send(ask(1, Deed::Answer)).await, Ok(1));
        assert_eq!(desk.served(), [(0, 1), (1, 1)]);
    });
}

#[test]
fn requests_held_and_queued_at_a_death_are_sent_again_in_turn() {
    on_virtual_time(async {
        let desk = Desk::new();
        let mut guardian = desk.guardian();
        let stable = desk.supervise(&mut guardian, ChildSettings::default());
        let held = spawn_ask(&stable, ask(1, Deed::Hold));
        settle().await;
        let requests = [(2, Deed::PanicFirst), (3, Deed::Answer), (4, Deed::Answer)];
        let requests = requests.map(|(id, deed)| spawn_ask(&stable, ask(id, deed)));
        settle().await;
        desk.gate.add_permits(1);
        assert_eq!(held.await.expect("no panic"), Ok(1));
        for request in requests {
            assert_eq!(request.await.expect("no panic"), Ok(1));
        }
        assert_eq!(desk.served()[..2], [(0, 1), (0, 2)]);
        let mut again: Vec<_> = desk.served()[2..].to_vec();
        again.sort_unstable();
        assert_eq!(again, [(1, 1), (1, 2), (1, 3), (1, 4)]);
    });
}

#[test]
fn a_slow_answer_does_not_hold_up_what_is_sent_again_after_it() {
    on_virtual_time(async {
        let desk = Desk::new();
        let mut guardian = desk.guardian();
        let stable = desk.supervise(&mut guardian, ChildSettings::default());
        // Answered only by the gate, which is opened only after the other is answered.
        let held = spawn_ask(&stable, ask(1, Deed::Hold));
        settle().await;
        assert_eq!(stable.send(ask(2, Deed::PanicFirst)).await, Ok(1));
        desk.gate.add_permits(1);
        assert_eq!(held.await.expect("no panic"), Ok(1));
    });
}

#[test]
fn a_request_that_kills_every_child_is_refused_alone() {
    on_virtual_time(async {
        let desk = Desk::new();
        let mut guardian = desk.guardian();
        let stable = desk.supervise(&mut guardian, ChildSettings::default());
        let bad = spawn_ask(&stable, ask(1, Deed::Panic));
        let good: Vec<_> = (2..50).map(|id| spawn_ask(&stable, ask(id, Deed::Answer))).collect();
        let last = Death::Crashed("cannot stand request 1".into());
        let refused = Unreachable::Suspect { child: "clerk", deaths: DELIVERIES_MAX, last };
        assert_eq!(bad.await.expect("no panic"), Err(refused));
        for (id, request) in (2..).zip(good) {
            // After the second death the bad one has to stand in line behind them.
            assert_eq!(request.await.expect("no panic"), Ok(2), "{id}");
        }
        assert_eq!(desk.notices().len(), 5, "three deaths, and two restarts so far");
        assert_eq!(stable.send(ask(50, Deed::Answer)).await, Ok(3));
    });
}

#[test]
fn a_request_waits_while_the_post_is_vacant() {
    on_virtual_time(async {
        let desk = Desk::new();
        let mut guardian = desk.guardian();
        let post = Post::new("clerk", ChildSettings::default());
        let early = spawn_ask(&post.stable(), ask(1, Deed::Answer));
        settle().await;
        let clerks = desk.clone();
        guardian.supervise(post, move |start| {
            let clerk = Clerk { number: start.restarts, desk: clerks.clone(), on_retire: OnRetire::Stop };
            async move {
                sleep(seconds(3600)).await;
                Ok::<_, String>(clerk)
            }
        });
        let begun = Instant::now();
        assert_eq!(early.await.expect("no panic"), Ok(0));
        assert_eq!(begun.elapsed(), seconds(3600));
    });
}

#[test]
fn handles_and_their_requests_cross_threads_even_if_the_child_cannot() {
    struct Rooted(#[expect(dead_code, reason = "it is what cannot cross")] std::rc::Rc<()>);
    impl Actor for Rooted {
        type Context = Context<Self>;
    }
    impl Handler<Ask> for Rooted {
        type Result = u64;

        fn handle(&mut self, ask: Ask, _: &mut Context<Self>) -> u64 {
            u64::from(ask.id)
        }
    }
    impl Handler<Retire> for Rooted {
        type Result = ();

        fn handle(&mut self, _: Retire, context: &mut Context<Self>) {
            context.stop();
        }
    }
    System::new().block_on(async {
        let mut guardian = Guardian::new(|_| {});
        let stable = guardian.supervise(Post::new("rooted", ChildSettings::default()), |_| async {
            Ok::<_, String>(Rooted(std::rc::Rc::default()))
        });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
        let asking = runtime.spawn(async move { stable.send(ask(7, Deed::Answer)).await });
        assert_eq!(asking.await.expect("no panic"), Ok(7));
        runtime.shutdown_background();
    });
}

#[test]
fn a_post_that_is_never_filled_is_lost() {
    on_virtual_time(async {
        let post = Post::<Clerk>::new("clerk", ChildSettings::default());
        let request = spawn_ask(&post.stable(), ask(1, Deed::Answer));
        settle().await;
        drop(post);
        assert_eq!(request.await.expect("no panic"), Err(Unreachable::Lost { child: "clerk" }));
    });
}

#[test]
fn patience_ends_a_wait_for_an_answer_a_child_and_room() {
    let patience = seconds(7);
    let passed = Unreachable::DeadlinePassed { child: "clerk", patience };
    on_virtual_time(async {
        let desk = Desk::new();
        let vacant = Post::<Clerk>::new("clerk", ChildSettings::default());
        let mut guardian = desk.guardian();
        let settings = ChildSettings { requests_max: 1, ..ChildSettings::default() };
        let stable = desk.supervise(&mut guardian, settings);
        let held = ask(1, Deed::Hold);
        let begun = Instant::now();
        assert_eq!(vacant.stable().within(patience).send(held).await, Err(passed.clone()));
        assert_eq!(stable.clone().within(patience).send(held).await, Err(passed.clone()));
        let in_the_way = spawn_ask(&stable, held);
        settle().await;
        assert_eq!(stable.clone().within(patience).send(held).await, Err(passed));
        assert_eq!(begun.elapsed(), 3 * patience);
        assert_eq!(desk.served().len(), 2, "the last one never came to a clerk");
        desk.gate.add_permits(2);
        assert_eq!(in_the_way.await.expect("no panic"), Ok(0));
        // What was given up left its room.
        assert_eq!(stable.send(ask(2, Deed::Answer)).await, Ok(0));
    });
}

#[test]
fn a_full_mailbox_makes_senders_wait_and_drops_nothing() {
    on_virtual_time(async {
        let desk = Desk::new();
        let mut guardian = desk.guardian();
        let settings = ChildSettings { requests_max: 2, ..ChildSettings::default() };
        let stable = desk.supervise(&mut guardian, settings);
        let requests: Vec<_> = (0..10).map(|id| spawn_ask(&stable, ask(id, Deed::Hold))).collect();
        for answered in 0..9 {
            settle().await;
            assert_eq!(desk.served().len(), (answered + 2).min(10), "{answered} answered");
            desk.gate.add_permits(1);
        }
        desk.gate.add_permits(1);
        for request in requests {
            assert_eq!(request.await.expect("no panic"), Ok(0));
        }
        let ids: Vec<u32> = desk.served().into_iter().map(|(_, id)| id).collect();
        assert_eq!(ids, (0..10).collect::<Vec<_>>());
    });
}
