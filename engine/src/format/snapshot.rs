//! A snapshot file: what was backed up, when, and the tree that holds it.
//!
//! Written as restic writes it (`internal/data/snapshot.go`). Fields that restic does
//! not know, written by rustic or by a later restic, are kept as they were read and
//! written after the known ones, so that changing tags loses nothing.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::format::go_json::{push_id, push_integer, push_string};
use crate::format::timestamp::Timestamp;
use crate::format::tree::FormatError;
use crate::id::Id;

/// Fields as read that this version gives no meaning to, in their order.
#[derive(Clone, Debug, Default)]
pub struct UnknownFields(Vec<(String, Box<RawValue>)>);

impl PartialEq for UnknownFields {
    fn eq(&self, other: &Self) -> bool {
        let texts = |fields: &'_ Self| -> Vec<(String, String)> {
            fields.0.iter().map(|(key, value)| (key.clone(), value.get().to_owned())).collect()
        };
        texts(self) == texts(other)
    }
}

impl UnknownFields {
    /// The JSON text of a field, as it was read.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.get())
    }
}

/// One snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// When the backup began, in the zone of the machine.
    pub time: Timestamp,
    /// The snapshot that it was compared with.
    pub parent: Option<Id>,
    /// The tree blob of the top.
    pub tree: Id,
    /// What was backed up, absolute for files; other bytes than UTF-8 through
    /// [`to_valid_utf8`](crate::format::to_valid_utf8).
    pub paths: Vec<String>,
    /// The machine, empty if unknown.
    pub hostname: String,
    /// The user that ran the backup, empty if unknown.
    pub username: String,
    /// That user's number.
    pub uid: u32,
    /// That user's group.
    pub gid: u32,
    /// Patterns that were left out.
    pub excludes: Vec<String>,
    /// Words that people gave it.
    pub tags: Vec<String>,
    /// The first snapshot that this one was made from by a change of tags and the like.
    pub original: Option<Id>,
    /// What wrote it, such as `restic 0.18.0`.
    pub program_version: String,
    /// What the backup found and stored.
    pub summary: Option<SnapshotSummary>,
    /// What else the file holds.
    pub unknown: UnknownFields,
}

/// What a backup found and stored.
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotSummary {
    /// When it began.
    pub backup_start: Timestamp,
    /// When it ended.
    pub backup_end: Timestamp,
    /// Files that the parent lacks.
    pub files_new: u64,
    /// Files that differ from the parent's.
    pub files_changed: u64,
    /// Files as in the parent.
    pub files_unmodified: u64,
    /// Folders that the parent lacks.
    pub dirs_new: u64,
    /// Folders that differ from the parent's.
    pub dirs_changed: u64,
    /// Folders as in the parent.
    pub dirs_unmodified: u64,
    /// Data blobs stored.
    pub data_blobs: u64,
    /// Tree blobs stored.
    pub tree_blobs: u64,
    /// Bytes of these blobs as they are.
    pub data_added: u64,
    /// Bytes of these blobs as stored.
    pub data_added_packed: u64,
    /// Files looked at.
    pub total_files_processed: u64,
    /// Bytes of these files.
    pub total_bytes_processed: u64,
    /// What else the summary holds.
    pub unknown: UnknownFields,
}

impl Default for SnapshotSummary {
    fn default() -> Self {
        Self {
            backup_start: Timestamp::GO_ZERO,
            backup_end: Timestamp::GO_ZERO,
            files_new: 0,
            files_changed: 0,
            files_unmodified: 0,
            dirs_new: 0,
            dirs_changed: 0,
            dirs_unmodified: 0,
            data_blobs: 0,
            tree_blobs: 0,
            data_added: 0,
            data_added_packed: 0,
            total_files_processed: 0,
            total_bytes_processed: 0,
            unknown: UnknownFields::default(),
        }
    }
}

impl Snapshot {
    /// A snapshot of `tree` taken at `time`, everything else empty.
    pub fn new(time: Timestamp, tree: Id, paths: Vec<String>) -> Self {
        Self {
            time,
            parent: None,
            tree,
            paths,
            hostname: String::new(),
            username: String::new(),
            uid: 0,
            gid: 0,
            excludes: Vec::new(),
            tags: Vec::new(),
            original: None,
            program_version: String::new(),
            summary: None,
            unknown: UnknownFields::default(),
        }
    }

    /// The file's text, before compression and encryption; no newline at its end.
    pub fn encode(&self) -> Vec<u8> {
        let mut object = ObjectWriter::new();
        object.time("time", self.time);
        object.id("parent", self.parent);
        object.id("tree", Some(self.tree));
        object.texts("paths", &self.paths);
        object.text("hostname", &self.hostname);
        object.text("username", &self.username);
        object.count("uid", self.uid.into());
        object.count("gid", self.gid.into());
        object.texts_if_any("excludes", &self.excludes);
        object.texts_if_any("tags", &self.tags);
        object.id("original", self.original);
        object.text("program_version", &self.program_version);
        if let Some(summary) = &self.summary {
            object.key("summary");
            summary.write_json(&mut object.out);
        }
        object.finish(&self.unknown)
    }

    /// Reads a file's text. A missing or `null` field is empty, as in Go.
    ///
    /// # Errors
    /// The text is not a JSON object, has no `tree`, or a field is of the wrong type.
    pub fn decode(text: &[u8]) -> Result<Self, FormatError> {
        let malformed = |why: String| FormatError { object: "snapshot", why };
        let fields: RawFields = serde_json::from_slice(text).map_err(|error| malformed(error.to_string()))?;
        let mut tree: Option<Id> = None;
        let mut snapshot = Self::new(Timestamp::GO_ZERO, Id([0; 32]), Vec::new());
        for (key, value) in fields.0 {
            match key.as_str() {
                "time" => set(&value, &mut snapshot.time),
                "parent" => set_optional(&value, &mut snapshot.parent),
                "tree" => set_optional(&value, &mut tree),
                "paths" => set(&value, &mut snapshot.paths),
                "hostname" => set(&value, &mut snapshot.hostname),
                "username" => set(&value, &mut snapshot.username),
                "uid" => set(&value, &mut snapshot.uid),
                "gid" => set(&value, &mut snapshot.gid),
                "excludes" => set(&value, &mut snapshot.excludes),
                "tags" => set(&value, &mut snapshot.tags),
                "original" => set_optional(&value, &mut snapshot.original),
                "program_version" => set(&value, &mut snapshot.program_version),
                "summary" => set_optional(&value, &mut snapshot.summary),
                _ => {
                    snapshot.unknown.0.push((key, value));
                    continue;
                }
            }
            .map_err(|error| malformed(format!("{key}: {error}")))?;
        }
        snapshot.tree = tree.ok_or_else(|| malformed("it names no tree".to_owned()))?;
        Ok(snapshot)
    }
}

impl SnapshotSummary {
    /// The counts by their stored names, in their stored order.
    fn counts(&mut self) -> [(&'static str, &mut u64); 12] {
        [
            ("files_new", &mut self.files_new),
            ("files_changed", &mut self.files_changed),
            ("files_unmodified", &mut self.files_unmodified),
            ("dirs_new", &mut self.dirs_new),
            ("dirs_changed", &mut self.dirs_changed),
            ("dirs_unmodified", &mut self.dirs_unmodified),
            ("data_blobs", &mut self.data_blobs),
            ("tree_blobs", &mut self.tree_blobs),
            ("data_added", &mut self.data_added),
            ("data_added_packed", &mut self.data_added_packed),
            ("total_files_processed", &mut self.total_files_processed),
            ("total_bytes_processed", &mut self.total_bytes_processed),
        ]
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        let mut object = ObjectWriter::new();
        object.time("backup_start", self.backup_start);
        object.time("backup_end", self.backup_end);
        for (key, count) in self.clone().counts() {
            object.key(key);
            push_integer(&mut object.out, *count);
        }
        out.extend_from_slice(&object.finish(&self.unknown));
    }
}

impl<'de> Deserialize<'de> for SnapshotSummary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut summary = Self::default();
        for (key, value) in RawFields::deserialize(deserializer)?.0 {
            let known = match key.as_str() {
                "backup_start" => Some(set(&value, &mut summary.backup_start)),
                "backup_end" => Some(set(&value, &mut summary.backup_end)),
                _ => {
                    let mut counts = summary.counts();
                    let count = counts.iter_mut().find(|(name, _)| *name == key);
                    count.map(|(_, count)| set(&value, *count))
                }
            };
            match known {
                Some(read) => read.map_err(|error| serde::de::Error::custom(format!("{key}: {error}")))?,
                None => summary.unknown.0.push((key, value)),
            }
        }
        Ok(summary)
    }
}

/// `null` leaves the field as it is.
fn set<T: DeserializeOwned>(value: &RawValue, field: &mut T) -> Result<(), serde_json::Error> {
    if let Some(value) = serde_json::from_str::<Option<T>>(value.get())? {
        *field = value;
    }
    Ok(())
}

fn set_optional<T: DeserializeOwned>(
    value: &RawValue,
    field: &mut Option<T>,
) -> Result<(), serde_json::Error> {
    *field = serde_json::from_str(value.get())?;
    Ok(())
}

/// An object's fields in their order, values unread.
struct RawFields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for RawFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = RawFields;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawFields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(RawFields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// Writes an object's fields; the plain methods leave out what is empty, as `omitempty` does.
struct ObjectWriter {
    out: Vec<u8>,
}

impl ObjectWriter {
    fn new() -> Self {
        Self { out: vec![b'{'] }
    }

    fn key(&mut self, key: &str) {
        if self.out.len() > 1 {
            self.out.push(b',');
        }
        push_string(&mut self.out, key.as_bytes());
        self.out.push(b':');
    }

    fn time(&mut self, key: &str, time: Timestamp) {
        self.key(key);
        self.out.push(b'"');
        time.write_rfc3339(&mut self.out);
        self.out.push(b'"');
    }

    fn id(&mut self, key: &str, id: Option<Id>) {
        if let Some(id) = id {
            self.key(key);
            push_id(&mut self.out, id);
        }
    }

    fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.key(key);
            push_string(&mut self.out, text.as_bytes());
        }
    }

    fn count(&mut self, key: &str, count: u64) {
        if count != 0 {
            self.key(key);
            push_integer(&mut self.out, count);
        }
    }

    fn texts(&mut self, key: &str, texts: &[String]) {
        self.key(key);
        self.out.push(b'[');
        for (position, text) in texts.iter().enumerate() {
            if position > 0 {
                self.out.push(b',');
            }
            push_string(&mut self.out, text.as_bytes());
        }
        self.out.push(b']');
    }

    fn texts_if_any(&mut self, key: &str, texts: &[String]) {
        if !texts.is_empty() {
            self.texts(key, texts);
        }
    }

    fn finish(mut self, unknown: &UnknownFields) -> Vec<u8> {
        for (key, value) in &unknown.0 {
            self.key(key);
            self.out.extend_from_slice(value.get().as_bytes());
        }
        self.out.push(b'}');
        self.out
    }
}
