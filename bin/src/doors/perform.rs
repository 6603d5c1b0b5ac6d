//! A command by its name, with its fields as JSON.

use keepwell_actors::Handle;
use keepwell_actors::suggestion::did_you_mean;
use keepwell_messages::{Command, CommandId, Reply};
use serde::Deserialize;
use serde::de::value::MapDeserializer;
use serde_json::Value;

use super::{DoorError, Kind};

/// An item with thousands of paths and patterns fits; nothing else comes near it.
pub const COMMAND_BYTES_MAX: usize = 1024 * 1024;

/// Carries a command out. Without an `id` it is a new one.
///
/// # Errors
/// An unknown name, fields that are not the command's, an `id` that was another command's, or what it was refused with.
pub async fn perform(
    handle: &Handle,
    name: &str,
    body: &[u8],
    id: Option<CommandId>,
) -> Result<Reply, DoorError> {
    carry_out(handle, read_command(name, body)?, id).await
}

/// The same for a command that has been read.
///
/// # Errors
/// An `id` that was another command's, or what it was refused with.
pub async fn carry_out(handle: &Handle, command: Command, id: Option<CommandId>) -> Result<Reply, DoorError> {
    let Some(id) = id else { return Ok(handle.ask_command(command).await?) };
    let name = command.name();
    let reply = handle.ask_as(id, command).await?;
    if reply.name() == name {
        return Ok(reply);
    }
    let message = format!("command {id} was {} and is answered; it cannot be {name} too", reply.name());
    Err(DoorError { code: "command-id-used", ..DoorError::new(Kind::State, message) }
        .hint("give each command an id of its own, and the same only to the same command"))
}

/// Reads a command of this name from its fields; no body at all is no fields.
///
/// # Errors
/// [`Kind::UnknownCommand`], [`Kind::BadBody`], [`Kind::TooLarge`].
pub fn read_command(name: &str, body: &[u8]) -> Result<Command, DoorError> {
    if !Command::NAMES.contains(&name) {
        let meant = did_you_mean(name, Command::NAMES.iter().copied());
        let message = format!("there is no command {name:?}{meant}");
        return Err(DoorError::new(Kind::UnknownCommand, message)
            .hint("docs/messages.md and /api/v1/openapi.json list all commands"));
    }
    if body.len() > COMMAND_BYTES_MAX {
        let message = format!("the fields of {name} take more than {COMMAND_BYTES_MAX} bytes");
        return Err(DoorError::new(Kind::TooLarge, message));
    }
    let wrong = |why: String| {
        DoorError::new(Kind::BadBody, format!("the fields of {name} cannot be read: {why}"))
            .hint(format!("docs/messages.md shows {name} with an example"))
    };
    let fields = match body.iter().all(u8::is_ascii_whitespace) {
        true => Value::Object(serde_json::Map::new()),
        false => serde_json::from_slice(body).map_err(|error| wrong(error.to_string()))?,
    };
    if !fields.is_object() {
        return Err(wrong("they are not a JSON object".into()));
    }
    let tagged = MapDeserializer::<_, serde_json::Error>::new(std::iter::once((name, fields)));
    let read = Command::deserialize(serde::de::value::MapAccessDeserializer::new(tagged));
    read.map_err(|error| wrong(without_text(&error.to_string())))
}

/// What was given where something else is wanted is not repeated: it may be a secret in the wrong place.
fn without_text(why: &str) -> String {
    match (why.find("string \""), why.rfind("\", expected")) {
        (Some(from), Some(to)) if from < to => format!("{}text{}", &why[..from], &why[to + 1..]),
        _ => why.to_owned(),
    }
}

/// A reply's fields, without the name of the command.
pub fn fields_of(reply: &Reply) -> Value {
    match serde_json::to_value(reply) {
        Ok(Value::Object(tagged)) => tagged.into_iter().next().map_or(Value::Null, |(_, fields)| fields),
        Ok(_) | Err(_) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use keepwell_messages::{GetItems, ItemRemoved, PauseBackup};

    use super::*;

    #[test]
    fn a_command_is_read_by_its_name() {
        for (name, body, expected) in [
            ("get-items", "", Ok(Command::from(GetItems {}))),
            ("get-items", " {} ", Ok(GetItems {}.into())),
            ("pause-backup", "{}", Ok(PauseBackup { task: None }.into())),
            ("pause-backup", "{\"task\":null}", Ok(PauseBackup { task: None }.into())),
            ("get-item", "{}", Err((Kind::UnknownCommand, "did you mean get-items?"))),
            ("PerformBackup", "{}", Err((Kind::UnknownCommand, "there is no command"))),
            ("get-items", "[]", Err((Kind::BadBody, "not a JSON object"))),
            ("get-items", "{", Err((Kind::BadBody, "line 1"))),
            ("get-items", "{\"a\":1}", Err((Kind::BadBody, "unknown field `a`"))),
            ("cancel-task", "{}", Err((Kind::BadBody, "missing field `task`"))),
            (
                "set-item",
                "{\"item\":\"a secret\"}",
                Err((Kind::BadBody, "invalid type: text, expected struct Item")),
            ),
            ("cancel-task", "{\"task\":7}", Err((Kind::BadBody, "the fields of cancel-task"))),
        ] {
            match (read_command(name, body.as_bytes()), expected) {
                (Ok(read), Ok(expected)) => assert_eq!(read, expected),
                (Err(error), Err((kind, words))) => {
                    assert_eq!(error.kind, kind, "{name} {body}");
                    assert!(error.message.contains(words), "{}", error.message);
                }
                other => panic!("{name} {body}: {other:?}"),
            }
        }
        let nested = format!("{{\"a\":{}", "[".repeat(100_000));
        assert_eq!(read_command("get-items", nested.as_bytes()).unwrap_err().kind, Kind::BadBody);
        let long = vec![b' '; COMMAND_BYTES_MAX + 1];
        assert_eq!(read_command("get-items", &long).unwrap_err().kind, Kind::TooLarge);
    }

    #[test]
    fn every_command_is_known() {
        for name in Command::NAMES {
            let kind = read_command(name, b"{\"no such field\":0}").unwrap_err().kind;
            assert_eq!(kind, Kind::BadBody, "{name}");
        }
    }

    #[test]
    fn a_reply_loses_its_name() {
        let reply = Reply::RemoveItem(ItemRemoved { item: "photos".into() });
        assert_eq!(fields_of(&reply).to_string(), "{\"item\":\"photos\"}");
    }
}
