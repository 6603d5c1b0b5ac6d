//! Where what is: each place, the methods that it answers to, and what is said everywhere else.

use actix_web::http::header;
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, ResponseError, web};

use super::{commands, description, download, events, health, login, page, socket};
use crate::doors::{DoorError, Kind};

/// All of them.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(shown("/", page::index))
        .service(shown("/page/{name}", page::file))
        .service(shown("/healthz", health::lives))
        .service(shown("/readyz", health::ready))
        .service(shown("/metrics", health::metrics))
        .service(asked("/login", login::login))
        .service(asked("/logout", login::logout))
        .service(shown("/api/v1/openapi.json", description::description))
        .service(asked("/api/v1/commands/{name}", commands::command))
        .service(streamed("/api/v1/repositories/{repository}/snapshots/{snapshot}/file", download::download))
        .service(streamed("/api/v1/events", events::events))
        .service(streamed("/api/v1/ws", socket::socket))
        .default_service(web::to(nothing_there));
}

/// What is there to be looked at: `HEAD` has all but the body.
fn shown<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let resource = web::resource(path).route(web::get().to(handler.clone())).route(web::head().to(handler));
    only(resource, "GET, HEAD")
}

/// What takes work before its first byte, or has no end: nobody begins it for its head.
fn streamed<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    only(web::resource(path).route(web::get().to(handler)), "GET")
}

/// What does something.
fn asked<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    only(web::resource(path).route(web::post().to(handler)), "POST")
}

fn only(resource: Resource, methods: &'static str) -> Resource {
    resource.default_service(web::to(move |request: HttpRequest| {
        let message = format!("{} answers to {methods}, not to {}", request.path(), request.method());
        let mut response = DoorError::new(Kind::WrongMethod, message).error_response();
        response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(methods));
        std::future::ready(response)
    }))
}

async fn nothing_there(request: HttpRequest) -> Result<HttpResponse, DoorError> {
    let message = format!("there is nothing at {} {}", request.method(), request.path());
    Err(DoorError::new(Kind::NotFound, message).hint("/api/v1/openapi.json says what there is"))
}
