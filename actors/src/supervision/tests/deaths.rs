//! A crash is noticed wherever it happens; and what actix does that makes it so.

use std::pin::pin;

use actix::{Addr, Arbiter, AsyncContext, Running, StreamHandler};
use tokio::time::sleep;

use super::*;

/// Where an actor panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Started,
    Handler,
    ActFuture,
    Spawned,
    Waited,
    Interval,
    Stream,
    Stopping,
    Stopped,
    TerminatedStopped,
}

const PLACES: [Place; 10] = [
    Place::Started,
    Place::Handler,
    Place::ActFuture,
    Place::Spawned,
    Place::Waited,
    Place::Interval,
    Place::Stream,
    Place::Stopping,
    Place::Stopped,
    Place::TerminatedStopped,
];

struct Fragile {
    place: Option<Place>,
    in_drop: bool,
}

impl Fragile {
    fn pass(&self, here: Place) {
        assert!(self.place != Some(here), "panic in {here:?}");
    }
}

impl Actor for Fragile {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        self.pass(Place::Started);
        match self.place {
            Some(Place::Spawned) => {
                context
                    .spawn(sleep(seconds(1)).into_actor(self).map(|(), this, _| this.pass(Place::Spawned)));
            }
            Some(Place::Waited) => {
                context.wait(sleep(seconds(1)).into_actor(self).map(|(), this, _| this.pass(Place::Waited)));
            }
            Some(Place::Interval) => {
                context.run_interval(seconds(1), |this, _| this.pass(Place::Interval));
            }
            Some(Place::Stream) => {
                Self::add_stream(tokio_stream(), context);
            }
            Some(Place::Stopping | Place::Stopped) => context.stop(),
            Some(Place::TerminatedStopped) => context.terminate(),
            _ => {}
        }
    }

    fn stopping(&mut self, _: &mut Context<Self>) -> Running {
        self.pass(Place::Stopping);
        Running::Stop
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.pass(Place::Stopped);
        self.pass(Place::TerminatedStopped);
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(!self.in_drop, "panic in drop");
    }
}

/// One item, at once.
fn tokio_stream() -> impl actix::prelude::Stream<Item = ()> {
    struct Once(bool);
    impl actix::prelude::Stream for Once {
        type Item = ();

        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<()>> {
            std::task::Poll::Ready((!std::mem::replace(&mut self.0, true)).then_some(()))
        }
    }
    Once(false)
}

impl StreamHandler<()> for Fragile {
    fn handle(&mut self, (): (), _: &mut Context<Self>) {
        self.pass(Place::Stream);
    }
}

impl Handler<Retire> for Fragile {
    type Result = ();

    fn handle(&mut self, _: Retire, context: &mut Context<Self>) {
        context.stop();
    }
}

#[derive(Clone, Copy)]
struct Touch;

impl Message for Touch {
    type Result = bool;
}

/// Answers whether it is one that does not panic.
impl Handler<Touch> for Fragile {
    type Result = ResponseActFuture<Self, bool>;

    fn handle(&mut self, _: Touch, _: &mut Context<Self>) -> Self::Result {
        self.pass(Place::Handler);
        let answer = sleep(seconds(5)).into_actor(self).map(|(), this, _| {
            this.pass(Place::ActFuture);
            this.place.is_none() && !this.in_drop
        });
        Box::pin(answer)
    }
}

#[test]
fn a_crash_is_noticed_wherever_it_happens() {
    for place in PLACES {
        on_virtual_time(async move {
            let desk = Desk::new();
            let mut guardian = desk.guardian();
            let stable = guardian.supervise(Post::new("fragile", ChildSettings::default()), move |start| {
                let place = (start.restarts == 0).then_some(place);
                async move { Ok::<_, String>(Fragile { place, in_drop: false }) }
            });
            assert_eq!(stable.send(Touch).await, Ok(true), "{place:?}");
            let death = Death::Crashed(format!("panic in {place:?}"));
            let expected = [
                Notice::Died { child: "fragile", death },
                Notice::Restarted { child: "fragile", restarts: 1 },
            ];
            assert_eq!(desk.notices(), expected, "{place:?}");
            assert_eq!(guardian.shutdown().await, []);
        });
    }
}

#[test]
fn a_panic_in_drop_ends_neither_the_process_nor_the_supervision() {
    // Alone, and after a panic of the handler: that would abort the process if the actor were dropped while
    // the stack unwinds.
    for (place, death) in [
        (Place::Handler, Death::Crashed("panic in Handler".into())),
        (Place::Stopping, Death::Crashed("panic in Stopping".into())),
    ] {
        on_virtual_time(async move {
            let desk = Desk::new();
            let mut guardian = desk.guardian();
            let stable = guardian.supervise(Post::new("fragile", ChildSettings::default()), move |start| {
                let first = start.restarts == 0;
                async move { Ok::<_, String>(Fragile { place: first.then_some(place), in_drop: first }) }
            });
            assert_eq!(stable.send(Touch).await, Ok(true), "{place:?}");
            assert_eq!(desk.notices()[0], Notice::Died { child: "fragile", death });
        });
    }
}

#[test]
fn a_panic_outside_of_the_actor_kills_none_and_the_sender_learns_of_it() {
    on_virtual_time(async {
        let desk = Desk::new();
        let mut guardian = desk.guardian();
        let stable = desk.supervise(&mut guardian, ChildSettings::default());
        assert_eq!(stable.send(Astray).await, Err(Unreachable::Unanswered { child: "clerk" }));
        assert_eq!(stable.send(ask(1, Deed::Answer)).await, Ok(0));
        assert_eq!(desk.notices(), []);
    });
}

#[test]
fn an_unasked_stop_is_a_death() {
    on_virtual_time(async {
        let desk = Desk::new();
        let mut guardian = desk.guardian();
        let stable = desk.supervise(&mut guardian, ChildSettings::default());
        let stopped = stable.send(ask(1, Deed::Stop)).await;
        assert!(matches!(stopped, Err(Unreachable::Suspect { deaths: 3, last: Death::Stopped, .. })));
        assert_eq!(stable.send(ask(2, Deed::Answer)).await, Ok(3));
        assert_eq!(desk.notices()[0], Notice::Died { child: "clerk", death: Death::Stopped });
    });
}

#[test]
fn long_panic_texts_are_cut_between_characters() {
    let text = "ä".repeat(DEATH_TEXT_BYTES_MAX);
    let caught = super::super::death::caught(|| panic!("x{text}"));
    let expected = format!("x{}", "ä".repeat((DEATH_TEXT_BYTES_MAX - 1) / 2));
    assert_eq!(caught, Err::<(), _>(expected));
    let caught = super::super::death::caught(|| std::panic::panic_any(7));
    assert_eq!(caught, Err::<(), _>("a panic without a text".into()));
}

/// A death on another thread: the sender sees its request dropped while the stack there still unwinds.
#[test]
fn crashes_on_another_thread_are_told_from_dropped_answers() {
    System::new().block_on(async {
        let arbiter = Arbiter::new();
        let desk = Desk::new();
        let mut guardian = desk.guardian();
        let intensity = Intensity { restarts_max: u32::MAX, ..Intensity::default() };
        let backoff = crate::retry::Backoff { base: Duration::ZERO, cap: Duration::ZERO };
        let settings = ChildSettings {
            intensity: Intensity { backoff, ..intensity },
            deliveries_max: 2,
            ..ChildSettings::default()
        };
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let clerks = desk.clone();
        arbiter.spawn_fn(move || {
            let stable = clerks.supervise(&mut guardian, settings);
            drop(sender.send((guardian, stable)));
        });
        let (guardian, stable) = receiver.await.expect("the arbiter runs");
        for id in 0..200 {
            let refused = stable.send(ask(id, Deed::Panic)).await;
            assert!(matches!(refused, Err(Unreachable::Suspect { deaths: 2, .. })), "{id}: {refused:?}");
            assert_eq!(stable.send(Astray).await, Err(Unreachable::Unanswered { child: "clerk" }), "{id}");
        }
        assert_eq!(guardian.shutdown().await, []);
        arbiter.stop();
        arbiter.join().expect("it ends");
    });
}

#[test]
fn a_stopped_arbiter_closes_its_posts() {
    System::new().block_on(async {
        let arbiter = Arbiter::new();
        let desk = Desk::new();
        let mut guardian = desk.guardian();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let clerks = desk.clone();
        arbiter.spawn_fn(move || {
            let stable = clerks.supervise(&mut guardian, ChildSettings::default());
            drop(sender.send((guardian, stable)));
        });
        let (guardian, stable) = receiver.await.expect("the arbiter runs");
        let held = spawn_ask(&stable, ask(1, Deed::Hold));
        assert_eq!(stable.send(ask(2, Deed::Answer)).await, Ok(0));
        arbiter.stop();
        let lost = Unreachable::Lost { child: "clerk" };
        assert_eq!(held.await.expect("no panic"), Err(lost.clone()));
        assert_eq!(stable.send(ask(3, Deed::Answer)).await, Err(lost.clone()));
        assert_eq!(stable.closed().await, lost);
        let stragglers = guardian.shutdown().await;
        assert_eq!(stragglers, [Straggler { child: "clerk", how: StragglerEnd::Lost }]);
        arbiter.join().expect("it ends");
    });
}

/// Why [`Stable`] counts requests: actix's bound does not hold for `send`.
#[test]
fn actix_itself_does_not_wait_for_room() {
    #[derive(Clone)]
    struct Token(#[expect(dead_code, reason = "counted by its owner")] Arc<()>);
    impl Message for Token {
        type Result = ();
    }
    struct Busy;
    impl Actor for Busy {
        type Context = Context<Self>;

        fn started(&mut self, context: &mut Context<Self>) {
            context.set_mailbox_capacity(1);
            context.wait(std::future::pending().into_actor(self));
        }
    }
    impl Handler<Token> for Busy {
        type Result = ();

        fn handle(&mut self, _: Token, _: &mut Context<Self>) {}
    }
    on_virtual_time(async {
        let busy: Addr<Busy> = Busy.start();
        settle().await;
        let count = Arc::new(());
        for _ in 0..100 {
            let mut request = pin!(busy.send(Token(count.clone())));
            let nothing = tokio::time::timeout(Duration::ZERO, request.as_mut()).await;
            assert!(nothing.is_err());
        }
        // The requests are dropped; what is left lies in a mailbox with a capacity of 1.
        assert_eq!(Arc::strong_count(&count), 101);
    });
}
