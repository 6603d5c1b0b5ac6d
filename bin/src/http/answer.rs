//! How refusals look over HTTP: a status, and a body that says what happened and what to do.

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

use crate::doors::{DoorError, Kind};

impl ResponseError for DoorError {
    fn status_code(&self) -> StatusCode {
        match self.kind {
            Kind::BadBody => StatusCode::BAD_REQUEST,
            Kind::Unauthorized => StatusCode::UNAUTHORIZED,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::UnknownCommand | Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Kind::WrongProtocol => StatusCode::UPGRADE_REQUIRED,
            Kind::State => StatusCode::CONFLICT,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Kind::Content => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.status_code());
        if self.kind == Kind::Unauthorized {
            response.insert_header(("www-authenticate", "Bearer"));
        }
        if self.kind == Kind::WrongProtocol {
            response.insert_header(("upgrade", "websocket")).insert_header(("sec-websocket-version", "13"));
        }
        response.json(self.body())
    }
}
