//! Commands by request and reply: `keepwell.NODE.command.NAME`, with the command's fields as body.
//!
//! The header `Keepwell-Command-Id` numbers a command, so that it is carried out once however often it is sent. With
//! `Keepwell-Encoding: bincode` body and answer are versioned bincode: a whole command, and an [`Answer`].

use async_nats::header::HeaderMap;
use async_nats::{Client, Message};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use keepwell_actors::Handle;
use keepwell_engine::codec;
use keepwell_messages::{Answer, Command, CommandId, Failed, MESSAGE_VERSION, Reply};
use serde_json::json;
use tracing::warn;

use super::state::SharedState;
use super::subjects::Subjects;
use crate::doors::{COMMAND_BYTES_MAX, DoorError, Kind, Turns, fields_of, read_command};

/// Numbers a command.
const COMMAND_ID: &str = "Keepwell-Command-Id";
/// Says how body and answer are written, unless as JSON.
const ENCODING: &str = "Keepwell-Encoding";
/// Commands that are carried out, wait for it, or are just being refused; whoever comes then is told to come back.
const TAKEN_MAX: usize = 2 * Turns::TAKEN_MAX;

/// Serves them until the connection is lost.
pub async fn serve(client: &Client, handle: &Handle, subjects: &Subjects, state: &SharedState) {
    let mut requests = match client.subscribe(subjects.commands()).await {
        Ok(requests) => requests,
        Err(error) => {
            let why = format!("commands cannot be heard over the broker: {error}");
            if state.failed(&why) {
                warn!("{why}");
            }
            return;
        }
    };
    let turns = Turns::default();
    let mut taken = FuturesUnordered::new();
    loop {
        tokio::select! {
            request = requests.next() => match request {
                Some(request) => {
                    let has_room = taken.len() < TAKEN_MAX;
                    taken.push(serve_one(client, handle, subjects, request, has_room.then_some(&turns)));
                }
                None => return,
            },
            Some(()) = taken.next() => {}
        }
    }
}

/// Without `turns` there is no room for it.
async fn serve_one(
    client: &Client,
    handle: &Handle,
    subjects: &Subjects,
    request: Message,
    turns: Option<&Turns>,
) {
    let encoding = Encoding::of(request.headers.as_ref());
    let answered = match (&encoding, turns) {
        (_, None) => {
            Err(DoorError::new(Kind::TooMany, format!("{TAKEN_MAX} commands wait already; ask again later")))
        }
        (Err(error), _) => Err(error.clone()),
        (Ok(encoding), Some(turns)) => {
            let name = subjects.command_of(&request.subject);
            carry_out(handle, turns, name, &request, *encoding).await
        }
    };
    let Some(asker) = request.reply else { return };
    let encoding = encoding.unwrap_or(Encoding::Json);
    let mut answer = encoding.write(answered);
    let bytes_max = client.server_info().max_payload;
    if answer.len() > bytes_max {
        let message = format!("the reply takes {} bytes, and the broker lets {bytes_max} pass", answer.len());
        let hint = "ask for less at once with limit, or over HTTP";
        answer = encoding.write(Err(DoorError::new(Kind::TooLarge, message).hint(hint)));
    }
    // If the connection is lost, whoever asked asks again under the same id.
    let _ = client.publish(asker, answer.into()).await;
}

async fn carry_out(
    handle: &Handle,
    turns: &Turns,
    name: &str,
    request: &Message,
    encoding: Encoding,
) -> Result<Reply, DoorError> {
    let id = command_id(request.headers.as_ref())?;
    let command = match encoding {
        Encoding::Json => read_command(name, &request.payload)?,
        Encoding::Bincode => read_bincode(name, &request.payload)?,
    };
    turns.carry_out(handle, command, id).await
}

fn read_bincode(name: &str, body: &[u8]) -> Result<Command, DoorError> {
    let wrong =
        |why: String| DoorError::new(Kind::BadBody, why).hint("docs/messages.md says how bincode is written");
    if body.len() > COMMAND_BYTES_MAX {
        let message = format!("the command takes more than {COMMAND_BYTES_MAX} bytes");
        return Err(DoorError::new(Kind::TooLarge, message));
    }
    match codec::decode_within::<COMMAND_BYTES_MAX, Command>(MESSAGE_VERSION, body) {
        Some(command) if command.name() == name => Ok(command),
        Some(command) => Err(wrong(format!("the subject says {name}, the body {}", command.name()))),
        None => Err(wrong(format!("the body is no command in bincode of version {MESSAGE_VERSION}"))),
    }
}

fn command_id(headers: Option<&HeaderMap>) -> Result<Option<CommandId>, DoorError> {
    let Some(given) = headers.and_then(|headers| headers.get(COMMAND_ID)) else { return Ok(None) };
    let wrong = |_| DoorError::new(Kind::BadBody, format!("the header {COMMAND_ID} is not a UUID"));
    given.as_str().parse().map(Some).map_err(wrong)
}

/// How body and answer are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Json,
    Bincode,
}

impl Encoding {
    fn of(headers: Option<&HeaderMap>) -> Result<Self, DoorError> {
        match headers.and_then(|headers| headers.get(ENCODING)).map(|value| value.as_str()) {
            None | Some("json") => Ok(Self::Json),
            Some("bincode") => Ok(Self::Bincode),
            Some(_) => Err(DoorError::new(
                Kind::BadBody,
                format!("the header {ENCODING} is neither json nor bincode"),
            )),
        }
    }

    fn write(self, answered: Result<Reply, DoorError>) -> Vec<u8> {
        match self {
            Self::Json => match answered {
                Ok(reply) => json!({"ok": fields_of(&reply)}).to_string().into_bytes(),
                Err(error) => serde_json::to_vec(&error.body()).unwrap_or_default(),
            },
            Self::Bincode => {
                let answer: Answer = answered.map_err(|error| {
                    let DoorError { code, message, hint, .. } = error;
                    Failed { code: code.into(), message, hint }
                });
                codec::encode(MESSAGE_VERSION, &answer).unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use keepwell_messages::{GetItems, ItemRemoved, PauseBackup};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn bincode_is_read_under_its_name_and_nothing_else_is() {
        let command = Command::from(PauseBackup { task: None });
        let bytes = codec::encode(MESSAGE_VERSION, &command).expect("small");
        assert_eq!(read_bincode("pause-backup", &bytes), Ok(command));
        let other = codec::encode(MESSAGE_VERSION, &Command::from(GetItems {})).expect("small");
        let mut newer = bytes.clone();
        newer[0] = MESSAGE_VERSION + 1;
        for (name, body, words) in [
            ("pause-backup", other, "the subject says pause-backup, the body get-items"),
            ("pause-backup", newer, "no command in bincode of version 1"),
            ("pause-backup", bytes[..bytes.len() - 1].to_vec(), "no command in bincode"),
            ("pause-backup", [&bytes[..], &[0]].concat(), "no command in bincode"),
            ("pause-backup", Vec::new(), "no command in bincode"),
            ("pause-backup", b"{\"task\":null}".to_vec(), "no command in bincode"),
            (
                "perform-backup",
                [&[MESSAGE_VERSION, 0, 0, 0, 0][..], &[255; 8]].concat(),
                "no command in bincode",
            ),
        ] {
            let error = read_bincode(name, &body).unwrap_err();
            assert!(error.kind == Kind::BadBody && error.message.contains(words), "{}", error.message);
        }
        let long = vec![MESSAGE_VERSION; COMMAND_BYTES_MAX + 1];
        assert_eq!(read_bincode("get-items", &long).unwrap_err().kind, Kind::TooLarge);
    }

    #[test]
    fn headers_say_who_and_how() {
        let headers = |name: &str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value);
            headers
        };
        assert_eq!(Encoding::of(None), Ok(Encoding::Json));
        assert_eq!(Encoding::of(Some(&headers(ENCODING, "bincode"))), Ok(Encoding::Bincode));
        assert_eq!(Encoding::of(Some(&headers(ENCODING, "cbor"))).unwrap_err().kind, Kind::BadBody);
        assert_eq!(command_id(None), Ok(None));
        let id = Uuid::now_v7();
        assert_eq!(command_id(Some(&headers(COMMAND_ID, &id.to_string()))), Ok(Some(CommandId(id))));
        assert_eq!(command_id(Some(&headers(COMMAND_ID, "7"))).unwrap_err().kind, Kind::BadBody);
    }

    #[test]
    fn an_answer_is_what_was_asked_for_or_why_not() {
        let reply = || Ok(Reply::RemoveItem(ItemRemoved { item: "photos".into() }));
        let refused = || Err(DoorError::new(Kind::State, "no").hint("wait"));
        let text = |answered| String::from_utf8(Encoding::Json.write(answered)).expect("JSON");
        assert_eq!(text(reply()), r#"{"ok":{"item":"photos"}}"#);
        assert_eq!(text(refused()), r#"{"error":{"code":"wrong-state","message":"no","hint":"wait"}}"#);
        let value = |answered| codec::decode::<Answer>(MESSAGE_VERSION, &Encoding::Bincode.write(answered));
        assert_eq!(value(reply()), reply().ok().map(Ok));
        let failed = Failed { code: "wrong-state".into(), message: "no".into(), hint: Some("wait".into()) };
        assert_eq!(value(refused()), Some(Err(failed)));
    }
}
