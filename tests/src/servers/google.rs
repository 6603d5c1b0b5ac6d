//! A Google Cloud Storage server of our own, for no other speaks its XML API: objects with generations,
//! ranges, paged listings, conditional and multipart uploads. It asks for a bearer token.
//!
//! <https://cloud.google.com/storage/docs/xml-api/reference-methods>. What it holds is in memory.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;

use super::http::{Answer, HttpServer, Request, content, decoded, escaped, now};
use super::{BUCKET, SECRET, Server};

/// Google's own bound of a page.
const PAGE_OBJECTS_MAX: usize = 1000;

/// A server with one bucket.
pub struct Google {
    server: HttpServer,
}

impl Google {
    /// Starts it.
    pub fn start() -> Self {
        let bucket = Mutex::new(Bucket::default());
        Self { server: HttpServer::start(move |request| respond(&request, &mut bucket.lock())) }
    }
}

impl Server for Google {
    fn name(&self) -> &'static str {
        "Google"
    }

    fn port(&self) -> u16 {
        self.server.port()
    }

    fn location(&self, _: u16, name: &str) -> String {
        format!("gs://{BUCKET}/{name}")
    }

    fn variables(&self, port: u16) -> Vec<(&'static str, String)> {
        vec![("GOOGLE_BASE_URL", format!("http://127.0.0.1:{port}")), ("GOOGLE_BEARER_TOKEN", SECRET.into())]
    }
}

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Object>,
    /// Parts by number, of uploads by id.
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    /// The last one given; 0 means that there is no object.
    generation: u64,
}

struct Object {
    bytes: Vec<u8>,
    generation: u64,
    modified: chrono::DateTime<chrono::Utc>,
}

fn respond(request: &Request, bucket: &mut Bucket) -> Answer {
    if request.headers.get("authorization") != Some(&format!("Bearer {SECRET}")) {
        return refusal("401 Unauthorized", "AuthenticationRequired", "Authentication required.");
    }
    let (name, key) = request.path.split_once('/').unwrap_or((&request.path, ""));
    if name != BUCKET {
        return refusal("404 Not Found", "NoSuchBucket", "The specified bucket does not exist.");
    }
    let key = decoded(key);
    let query = |name: &str| request.query.get(name).map(String::as_str);
    match (request.method.as_str(), query("uploadId")) {
        ("GET", None) if key.is_empty() => bucket.list(request),
        ("GET" | "HEAD", None) => bucket.get(&key, request),
        ("PUT", None) => bucket.put(key, request),
        ("DELETE", None) => bucket.delete(&key),
        ("POST", None) if query("uploads").is_some() => bucket.begin_upload(),
        ("PUT", Some(id)) => bucket.put_part(id, query("partNumber"), &request.body),
        ("POST", Some(id)) => bucket.complete_upload(id, key),
        ("DELETE", Some(id)) => match bucket.uploads.remove(id) {
            Some(_) => Answer::status("204 No Content"),
            None => no_such_upload(),
        },
        _ => Answer::status("405 Method Not Allowed"),
    }
}

fn refusal(status: &'static str, code: &str, message: &str) -> Answer {
    let body = format!(
        "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    Answer { status, headers: "Content-Type: application/xml\r\n".into(), body: body.into() }
}

fn no_such_key() -> Answer {
    refusal("404 Not Found", "NoSuchKey", "The specified key does not exist.")
}

fn no_such_upload() -> Answer {
    refusal("404 Not Found", "NoSuchUpload", "The requested upload was not found.")
}

fn document(body: String) -> Answer {
    Answer { status: "200 OK", headers: "Content-Type: application/xml\r\n".into(), body: body.into() }
}

impl Bucket {
    fn get(&self, key: &str, request: &Request) -> Answer {
        let Some(object) = self.objects.get(key) else { return no_such_key() };
        let headers = format!(
            "Last-Modified: {}\r\n{}",
            object.modified.format("%a, %d %b %Y %H:%M:%S GMT"),
            versions(object.generation)
        );
        content(&object.bytes, headers, request.headers.get("range").map(String::as_str))
    }

    fn put(&mut self, key: String, request: &Request) -> Answer {
        let found = self.objects.get(&key).map_or(0, |object| object.generation).to_string();
        if request.headers.get("x-goog-if-generation-match").is_some_and(|wanted| *wanted != found) {
            return refusal("412 Precondition Failed", "PreconditionFailed", "A precondition does not hold.");
        }
        self.insert(key, request.body.clone())
    }

    fn insert(&mut self, key: String, bytes: Vec<u8>) -> Answer {
        self.generation += 1;
        let object = Object { bytes, generation: self.generation, modified: chrono::Utc::now() };
        self.objects.insert(key, object);
        Answer { status: "200 OK", headers: versions(self.generation), body: Vec::new() }
    }

    fn delete(&mut self, key: &str) -> Answer {
        match self.objects.remove(key) {
            Some(_) => Answer::status("204 No Content"),
            None => no_such_key(),
        }
    }

    fn begin_upload(&mut self) -> Answer {
        self.generation += 1;
        let id = format!("upload-{}", self.generation);
        self.uploads.insert(id.clone(), BTreeMap::new());
        document(format!(
            "<InitiateMultipartUploadResult><Bucket>{BUCKET}</Bucket><UploadId>{id}</UploadId>\
             </InitiateMultipartUploadResult>"
        ))
    }

    fn put_part(&mut self, id: &str, number: Option<&str>, bytes: &[u8]) -> Answer {
        let Some(parts) = self.uploads.get_mut(id) else { return no_such_upload() };
        let Some(number) = number.and_then(|number| number.parse().ok()) else {
            return refusal("400 Bad Request", "InvalidArgument", "Part number must be a number.");
        };
        parts.insert(number, bytes.to_vec());
        Answer { status: "200 OK", headers: format!("ETag: \"part-{number}\"\r\n"), body: Vec::new() }
    }

    fn complete_upload(&mut self, id: &str, key: String) -> Answer {
        let Some(parts) = self.uploads.remove(id) else { return no_such_upload() };
        let made = self.insert(key, parts.into_values().collect::<Vec<_>>().concat());
        let body = format!(
            "<CompleteMultipartUploadResult><Bucket>{BUCKET}</Bucket><ETag>\"{}\"</ETag>\
             </CompleteMultipartUploadResult>",
            self.generation
        );
        Answer { headers: made.headers, ..document(body) }
    }

    /// A page of objects and of folders, together in the order of their names, from after a name on.
    fn list(&self, request: &Request) -> Answer {
        let query = |name: &str| request.query.get(name).map_or("", String::as_str);
        let (prefix, delimiter) = (query("prefix"), query("delimiter"));
        let after = query("continuation-token").max(query("start-after"));
        let page = query("max-keys").parse().unwrap_or(PAGE_OBJECTS_MAX).min(PAGE_OBJECTS_MAX);
        let (mut body, mut folders, mut last, mut count) = (String::new(), BTreeSet::new(), "", 0);
        let mut is_truncated = false;
        for (key, object) in self.objects.range(prefix.to_owned()..) {
            let Some(rest) = key.strip_prefix(prefix) else { break };
            let folder = rest.split_once(delimiter).filter(|_| !delimiter.is_empty());
            let name = folder.map_or(&**key, |(name, _)| &key[..prefix.len() + name.len() + delimiter.len()]);
            if name <= after || folders.contains(name) {
                continue;
            }
            if count == page {
                is_truncated = true;
                break;
            }
            (last, count) = (name, count + 1);
            if folder.is_some() {
                folders.insert(name);
                body += &format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escaped(name));
            } else {
                body += &format!(
                    "<Contents><Key>{}</Key><Size>{}</Size><LastModified>{}</LastModified><ETag>\"{}\"</ETag></Contents>",
                    escaped(key),
                    object.bytes.len(),
                    object.modified.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
                    object.generation
                );
            }
        }
        if is_truncated {
            body += &format!("<NextContinuationToken>{}</NextContinuationToken>", escaped(last));
        }
        document(format!(
            "<?xml version='1.0' encoding='UTF-8'?><ListBucketResult><Name>{BUCKET}</Name>\
             <IsTruncated>{is_truncated}</IsTruncated>{body}</ListBucketResult>"
        ))
    }
}

fn versions(generation: u64) -> String {
    format!("ETag: \"{generation}\"\r\nx-goog-generation: {generation}\r\nDate: {}\r\n", now())
}
