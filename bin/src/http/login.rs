//! How the page logs in: with the token once, with a cookie from then on.

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::AppConfig;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::commands::read;
use super::gate::Gate;
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
    let mut cookie = cookie(request.app_config(), gate.token().cookie().expose_secret(), REMEMBERED);
    // A proxy before us may speak TLS with the browser.
    let origin = request.headers().get(header::ORIGIN);
    if origin.is_some_and(|origin| origin.as_bytes().to_ascii_lowercase().starts_with(b"https:")) {
        cookie.set_secure(true);
    }
    Ok(HttpResponse::NoContent().cookie(cookie).finish())
}

/// `POST /logout`. The browser forgets the cookie; its value counts until there is another token.
pub async fn logout(request: HttpRequest) -> HttpResponse {
    HttpResponse::NoContent().cookie(forgetting(request.app_config())).finish()
}

/// What the page's cookie is called. A browser tells hosts apart and not ports: each daemon of a host has its own.
pub fn cookie_name(config: &AppConfig) -> String {
    format!("keepwell-{}", config.local_addr().port())
}

/// Has a browser forget the page's cookie.
pub fn forgetting(config: &AppConfig) -> Cookie<'static> {
    cookie(config, "", Duration::ZERO)
}

fn cookie<'a>(config: &AppConfig, value: &'a str, age: Duration) -> Cookie<'a> {
    Cookie::build(cookie_name(config), value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(config.secure())
        .max_age(age)
        .finish()
}
