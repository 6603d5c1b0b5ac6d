//! Both ways over one connection: `GET /api/v1/ws`.
//!
//! In: `{"id": "any text", "command": {"pause-backup": {"task": null}}}`, and `command_id` if the sender numbers
//! its commands. Out: `{"id", "reply": {"pause-backup": {…}}}` or `{"id", "error": {…}}` in the order in which they
//! are ready, and `{"event": {…}}`, `{"progress": {…}}`, `{"missed": {"after": 7}}` as over server-sent events.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{AggregatedMessage, CloseCode, CloseReason};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use keepwell_actors::{Handle, Told};
use keepwell_messages::CommandId;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::events::{From, Listeners};
use super::peer::Peer;
use crate::doors::{COMMAND_BYTES_MAX, DoorError, Kind, Listening, Turns, read_command};

/// Bytes of one connection's commands that are not answered yet; further ones wait in its socket.
const TAKEN_BYTES_MAX: usize = 32 * COMMAND_BYTES_MAX;
/// An identifier longer than this is no identifier.
const ID_BYTES_MAX: usize = 256;
/// How often a silent peer is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A peer that says nothing for so long while it is listened to is gone.
const SILENT_MAX: Duration = Duration::from_secs(60);

/// A command as it comes in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    id: String,
    command_id: Option<CommandId>,
    command: serde_json::Map<String, Value>,
}

/// Opens the connection.
pub async fn socket(
    request: HttpRequest,
    body: web::Payload,
    from: web::Query<From>,
    handle: web::Data<Handle>,
    listeners: web::Data<Listeners>,
) -> Result<HttpResponse, DoorError> {
    let (response, session, messages) = actix_ws::handle(&request, body).map_err(|error| {
        DoorError::new(Kind::WrongProtocol, format!("here a WebSocket is to be opened: {error}"))
    })?;
    let place = listeners.enter()?;
    let listening = Listening::new(&handle, from.after)
        .ok_or_else(|| DoorError::new(Kind::Unavailable, "the system is shutting down"))?;
    let messages = messages
        .max_frame_size(COMMAND_BYTES_MAX)
        .aggregate_continuations()
        .max_continuation_size(COMMAND_BYTES_MAX);
    let handle = handle.get_ref().clone();
    actix_web::rt::spawn(async move {
        let _place = place;
        let mut peer = Peer::new(session);
        let reason = converse(&handle, &mut peer, messages, listening).await;
        // It may be gone.
        let _ = peer.close(reason).await;
    });
    Ok(response)
}

async fn converse(
    handle: &Handle,
    peer: &mut Peer,
    mut messages: actix_ws::AggregatedMessageStream,
    mut listening: Listening,
) -> CloseReason {
    let turns = Turns::default();
    let (mut answers, mut taken_bytes) = (FuturesUnordered::new(), 0);
    let mut ping = interval(PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        let listens = answers.len() < Turns::TAKEN_MAX && taken_bytes < TAKEN_BYTES_MAX;
        let text = tokio::select! {
            message = messages.next(), if listens => {
                heard = Instant::now();
                match message {
                    Some(Ok(AggregatedMessage::Text(text))) => {
                        taken_bytes += text.len();
                        answers.push(answer(handle, &turns, text.to_string()));
                        continue;
                    }
                    Some(Ok(AggregatedMessage::Ping(bytes))) => {
                        if peer.pong(&bytes).await.is_err() {
                            return CloseCode::Away.into();
                        }
                        continue;
                    }
                    Some(Ok(AggregatedMessage::Pong(_))) => continue,
                    Some(Ok(AggregatedMessage::Binary(_))) => return CloseCode::Unsupported.into(),
                    Some(Ok(AggregatedMessage::Close(_))) | None => return CloseCode::Normal.into(),
                    Some(Err(_)) => return CloseCode::Protocol.into(),
                }
            },
            Some((answer, bytes)) = answers.next() => {
                taken_bytes -= bytes;
                answer
            }
            told = listening.next() => match told {
                Some(Told::Event(event)) => json!({"event": &*event}).to_string(),
                Some(Told::Progress(progress)) => json!({"progress": &*progress}).to_string(),
                Some(Told::Missed { after }) => json!({"missed": {"after": after}}).to_string(),
                None => return CloseCode::Restart.into(),
            },
            _ = ping.tick() => {
                if !listens {
                    heard = Instant::now();
                }
                if heard.elapsed() > SILENT_MAX || peer.ping().await.is_err() {
                    return CloseCode::Away.into();
                }
                continue;
            }
        };
        let began = Instant::now();
        if peer.tell(text).await.is_err() {
            return CloseCode::Away.into();
        }
        // It was not listened to meanwhile.
        heard += began.elapsed();
    }
}

/// The answer to a message, and the message's bytes.
async fn answer(handle: &Handle, turns: &Turns, text: String) -> (String, usize) {
    (answered(handle, turns, &text).await, text.len())
}

async fn answered(handle: &Handle, turns: &Turns, text: &str) -> String {
    let asked: Asked = match serde_json::from_str(text) {
        Ok(asked) => asked,
        Err(error) => {
            let message = format!("this is not {{\"id\", \"command\"}}: {error}");
            return told_error(None, &DoorError::new(Kind::BadBody, message));
        }
    };
    if asked.id.len() > ID_BYTES_MAX {
        let message = format!("the id is longer than {ID_BYTES_MAX} bytes");
        return told_error(None, &DoorError::new(Kind::BadBody, message));
    }
    let id = Some(asked.id.as_str());
    let mut commands = asked.command.into_iter();
    let (Some((name, fields)), None) = (commands.next(), commands.next()) else {
        let error = DoorError::new(Kind::BadBody, "command is not {\"name\": {fields}}");
        return told_error(id, &error);
    };
    let carried_out = match read_command(&name, fields.to_string().as_bytes()) {
        Ok(command) => turns.carry_out(handle, command, asked.command_id).await,
        Err(error) => Err(error),
    };
    match carried_out {
        Ok(reply) => json!({"id": id, "reply": reply}).to_string(),
        Err(error) => told_error(id, &error),
    }
}

fn told_error(id: Option<&str>, error: &DoorError) -> String {
    let DoorError { code, message, hint, .. } = error;
    json!({"id": id, "error": {"code": code, "message": message, "hint": hint}}).to_string()
}
