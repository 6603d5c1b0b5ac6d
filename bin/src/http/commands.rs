//! Any command by its name: `POST /api/v1/commands/{name}`.

use std::time::Duration;

use actix_web::http::header::HeaderMap;
use actix_web::{HttpRequest, HttpResponse, web};
use keepwell_actors::Handle;
use keepwell_messages::CommandId;
use tokio::time::timeout;

use crate::doors::{COMMAND_BYTES_MAX, DoorError, Kind, fields_of, perform};

/// A body of a megabyte takes that long at 35 kB/s.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// Carries it out.
pub async fn command(
    request: HttpRequest,
    name: web::Path<String>,
    body: web::Payload,
    handle: web::Data<Handle>,
) -> Result<HttpResponse, DoorError> {
    let id = command_id(request.headers())?;
    let body = read(body, COMMAND_BYTES_MAX).await?;
    let reply = perform(&handle, &name, &body, id).await?;
    Ok(HttpResponse::Ok().json(fields_of(&reply)))
}

/// What its sender calls it: the same again is the same command.
fn command_id(headers: &HeaderMap) -> Result<Option<CommandId>, DoorError> {
    let Some(given) = headers.get("idempotency-key") else { return Ok(None) };
    let text = given.to_str().unwrap_or_default();
    text.trim_matches('"')
        .parse()
        .map(Some)
        .map_err(|_| DoorError::new(Kind::BadBody, "the header Idempotency-Key is not a UUID"))
}

/// Reads a body that is not endless and does not take for ever.
pub async fn read(body: web::Payload, bytes_max: usize) -> Result<web::Bytes, DoorError> {
    match timeout(BODY_WITHIN, body.to_bytes_limited(bytes_max)).await {
        Ok(Ok(Ok(bytes))) => Ok(bytes),
        Ok(Ok(Err(error))) => Err(DoorError::new(Kind::BadBody, format!("the body cannot be read: {error}"))),
        Ok(Err(_)) => {
            let message = format!("the body is larger than {bytes_max} bytes");
            Err(DoorError::new(Kind::TooLarge, message))
        }
        Err(_) => {
            let message = format!("the body did not arrive within {} seconds", BODY_WITHIN.as_secs());
            Err(DoorError::new(Kind::TooSlow, message))
        }
    }
}
