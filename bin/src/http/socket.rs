//! Both ways over one connection: `GET /api/v1/ws`.
//!
//! In: `{"id": "any text", "command": {"pause-backup": {"task": null}}}`, and `command_id` if the sender numbers
//! its commands. Out: `{"id", "reply": {"pause-backup": {…}}}` or `{"id", "error": {…}}` in the order in which they
//! are ready, and `{"event": {…}}`, `{"progress": {…}}`, `{"missed": {"after": 7}}` as over server-sent events.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{AggregatedMessage, CloseCode, CloseReason, Session};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use keepwell_actors::{Handle, Told};
use keepwell_messages::CommandId;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::events::{From, Listeners};
use crate::doors::{COMMAND_BYTES_MAX, DoorError, Kind, Listening, perform};

/// Commands of one connection that are carried out at once; further ones wait in its socket.
const COMMANDS_AT_ONCE: usize = 32;
/// An identifier longer than this is no identifier.
const ID_BYTES_MAX: usize = 256;
/// How often a silent peer is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A peer that says nothing for so long is gone.
const SILENT_MAX: Duration = Duration::from_secs(60);
/// A peer that takes nothing for so long is as good as gone: it comes back by the number that it has seen.
const SEND_WITHIN: Duration = Duration::from_secs(60);

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
) -> Result<HttpResponse, actix_web::Error> {
    let place = listeners.enter()?;
    let listening = Listening::new(&handle, from.after)
        .ok_or_else(|| DoorError::new(Kind::Unavailable, "the system is shutting down"))?;
    let (response, session, messages) = actix_ws::handle(&request, body)?;
    let messages = messages
        .max_frame_size(COMMAND_BYTES_MAX)
        .aggregate_continuations()
        .max_continuation_size(COMMAND_BYTES_MAX);
    let handle = handle.get_ref().clone();
    actix_web::rt::spawn(async move {
        let _place = place;
        let reason = converse(&handle, session.clone(), messages, listening).await;
        // The peer may be gone.
        let _ = session.close(Some(reason)).await;
    });
    Ok(response)
}

async fn converse(
    handle: &Handle,
    mut session: Session,
    mut messages: actix_ws::AggregatedMessageStream,
    mut listening: Listening,
) -> CloseReason {
    let mut answers = FuturesUnordered::new();
    let mut ping = interval(PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        let text = tokio::select! {
            message = messages.next(), if answers.len() < COMMANDS_AT_ONCE => {
                heard = Instant::now();
                match message {
                    Some(Ok(AggregatedMessage::Text(text))) => {
                        answers.push(answer(handle, text.to_string()));
                        continue;
                    }
                    Some(Ok(AggregatedMessage::Ping(bytes))) => {
                        if session.pong(&bytes).await.is_err() {
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
            Some(answer) = answers.next() => answer,
            told = listening.next() => match told {
                Some(Told::Event(event)) => json!({"event": &*event}).to_string(),
                Some(Told::Progress(progress)) => json!({"progress": &*progress}).to_string(),
                Some(Told::Missed { after }) => json!({"missed": {"after": after}}).to_string(),
                None => return CloseCode::Restart.into(),
            },
            _ = ping.tick() => {
                if heard.elapsed() > SILENT_MAX || session.ping(b"").await.is_err() {
                    return CloseCode::Away.into();
                }
                continue;
            }
        };
        match timeout(SEND_WITHIN, session.text(text)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return CloseCode::Away.into(),
        }
    }
}

async fn answer(handle: &Handle, text: String) -> String {
    let asked: Asked = match serde_json::from_str(&text) {
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
    match perform(handle, &name, fields.to_string().as_bytes(), asked.command_id).await {
        Ok(reply) => json!({"id": id, "reply": reply}).to_string(),
        Err(error) => told_error(id, &error),
    }
}

fn told_error(id: Option<&str>, error: &DoorError) -> String {
    let DoorError { code, message, hint, .. } = error;
    json!({"id": id, "error": {"code": code, "message": message, "hint": hint}}).to_string()
}
