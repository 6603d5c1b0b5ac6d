//! A node as JSON text, byte for byte as restic's `Node.MarshalJSON` writes it:
//! the order of the fields, and which are left out when empty, are those of the
//! struct in `internal/data/node.go`.

use crate::format::go_json::{push_base64, push_id, push_integer, push_string};
use crate::format::go_quote::quote;
use crate::format::node::Node;
use crate::format::timestamp::Timestamp;

impl Node {
    /// Appends the node's JSON object to `out`.
    ///
    /// `content` is `null` for `None` and `[]` for a file without bytes. `generic_attributes` is
    /// written as it stands, so it must be the text of a JSON object or empty.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.reserve(400 + self.content.as_ref().map_or(0, Vec::len) * 67);
        out.extend_from_slice(b"{\"name\":");
        push_string(out, &quote(&self.name));
        push_text(out, b",\"type\":", self.kind.name());
        push_count(out, b",\"mode\":", self.mode.into());
        push_time(out, b",\"mtime\":\"", self.mtime);
        push_time(out, b",\"atime\":\"", self.atime);
        push_time(out, b",\"ctime\":\"", self.ctime);
        out.extend_from_slice(b",\"uid\":");
        push_integer(out, self.uid.into());
        out.extend_from_slice(b",\"gid\":");
        push_integer(out, self.gid.into());
        push_text(out, b",\"user\":", &self.user);
        push_text(out, b",\"group\":", &self.group);
        push_count(out, b",\"inode\":", self.inode);
        push_count(out, b",\"device_id\":", self.device_id);
        push_count(out, b",\"size\":", self.size);
        push_count(out, b",\"links\":", self.links);
        self.write_link_target(out);
        self.write_extended_attributes(out);
        if !self.generic_attributes.is_empty() {
            out.extend_from_slice(b",\"generic_attributes\":");
            out.extend_from_slice(self.generic_attributes.as_bytes());
        }
        push_count(out, b",\"device\":", self.device);
        self.write_content(out);
        if let Some(subtree) = self.subtree {
            out.extend_from_slice(b",\"subtree\":");
            push_id(out, subtree);
        }
        push_text(out, b",\"error\":", &self.error);
        out.push(b'}');
    }

    /// The target is stored a second time, in full, where JSON cannot hold it.
    fn write_link_target(&self, out: &mut Vec<u8>) {
        if self.link_target.is_empty() {
            return;
        }
        out.extend_from_slice(b",\"linktarget\":");
        push_string(out, &self.link_target);
        if std::str::from_utf8(&self.link_target).is_err() {
            out.extend_from_slice(b",\"linktarget_raw\":");
            push_base64(out, &self.link_target);
        }
    }

    fn write_extended_attributes(&self, out: &mut Vec<u8>) {
        let mut separator: &[u8] = b",\"extended_attributes\":[";
        for attribute in &self.extended_attributes {
            out.extend_from_slice(separator);
            out.extend_from_slice(b"{\"name\":");
            push_string(out, attribute.name.as_bytes());
            out.extend_from_slice(b",\"value\":");
            push_base64(out, &attribute.value);
            out.push(b'}');
            separator = b",";
        }
        if !self.extended_attributes.is_empty() {
            out.push(b']');
        }
    }

    fn write_content(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"content\":");
        let Some(blobs) = &self.content else {
            out.extend_from_slice(b"null");
            return;
        };
        out.push(b'[');
        for (position, blob) in blobs.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            push_id(out, *blob);
        }
        out.push(b']');
    }
}

/// A string field that is left out when empty.
fn push_text(out: &mut Vec<u8>, key: &[u8], text: &str) {
    if !text.is_empty() {
        out.extend_from_slice(key);
        push_string(out, text.as_bytes());
    }
}

/// An integer field that is left out when zero.
fn push_count(out: &mut Vec<u8>, key: &[u8], value: u64) {
    if value != 0 {
        out.extend_from_slice(key);
        push_integer(out, value);
    }
}

fn push_time(out: &mut Vec<u8>, key: &[u8], time: Timestamp) {
    out.extend_from_slice(key);
    time.write_rfc3339(out);
    out.push(b'"');
}
