//! The least of an S3 server, for measuring: it costs a machine next to nothing, so that what is measured is the
//! program before it. Signatures are not looked at, and a listing is one page. What it holds is in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use super::http::{Answer, HttpServer, Request, content, decoded, escaped};
use super::{BUCKET, SECRET, Server};

/// A server with one bucket.
pub struct PlainS3 {
    server: HttpServer,
}

impl PlainS3 {
    /// Starts it.
    pub fn start() -> Self {
        let bucket = Bucket::default();
        Self { server: HttpServer::start(move |request| bucket.respond(request)) }
    }
}

impl Server for PlainS3 {
    fn name(&self) -> &'static str {
        "plain S3"
    }

    fn port(&self) -> u16 {
        self.server.port()
    }

    fn location(&self, port: u16, name: &str) -> String {
        format!("s3:http://127.0.0.1:{port}/{BUCKET}/{name}")
    }

    fn variables(&self, _: u16) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", "keepwell".into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.into()),
            ("AWS_DEFAULT_REGION", "us-east-1".into()),
        ]
    }
}

#[derive(Default)]
struct Bucket {
    objects: Mutex<BTreeMap<String, Object>>,
}

/// Clones are the same bytes, so that nobody waits while they are answered.
#[derive(Clone)]
struct Object {
    bytes: Arc<Vec<u8>>,
    modified: DateTime<Utc>,
}

impl Bucket {
    fn respond(&self, request: Request) -> Answer {
        let (name, key) = request.path.split_once('/').unwrap_or((&request.path, ""));
        if name != BUCKET {
            return refusal("404 Not Found", "NoSuchBucket");
        }
        let key = decoded(key);
        match request.method.as_str() {
            "HEAD" if key.is_empty() => Answer::status("200 OK"),
            "GET" if key.is_empty() && request.query.contains_key("location") => {
                document("<LocationConstraint></LocationConstraint>".into())
            }
            "GET" if key.is_empty() => self.list(&request),
            "GET" | "HEAD" => self.get(&key, &request),
            "PUT" if !request.query.contains_key("uploadId") => self.put(key, request),
            "DELETE" => {
                self.objects.lock().remove(&key);
                Answer::status("204 No Content")
            }
            _ => refusal("501 Not Implemented", "NotImplemented"),
        }
    }

    fn get(&self, key: &str, request: &Request) -> Answer {
        let Some(object) = self.objects.lock().get(key).cloned() else {
            return refusal("404 Not Found", "NoSuchKey");
        };
        let modified = object.modified.format("%a, %d %b %Y %H:%M:%S GMT");
        let headers = format!("Last-Modified: {modified}\r\nETag: {}\r\n", object.tag());
        content(&object.bytes, headers, request.headers.get("range").map(String::as_str))
    }

    fn put(&self, key: String, request: Request) -> Answer {
        let bytes = match request.headers.get("x-amz-content-sha256") {
            Some(digest) if digest.starts_with("STREAMING-") => match unchunked(&request.body) {
                Some(bytes) => bytes,
                None => return refusal("400 Bad Request", "IncompleteBody"),
            },
            _ => request.body,
        };
        let mut objects = self.objects.lock();
        if request.headers.contains_key("if-none-match") && objects.contains_key(&key) {
            return refusal("412 Precondition Failed", "PreconditionFailed");
        }
        let object = Object { bytes: Arc::new(bytes), modified: Utc::now() };
        let headers = format!("ETag: {}\r\n", object.tag());
        objects.insert(key, object);
        Answer { headers, ..Answer::status("200 OK") }
    }

    /// All objects and folders of a prefix, in the order of their names.
    fn list(&self, request: &Request) -> Answer {
        let query = |name: &str| request.query.get(name).map_or("", String::as_str);
        let (prefix, delimiter) = (query("prefix"), query("delimiter"));
        let after = query("start-after");
        let (mut body, mut last_folder) = (String::new(), String::new());
        for (key, object) in self.objects.lock().range(prefix.to_owned()..) {
            let Some(rest) = key.strip_prefix(prefix) else { break };
            if key.as_str() <= after {
                continue;
            }
            if let Some((folder, _)) = rest.split_once(delimiter).filter(|_| !delimiter.is_empty()) {
                let folder = format!("{prefix}{folder}{delimiter}");
                if folder != last_folder {
                    let name = escaped(&folder);
                    body += &format!("<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>");
                    last_folder = folder;
                }
                continue;
            }
            body += &format!(
                "<Contents><Key>{}</Key><Size>{}</Size><LastModified>{}</LastModified><ETag>{}</ETag></Contents>",
                escaped(key),
                object.bytes.len(),
                object.modified.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
                escaped(&object.tag()),
            );
        }
        document(format!(
            "<ListBucketResult><Name>{BUCKET}</Name><Prefix>{}</Prefix><IsTruncated>false</IsTruncated>{body}\
             </ListBucketResult>",
            escaped(prefix)
        ))
    }
}

impl Object {
    /// Another one after each write, as far as clocks go.
    fn tag(&self) -> String {
        format!("\"{:x}-{:x}\"", self.bytes.len(), self.modified.timestamp_micros())
    }
}

fn document(body: String) -> Answer {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{body}");
    Answer { status: "200 OK", headers: "Content-Type: application/xml\r\n".into(), body: body.into() }
}

fn refusal(status: &'static str, code: &str) -> Answer {
    Answer { status, ..document(format!("<Error><Code>{code}</Code><Message>No.</Message></Error>")) }
}

/// A body that came in signed pieces (`aws-chunked`), without what is between them. `None` if it breaks off.
fn unchunked(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(body.len());
    loop {
        let end = body.windows(2).position(|window| window == b"\r\n")?;
        let line = std::str::from_utf8(&body[..end]).ok()?;
        let length = usize::from_str_radix(line.split(';').next()?, 16).ok()?;
        if length == 0 {
            return Some(bytes);
        }
        body = &body[end + 2..];
        bytes.extend_from_slice(body.get(..length)?);
        body = body.get(length + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_pieces_are_put_together() {
        let body =
            b"3;chunk-signature=ab\r\nabc\r\n2;chunk-signature=cd\r\nde\r\n0;chunk-signature=ef\r\n\r\n";
        assert_eq!(unchunked(body).as_deref(), Some(&b"abcde"[..]));
        assert_eq!(unchunked(&body[..body.len() - 30]), None);
        assert_eq!(unchunked(b""), None);
    }
}
