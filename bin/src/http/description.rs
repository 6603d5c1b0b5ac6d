//! The door's description of itself, made from the types of the messages: `GET /api/v1/openapi.json`.

use actix_web::HttpResponse;
use keepwell_messages::{BackupProgress, NumberedEvent, described_commands, openapi::Described};
use serde_json::json;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathsBuilder, Ref, RefOr,
    Required, ResponseBuilder, ResponsesBuilder,
};

/// Every refusal of a command has one of these.
const REFUSED: [(&str, &str); 11] = [
    ("400", "The body is not what the command takes"),
    ("401", "No token, or a wrong one"),
    ("403", "The request comes from another site, or calls the daemon by a foreign name"),
    ("404", "No command of this name"),
    ("405", "Another method than POST"),
    ("408", "The body takes too long to arrive"),
    ("409", "It cannot be done as things stand"),
    ("413", "The body is too large"),
    ("422", "What is asked for is not right in itself"),
    ("429", "Too much is asked at once"),
    ("503", "Something that it takes failed"),
];

/// As JSON.
pub async fn description() -> HttpResponse {
    HttpResponse::Ok().json(document())
}

fn document() -> OpenApi {
    let mut components = ComponentsBuilder::new()
        .schema("Error", error_schema())
        .security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    let mut paths = PathsBuilder::new();
    for command in described_commands() {
        let path = format!("/api/v1/commands/{}", command.name);
        let body = RequestBodyBuilder::new()
            .content("application/json", content(reference(&command.request)))
            .required(Some(Required::True));
        let operation = OperationBuilder::new()
            .operation_id(Some(command.name))
            .tag("commands")
            .summary(Some(command.summary))
            .parameter(
                ParameterBuilder::new()
                    .name("Idempotency-Key")
                    .parameter_in(ParameterIn::Header)
                    .required(Required::False)
                    .description(Some("A UUID of the sender's own: the same again is the same command"))
                    .schema(Some(uuid_schema())),
            )
            .request_body(Some(body.build()))
            .responses(answers(reference(&command.reply)));
        paths = paths.path(path, PathItem::new(HttpMethod::Post, operation));
        for (name, schema) in command.request.schemas.into_iter().chain(command.reply.schemas) {
            components = components.schema(name, schema);
        }
    }
    for described in [Described::new::<NumberedEvent>(), Described::new::<BackupProgress>()] {
        for (name, schema) in described.schemas {
            components = components.schema(name, schema);
        }
    }
    OpenApiBuilder::new()
        .info(InfoBuilder::new().title("Keepwell").version(env!("CARGO_PKG_VERSION")).description(Some(
            "Commands by name; events as server-sent events at /api/v1/events (NumberedEvent under its name, \
                     BackupProgress as backup-progress), both ways at /api/v1/ws. See docs/messages.md.",
        )))
        .paths(paths)
        .components(Some(components.build()))
        .security(Some([SecurityRequirement::new("token", Vec::<String>::new())]))
        .build()
}

fn reference(described: &Described) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(&described.name))
}

fn content(schema: RefOr<Schema>) -> utoipa::openapi::Content {
    ContentBuilder::new().schema(Some(schema)).build()
}

fn answers(reply: RefOr<Schema>) -> utoipa::openapi::Responses {
    let done = ResponseBuilder::new().description("Done").content("application/json", content(reply));
    let mut responses = ResponsesBuilder::new().response("200", done);
    for (status, words) in REFUSED {
        let refused = ResponseBuilder::new()
            .description(words)
            .content("application/json", content(RefOr::Ref(Ref::from_schema_name("Error"))));
        responses = responses.response(status, refused);
    }
    responses.build()
}

fn uuid_schema() -> RefOr<Schema> {
    let text = ObjectBuilder::new().schema_type(Type::String);
    RefOr::T(text.format(Some(utoipa::openapi::SchemaFormat::Custom("uuid".into()))).into())
}

fn error_schema() -> RefOr<Schema> {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let hint = ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::SchemaType::from_iter([Type::String, Type::Null]));
    let fields = ObjectBuilder::new()
        .property("code", text().description(Some("For programs, kebab-case")))
        .property("message", text().description(Some("What happened")))
        .property("hint", hint.description(Some("What to do about it")))
        .required("code")
        .required("message")
        .required("hint");
    let example = json!({"error": {"code": "unknown-item", "message": "there is no item x", "hint": null}});
    RefOr::T(ObjectBuilder::new().property("error", fields).required("error").examples([example]).into())
}

#[cfg(test)]
mod tests {
    use keepwell_messages::Command;

    use super::*;

    #[test]
    fn every_command_is_described_and_every_reference_leads_somewhere() {
        let document = serde_json::to_value(document()).unwrap();
        for name in Command::NAMES {
            let operation = &document["paths"][format!("/api/v1/commands/{name}")]["post"];
            assert!(operation["summary"].as_str().is_some_and(|text| text.ends_with('.')), "{name}");
        }
        let text = document.to_string();
        for part in text.split("\"#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
        }
    }
}
