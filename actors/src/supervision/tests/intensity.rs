//! Restart intensity: its arithmetic, and what everybody sees when it is reached.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::{Instant, advance, sleep};

use super::super::intensity::RestartLog;
use super::*;

#[test]
fn delays_grow_within_the_window_and_end_with_it() {
    on_virtual_time(async {
        let mut log = RestartLog::new(Intensity::default());
        let delays: Vec<_> = (0..7).map(|_| log.next_restart(Instant::now())).collect();
        let millis = |millis| Some(Duration::from_millis(millis));
        assert_eq!(
            delays,
            [Some(Duration::ZERO), millis(100), millis(200), millis(400), millis(800), None, None]
        );
        advance(RESTARTS_WINDOW - Duration::from_millis(1)).await;
        assert_eq!(log.next_restart(Instant::now()), None);
        advance(Duration::from_millis(1)).await;
        assert_eq!(log.next_restart(Instant::now()), Some(Duration::ZERO));
    });
}

#[test]
fn the_window_slides() {
    on_virtual_time(async {
        let mut log = RestartLog::new(Intensity::default());
        // One death every 12 s never makes more than five in 60 s.
        for _ in 0..1000 {
            assert!(log.next_restart(Instant::now()).is_some());
            advance(seconds(12)).await;
        }
    });
}

#[test]
fn no_restarts_means_one_life() {
    on_virtual_time(async {
        let desk = Desk::new();
        let mut guardian = desk.guardian();
        let intensity = Intensity { restarts_max: 0, ..Intensity::default() };
        let stable = desk.supervise(&mut guardian, ChildSettings { intensity, ..ChildSettings::default() });
        let refused = stable.send(ask(1, Deed::Panic)).await;
        assert!(matches!(refused, Err(Unreachable::GaveUp { restarts: 0, .. })), "{refused:?}");
    });
}

#[test]
fn when_the_intensity_is_reached_everybody_is_told_why() {
    on_virtual_time(async {
        let desk = Desk::new();
        let mut guardian = desk.guardian();
        let settings = ChildSettings { deliveries_max: u32::MAX, ..ChildSettings::default() };
        let stable = desk.supervise(&mut guardian, settings);
        let begun = Instant::now();
        let held: Vec<_> = (2..5).map(|id| spawn_ask(&stable, ask(id, Deed::Hold))).collect();
        let patient = stable.clone();
        let closed = actix_rt::spawn(async move { patient.closed().await });
        let bad = spawn_ask(&stable, ask(1, Deed::Panic));
        let last = Death::Crashed("cannot stand request 1".into());
        let why = Unreachable::GaveUp { child: "clerk", restarts: RESTARTS_MAX, last: last.clone() };
        assert_eq!(bad.await.expect("no panic"), Err(why.clone()));
        for request in held {
            assert_eq!(request.await.expect("no panic"), Err(why.clone()));
        }
        assert_eq!(closed.await.expect("no panic"), why);
        assert_eq!(stable.send(ask(6, Deed::Answer)).await, Err(why.clone()), "who comes later, too");
        assert!(begun.elapsed() < RESTARTS_WINDOW);

        let notices = desk.notices();
        let died = Notice::Died { child: "clerk", death: last };
        assert_eq!(notices.iter().filter(|&notice| *notice == died).count(), 6);
        assert_eq!(notices.last(), Some(&Notice::GaveUp { child: "clerk", why }));
        assert_eq!(notices.len(), 6 + 5 + 1);
        assert_eq!(guardian.shutdown().await, [], "who was given up has ended");
    });
}

#[test]
fn a_factory_that_fails_is_tried_again_within_the_intensity() {
    on_virtual_time(async {
        let desk = Desk::new();
        let mut guardian = desk.guardian();
        let clerks = desk.clone();
        let stable = guardian.supervise(Post::new("clerk", ChildSettings::default()), move |start| {
            assert!(start.restarts != 0, "the journal is on fire");
            let clerk = Clerk { number: start.restarts, desk: clerks.clone(), on_retire: OnRetire::Stop };
            async move {
                sleep(seconds(1)).await;
                assert!(clerk.number != 1, "the journal smoulders");
                if clerk.number < 4 { Err("the journal is wet") } else { Ok(clerk) }
            }
        });
        assert_eq!(stable.send(ask(1, Deed::Answer)).await, Ok(4));
        let not_started = |why: &str| Notice::Died { child: "clerk", death: Death::NotStarted(why.into()) };
        let expected = [
            not_started("its start panicked: the journal is on fire"),
            not_started("its start panicked: the journal smoulders"),
            not_started("the journal is wet"),
            not_started("the journal is wet"),
            Notice::Restarted { child: "clerk", restarts: 4 },
        ];
        assert_eq!(desk.notices(), expected);
    });
}

#[test]
fn a_factory_that_always_fails_is_given_up() {
    on_virtual_time(async {
        let desk = Desk::new();
        let mut guardian = desk.guardian();
        let starts = Arc::new(AtomicU64::new(0));
        let counted = starts.clone();
        let stable = guardian.supervise(Post::<Clerk>::new("clerk", ChildSettings::default()), move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Err::<Clerk, _>("no journal") }
        });
        let last = Death::NotStarted("no journal".into());
        let why = Unreachable::GaveUp { child: "clerk", restarts: RESTARTS_MAX, last };
        assert_eq!(stable.send(ask(1, Deed::Answer)).await, Err(why.clone()));
        assert_eq!(starts.load(Ordering::Relaxed), 6);
        assert_eq!(
            why.to_string(),
            "clerk was given up after 5 restarts in a short time; the last time it could not be started: no journal"
        );
    });
}

#[test]
fn an_owner_that_panics_over_a_notice_ends_no_supervision() {
    on_virtual_time(async {
        let mut guardian = Guardian::new(|_| panic!("bad news"));
        let stable = Desk::new().supervise(&mut guardian, ChildSettings::default());
        assert_eq!(stable.send(ask(1, Deed::PanicFirst)).await, Ok(1));
    });
}
