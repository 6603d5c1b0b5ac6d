//! Answers that are given later: when something was written down, or a child has answered.
//!
//! An actor that owes an answer keeps an [`Owed`]. If the actor dies it is dropped with it, the request
//! counts as unanswered, and a stable handle sends it again. Unlike a future for each answer it costs the
//! actor's context nothing while it waits.

use std::cell::RefCell;
use std::rc::Rc;

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Actor, Message};

/// What a handler returns.
pub enum Answer<R> {
    /// This.
    Now(R),
    /// It will be given.
    Later(Later<R>),
}

/// The sender's side of an answer that is owed.
pub struct Later<R>(Rc<RefCell<State<R>>>);

/// The answer that an actor owes. Dropped, it leaves the request unanswered.
pub struct Owed<R>(Rc<RefCell<State<R>>>);

enum State<R> {
    /// The handler has not returned yet.
    Open,
    /// Given before the handler returned.
    Given(R),
    /// The handler has returned, and somebody waits.
    Awaited(OneshotSender<R>),
    /// Nobody waits, or the answer was sent.
    Done,
}

impl<R> Owed<R> {
    /// An answer to be given, and what the handler returns for it.
    pub fn new() -> (Self, Answer<R>) {
        let state = Rc::new(RefCell::new(State::Open));
        (Self(state.clone()), Answer::Later(Later(state)))
    }

    /// Gives it. A sender that has gone away misses nothing that it waits for.
    pub fn give(self, answer: R) {
        let before = self.0.replace(State::Done);
        match before {
            State::Open => drop(self.0.replace(State::Given(answer))),
            State::Awaited(sender) => drop(sender.send(answer)),
            State::Given(_) | State::Done => {}
        }
    }
}

impl<R> Drop for Owed<R> {
    fn drop(&mut self) {
        let state = self.0.replace(State::Done);
        if let State::Given(_) = &state {
            self.0.replace(state);
        }
    }
}

impl<A, M, R> MessageResponse<A, M> for Answer<R>
where
    A: Actor,
    M: Message<Result = R>,
    R: 'static,
{
    fn handle(self, _: &mut A::Context, sender: Option<OneshotSender<R>>) {
        let Some(sender) = sender else { return };
        match self {
            Self::Now(answer) => drop(sender.send(answer)),
            Self::Later(Later(state)) => match state.replace(State::Done) {
                State::Open => drop(state.replace(State::Awaited(sender))),
                State::Given(answer) => drop(sender.send(answer)),
                State::Awaited(_) | State::Done => {}
            },
        }
    }
}
