//! The page's files over HTTP: `/` and `/page/NAME`.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::doors::{DoorError, Kind};
use crate::page;

/// `GET /`.
pub async fn index(request: HttpRequest) -> Result<HttpResponse, DoorError> {
    answer(&request, page::INDEX)
}

/// `GET /page/NAME`.
pub async fn file(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, DoorError> {
    answer(&request, &name)
}

/// A browser keeps the file and asks each time whether it is still the same, so that page and daemon go together.
fn answer(request: &HttpRequest, name: &str) -> Result<HttpResponse, DoorError> {
    let Some(file) = page::file(name) else {
        return Err(DoorError::new(Kind::NotFound, format!("the page has no file {name:?}")));
    };
    let has_it = request
        .headers()
        .get(header::IF_NONE_MATCH)
        .and_then(|tags| tags.to_str().ok())
        .is_some_and(|tags| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == file.etag));
    let mut response = if has_it { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, file.etag)).insert_header((header::CACHE_CONTROL, "no-cache"));
    Ok(if has_it {
        response.finish()
    } else {
        response.insert_header((header::CONTENT_TYPE, file.content_type)).body(file.bytes)
    })
}
