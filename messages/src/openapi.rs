//! What the HTTP door's description of itself is made of: the schemas of all commands and replies.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

/// A type's schema by its name, and those of all types that it mentions.
#[derive(Clone)]
pub struct Described {
    /// The name that the schema goes by.
    pub name: String,
    /// The schema, and those that it mentions, by name.
    pub schemas: Vec<(String, RefOr<Schema>)>,
}

impl Described {
    /// Describes a type.
    pub fn new<T: ToSchema + PartialSchema>() -> Self {
        let name = T::name().into_owned();
        let mut schemas = vec![(name.clone(), T::schema())];
        T::schemas(&mut schemas);
        Self { name, schemas }
    }
}

/// One command.
#[derive(Clone)]
pub struct DescribedCommand {
    /// Its name, as doors spell it.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Its fields.
    pub request: Described,
    /// What it is answered with.
    pub reply: Described,
}

impl DescribedCommand {
    /// Describes a command.
    pub fn new<C: ToSchema, R: ToSchema>(name: &'static str, summary: &'static str) -> Self {
        Self { name, summary: summary.trim(), request: Described::new::<C>(), reply: Described::new::<R>() }
    }
}
