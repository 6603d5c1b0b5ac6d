//! `cat`: the repository's own objects, for people who look into one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use keepwell_engine::query::cat::{Object, read_object};
use serde::Serialize;

use crate::cli::Context;
use crate::exit::{Ended, Ending, Failure};
use crate::reading::Reading;

/// Options of `cat`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Kind of object
    kind: ObjectKind,
    /// Its id, or a beginning of it; for a tree SNAPSHOT:/PATH; for config and masterkey nothing
    id: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ObjectKind {
    Config,
    #[value(name = "masterkey")]
    MasterKey,
    Index,
    Snapshot,
    Key,
    Lock,
    Pack,
    Blob,
    Tree,
}

#[derive(Serialize)]
struct Shown {
    kind: String,
    /// What is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<serde_json::Value>,
    /// What is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// Prints it.
pub fn run(arguments: &Arguments, context: &Context) -> Ended {
    let object = object(arguments)?;
    let reading = Reading::begin(context)?;
    if matches!(object, Object::Blob(_) | Object::Tree { .. }) {
        reading.repository().load_index(&context.control)?;
    }
    let read = read_object(reading.repository(), &object, &context.control)?;
    if context.output.is_json() {
        let is_json = !matches!(object, Object::Pack(_) | Object::Blob(_));
        let object = is_json.then(|| serde_json::from_slice(&read.bytes).ok()).flatten();
        let base64 = object.is_none().then(|| STANDARD.encode(&read.bytes));
        let kind = arguments.kind.to_possible_value();
        let kind = kind.map(|value| value.get_name().to_owned()).unwrap_or_default();
        context.output.message("object", &Shown { kind, object, base64 })?;
    } else {
        context.output.bytes(&read.bytes)?;
        if !matches!(object, Object::Pack(_) | Object::Blob(_)) && !read.bytes.ends_with(b"\n") {
            context.output.bytes(b"\n")?;
        }
    }
    match read.damage {
        Some(error) => Err(error.into()),
        None => Ok(Ending::Done),
    }
}

fn object(arguments: &Arguments) -> Result<Object, Failure> {
    let id = || {
        let missing = || Failure::usage("this kind of object needs an id");
        arguments.id.clone().ok_or_else(missing)
    };
    Ok(match arguments.kind {
        ObjectKind::Config | ObjectKind::MasterKey if arguments.id.is_some() => {
            return Err(Failure::usage("there is only one of this kind: give no id"));
        }
        ObjectKind::Config => Object::Config,
        ObjectKind::MasterKey => Object::MasterKey,
        ObjectKind::Index => Object::Index(id()?),
        ObjectKind::Snapshot => Object::Snapshot(id()?),
        ObjectKind::Key => Object::Key(id()?),
        ObjectKind::Lock => Object::Lock(id()?),
        ObjectKind::Pack => Object::Pack(id()?),
        ObjectKind::Blob => {
            let whole =
                id()?.parse().map_err(|error| Failure::usage(format!("a blob is named whole: {error}")));
            Object::Blob(whole?)
        }
        ObjectKind::Tree => {
            let name = id()?;
            let (snapshot, path) = name.split_once(':').unwrap_or((&name, ""));
            Object::Tree { snapshot: snapshot.into(), path: path.as_bytes().to_vec() }
        }
    })
}
