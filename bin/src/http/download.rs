//! One file of a snapshot: `GET /api/v1/repositories/{repository}/snapshots/{snapshot}/file?path=…`.
//!
//! It is always an attachment of no kind that a browser shows: what stands in a backup is anybody's, and must not
//! run as a page of ours. A file that cannot be read to its end breaks the connection, so that nobody takes the
//! beginning for the whole.

use actix_web::body::SizedStream;
use actix_web::http::header::Charset;
use actix_web::http::header::{self, ContentDisposition, DispositionParam, DispositionType, ExtendedValue};
use actix_web::{HttpResponse, web};
use futures::stream;
use keepwell_actors::{AskError, Handle};
use keepwell_messages::Refusal;
use serde::Deserialize;

use crate::doors::{DoorError, Kind};

/// Which file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Its path in the snapshot, absolute.
    path: String,
}

/// Sends it.
pub async fn download(
    place: web::Path<(String, String)>,
    wanted: web::Query<Wanted>,
    handle: web::Data<Handle>,
) -> Result<HttpResponse, DoorError> {
    let (repository, snapshot) = place.into_inner();
    let file = handle.open_file(&repository, &snapshot, &wanted.path).await.map_err(refused)?;
    let (bytes, disposition) = (file.bytes(), disposition(file.name()));
    let pieces = stream::unfold(file, |mut file| async move {
        let piece = file.next().await?;
        Some((piece.map_err(DoorError::from), file))
    });
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/octet-stream"))
        .insert_header(disposition)
        .body(SizedStream::new(bytes, pieces)))
}

/// What names no file is an address where there is nothing.
fn refused(error: AskError) -> DoorError {
    match error {
        AskError::Refused(Refusal::Invalid(why)) => DoorError::new(Kind::NotFound, why),
        error => error.into(),
    }
}

/// The name twice: for browsers of long ago in ASCII, and as it is.
fn disposition(name: &str) -> ContentDisposition {
    let plain = |character: char| match character {
        ' '..='~' if !matches!(character, '"' | '\\' | '%') => character,
        _ => '_',
    };
    let parameters = vec![
        DispositionParam::Filename(name.chars().map(plain).collect()),
        DispositionParam::FilenameExt(ExtendedValue {
            charset: Charset::Ext("UTF-8".into()),
            language_tag: None,
            value: name.as_bytes().to_vec(),
        }),
    ];
    ContentDisposition { disposition: DispositionType::Attachment, parameters }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_say_more_than_a_name() {
        for (name, expected) in [
            ("a.txt", "attachment; filename=\"a.txt\"; filename*=UTF-8''a.txt"),
            ("ü.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%BC.txt"),
            ("a\"; x=\"y", "attachment; filename=\"a_; x=_y\"; filename*=UTF-8''a%22%3B%20x=%22y"),
            ("a\r\nx: y", "attachment; filename=\"a__x: y\"; filename*=UTF-8''a%0D%0Ax%3A%20y"),
        ] {
            assert_eq!(disposition(name).to_string(), expected);
        }
    }
}
