//! docs/messages.md names every code with its status, and the words that go with it.

use actix_web::ResponseError;
use actix_web::http::StatusCode;

use super::{DoorError, Kind};

#[path = "../../../messages/tests/samples/mod.rs"]
#[allow(dead_code, reason = "the messages' own tests need the rest")]
mod samples;

#[test]
fn the_document_names_every_code() {
    samples::document::ensure_current("refusals", &refusals());
    samples::document::ensure_current("kinds", &kinds());
}

fn refusals() -> String {
    let mut table = String::from("| `code` | HTTP | an example of `message`, and `hint` |\n|---|---|---|\n");
    for refusal in samples::refusals() {
        table += &row(&DoorError::from(refusal));
    }
    table
}

fn kinds() -> String {
    let mut table = String::from("| `code` | HTTP | |\n|---|---|---|\n");
    for kind in [
        Kind::BadBody,
        Kind::Unauthorized,
        Kind::Forbidden,
        Kind::UnknownCommand,
        Kind::NotFound,
        Kind::WrongMethod,
        Kind::WrongProtocol,
        Kind::TooSlow,
        Kind::TooLarge,
        Kind::TooMany,
        Kind::Unavailable,
    ] {
        let meaning = match kind {
            Kind::BadBody => "the body is not what the command takes; the message says where",
            Kind::Unauthorized => "no token, or a wrong one",
            Kind::Forbidden => "the request comes from where it must not",
            Kind::UnknownCommand => "no command of this name; the message names the nearest",
            Kind::NotFound => "nothing of this name",
            Kind::WrongMethod => {
                "nothing is done there by this method; the header `Allow` names those that are"
            }
            Kind::WrongProtocol => "this address speaks WebSocket only",
            Kind::State | Kind::Content => "see above",
            Kind::TooLarge => "the body is larger than anything that is taken",
            Kind::TooSlow => "the body takes too long to arrive",
            Kind::TooMany => "too much is asked at once; ask again later",
            Kind::Unavailable => {
                "nobody answered, or its turn did not come: ask again under the same id, so that nothing is done twice"
            }
        };
        table += &row(&DoorError::new(kind, meaning));
    }
    table
}

fn row(error: &DoorError) -> String {
    let status: StatusCode = error.status_code();
    let hint = error.hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}"));
    format!("| `{}` | {} | {}{hint} |\n", error.code, status.as_u16(), error.message)
}
