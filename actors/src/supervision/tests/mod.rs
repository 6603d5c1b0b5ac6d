//! Tests with tiny actors, on virtual time wherever no second thread is needed.

mod deaths;
mod delivery;
mod faults;
mod intensity;
mod random;
mod retiring;
mod watched;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, Context, Handler, Message, ResponseActFuture, ResponseFuture,
    System, WrapFuture,
};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::yield_now;

use super::*;

/// Runs a test on an actix system whose clock jumps to the next timer whenever nothing else is to be done.
fn on_virtual_time<T>(test: impl Future<Output = T>) -> T {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().expect("a runtime")
    };
    System::with_tokio_rt(runtime).block_on(test)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Lets everything run that can run without time going on.
async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

/// What a test sees of its clerks, and how it steers them.
struct Desk {
    /// Which clerk began to serve which request, in order.
    served: Mutex<Vec<(u64, u32)>>,
    notices: Mutex<Vec<Notice>>,
    /// Held requests are answered, and reluctant clerks retire, when this gives permits.
    gate: Semaphore,
    faults: Faults,
}

impl Desk {
    fn new() -> Arc<Self> {
        Self::with(Faults::default())
    }

    fn with(faults: Faults) -> Arc<Self> {
        Arc::new(Self {
            served: Mutex::default(),
            notices: Mutex::default(),
            gate: Semaphore::new(0),
            faults,
        })
    }

    fn guardian(self: &Arc<Self>) -> Guardian {
        let desk = self.clone();
        Guardian::new(move |notice| desk.notices.lock().push(notice))
    }

    /// One clerk after the other, who are numbered from 0.
    fn supervise(self: &Arc<Self>, guardian: &mut Guardian, settings: ChildSettings) -> Stable<Clerk> {
        let desk = self.clone();
        guardian.supervise(Post::new("clerk", settings), move |start| {
            let clerk = Clerk { number: start.restarts, desk: desk.clone(), on_retire: OnRetire::Stop };
            async move { Ok::<_, String>(clerk) }
        })
    }

    fn served(&self) -> Vec<(u64, u32)> {
        self.served.lock().clone()
    }

    fn notices(&self) -> Vec<Notice> {
        self.notices.lock().clone()
    }
}

struct Clerk {
    number: u64,
    desk: Arc<Desk>,
    on_retire: OnRetire,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnRetire {
    Stop,
    Panic,
    Ignore,
    StopAtGate,
}

impl Actor for Clerk {
    type Context = Context<Self>;
}

impl Handler<Retire> for Clerk {
    type Result = ();

    fn handle(&mut self, _: Retire, context: &mut Context<Self>) {
        match self.on_retire {
            OnRetire::Stop => context.stop(),
            OnRetire::Panic => panic!("retiring is hard"),
            OnRetire::Ignore => {}
            OnRetire::StopAtGate => {
                let desk = self.desk.clone();
                let gate = async move { desk.gate.acquire().await.expect("open").forget() };
                actix::AsyncContext::spawn(
                    context,
                    gate.into_actor(self).map(|(), _, context| context.stop()),
                );
            }
        }
    }
}

/// A request; answered with the number of the clerk.
#[derive(Clone, Copy, Debug)]
struct Ask {
    id: u32,
    deed: Deed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Answer,
    /// Every clerk panics over it.
    Panic,
    /// The first clerk panics over it.
    PanicFirst,
    Stop,
    /// Answered at the gate.
    Hold,
}

impl Message for Ask {
    type Result = u64;
}

impl Handler<Ask> for Clerk {
    type Result = ResponseActFuture<Self, u64>;

    fn handle(&mut self, ask: Ask, context: &mut Context<Self>) -> Self::Result {
        self.desk.faults.point("clerk.ask", context);
        self.desk.served.lock().push((self.number, ask.id));
        match ask.deed {
            Deed::Answer | Deed::Hold => {}
            Deed::Panic => panic!("cannot stand request {}", ask.id),
            Deed::PanicFirst => assert!(self.number > 0, "the first clerk cannot do it"),
            Deed::Stop => context.stop(),
        }
        self.desk.faults.point("clerk.ask.end", context);
        let desk = self.desk.clone();
        let number = self.number;
        let held = async move {
            if ask.deed == Deed::Hold {
                desk.gate.acquire().await.expect("open").forget();
            }
            number
        };
        Box::pin(held.into_actor(self))
    }
}

/// A request whose answer is made outside of the actor, and panics there.
#[derive(Clone, Copy, Debug)]
struct Astray;

impl Message for Astray {
    type Result = ();
}

impl Handler<Astray> for Clerk {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Astray, _: &mut Context<Self>) -> Self::Result {
        Box::pin(async { panic!("nobody sees this") })
    }
}

fn ask(id: u32, deed: Deed) -> Ask {
    Ask { id, deed }
}

/// Sends in a task of its own.
fn spawn_ask(stable: &Stable<Clerk>, request: Ask) -> tokio::task::JoinHandle<Result<u64, Unreachable>> {
    let stable = stable.clone();
    actix_rt::spawn(async move { stable.send(request).await })
}
