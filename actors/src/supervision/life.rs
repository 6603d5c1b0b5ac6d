//! One actor's life: a future that ends with the actor, a panic included.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use actix::dev::ContextFut;
use actix::{Actor, ActorContext, Context};

use super::death::{Death, caught};

/// Runs an actor; ready once, when it has stopped or panicked.
///
/// The mailbox closes when this is dropped, not before: whoever runs a life tells of the death first, so that
/// a sender who finds the mailbox closed finds the death, too. Dropped early it kills the actor. In every case
/// but an orderly stop the actor's code does not run again, `stopping` and `stopped` included.
pub(super) struct Life<A: Actor<Context = Context<A>>> {
    body: Option<ContextFut<A, Context<A>>>,
}

impl<A: Actor<Context = Context<A>>> Life<A> {
    pub(super) fn new(context: Context<A>, actor: A) -> Self {
        Self { body: Some(context.into_future(actor)) }
    }
}

impl<A: Actor<Context = Context<A>>> Future for Life<A> {
    type Output = Death;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Death> {
        let body = self.body.as_mut().expect("only drop takes the body");
        match caught(|| Pin::new(body).poll(cx)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(Death::Stopped),
            Err(panic) => Poll::Ready(Death::Crashed(panic)),
        }
    }
}

impl<A: Actor<Context = Context<A>>> Drop for Life<A> {
    fn drop(&mut self) {
        let Some(mut body) = self.body.take() else { return };
        // Without this actix would run `stopping` and `stopped` of an actor that has panicked.
        body.ctx().terminate();
        if let Err(panic) = caught(|| drop(body)) {
            tracing::error!(actor = std::any::type_name::<A>(), panic, "panicked while it was dropped");
        }
    }
}
