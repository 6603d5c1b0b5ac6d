//! Where what is: each place, the methods that it answers to, and what is said everywhere else.

use actix_web::http::{Method, header};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, ResponseError, web};

use super::{commands, description, download, events, health, login, page, socket};
use crate::doors::{DoorError, Kind};

/// To be looked at: `HEAD` has all but the body.
const SHOWN: &[Method] = &[Method::GET, Method::HEAD];
/// Takes work before its first byte, or has no end: nobody begins it for its head.
const STREAMED: &[Method] = &[Method::GET];
/// Does something.
const ASKED: &[Method] = &[Method::POST];

/// All of them.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(place("/", SHOWN, page::index))
        .service(place("/page/{name}", SHOWN, page::file))
        .service(place("/healthz", SHOWN, health::lives))
        .service(place("/readyz", SHOWN, health::ready))
        .service(place("/metrics", SHOWN, health::metrics))
        .service(place("/login", ASKED, login::login))
        .service(place("/logout", ASKED, login::logout))
        .service(place("/api/v1/openapi.json", SHOWN, description::description))
        .service(place("/api/v1/commands/{name}", ASKED, commands::command))
        .service(place(
            "/api/v1/repositories/{repository}/snapshots/{snapshot}/file",
            STREAMED,
            download::download,
        ))
        .service(place("/api/v1/events", STREAMED, events::events))
        .service(place("/api/v1/ws", STREAMED, socket::socket))
        .default_service(web::to(nothing_there));
}

/// What answers to these methods and says so to all others.
fn place<F, Args>(path: &str, methods: &[Method], handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let resource = methods.iter().fold(web::resource(path), |resource, method| {
        resource.route(web::method(method.clone()).to(handler.clone()))
    });
    let allowed = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    resource.default_service(web::to(move |request: HttpRequest| {
        let message = format!("{} answers to {allowed}, not to {}", request.path(), request.method());
        let mut response = DoorError::new(Kind::WrongMethod, message).error_response();
        let allowed = header::HeaderValue::from_str(&allowed).expect("methods are letters");
        response.headers_mut().insert(header::ALLOW, allowed);
        std::future::ready(response)
    }))
}

async fn nothing_there(request: HttpRequest) -> Result<HttpResponse, DoorError> {
    let message = format!("there is nothing at {} {}", request.method(), request.path());
    Err(DoorError::new(Kind::NotFound, message).hint("/api/v1/openapi.json says what there is"))
}
