//! How the page logs in: with the token once, with a cookie from then on.

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::commands::read;
use super::gate::{COOKIE, Gate};
use crate::doors::{DoorError, Kind};

/// A browser that was not used for so long asks again.
const REMEMBERED: Duration = Duration::days(30);

/// A token has a thousand characters at most. Strangers may send this much, and no more.
const LOGIN_BYTES_MAX: usize = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    token: String,
}

/// `POST /login` with `{"token": "…"}`.
pub async fn login(
    request: HttpRequest,
    body: web::Payload,
    gate: web::Data<Gate>,
) -> Result<HttpResponse, DoorError> {
    let body = read(body, LOGIN_BYTES_MAX).await?;
    // The error would show what was sent.
    let login: Login = serde_json::from_slice(&body)
        .map_err(|_| DoorError::new(Kind::BadBody, "the body is not {\"token\": \"…\"}"))?;
    gate.ensure_token(login.token.trim())?;
    let cookie = cookie(&request, gate.token().cookie().expose_secret(), REMEMBERED);
    Ok(HttpResponse::NoContent().cookie(cookie).finish())
}

/// `POST /logout`.
pub async fn logout(request: HttpRequest) -> HttpResponse {
    HttpResponse::NoContent().cookie(cookie(&request, "", Duration::ZERO)).finish()
}

fn cookie<'a>(request: &HttpRequest, value: &'a str, age: Duration) -> Cookie<'a> {
    Cookie::build(COOKIE, value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(request.app_config().secure())
        .max_age(age)
        .finish()
}
