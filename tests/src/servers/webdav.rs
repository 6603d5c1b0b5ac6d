//! A WebDAV server of our own, strict where servers differ: it refuses a listing of everything below a folder,
//! and any write into a folder that was not made. What it holds is in memory.

use std::collections::BTreeMap;

use base64::Engine as _;
use parking_lot::Mutex;

use super::http::{Answer, HttpServer, Request, content, escaped, now};
use super::{SECRET, Server};

/// What lies at a path, without slashes at its ends: a file's bytes, or a folder.
type Entries = BTreeMap<String, Option<Vec<u8>>>;

/// A server that asks for a login.
pub struct StrictWebDav {
    server: HttpServer,
}

impl StrictWebDav {
    /// Starts it.
    pub fn start() -> Self {
        let entries = Mutex::new(Entries::from([(String::new(), None)]));
        Self { server: HttpServer::start(move |request| respond(&request, &mut entries.lock())) }
    }
}

impl Server for StrictWebDav {
    fn name(&self) -> &'static str {
        "strict WebDAV"
    }

    fn port(&self) -> u16 {
        self.server.port()
    }

    fn location(&self, port: u16, name: &str) -> String {
        format!("http://ada:{SECRET}@127.0.0.1:{port}/{}", super::http::encoded(name))
    }

    fn variables(&self, _: u16) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn creates_exclusively(&self) -> bool {
        false // WebDAV has no create-if-absent; `Store::create` says so.
    }
}

fn respond(request: &Request, entries: &mut Entries) -> Answer {
    let login = base64::engine::general_purpose::STANDARD.encode(format!("ada:{SECRET}"));
    if request.headers.get("authorization") != Some(&format!("Basic {login}")) {
        return Answer::status("401 Unauthorized");
    }
    let path = request.path.as_str();
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let has_folder = matches!(entries.get(parent), Some(None));
    match request.method.as_str() {
        "MKCOL" | "PUT" if !has_folder => Answer::status("409 Conflict"),
        "MKCOL" if entries.contains_key(path) => Answer::status("405 Method Not Allowed"),
        "MKCOL" => {
            entries.insert(path.into(), None);
            Answer::status("201 Created")
        }
        "PUT" => {
            entries.insert(path.into(), Some(request.body.clone()));
            Answer::status("201 Created")
        }
        "DELETE" if entries.remove(path).is_some() => Answer::status("204 No Content"),
        "PROPFIND" if request.headers.get("depth").is_none_or(|depth| depth == "infinity") => {
            Answer::status("403 Forbidden")
        }
        "PROPFIND" if entries.contains_key(path) => multistatus(path, entries),
        "GET" | "HEAD" => match entries.get(path) {
            Some(Some(bytes)) => {
                let modified = format!("Last-Modified: {}\r\n", now());
                content(bytes, modified, request.headers.get("range").map(String::as_str))
            }
            _ => Answer::status("404 Not Found"),
        },
        _ => Answer::status("404 Not Found"),
    }
}

/// A folder and what is directly in it.
fn multistatus(folder: &str, entries: &Entries) -> Answer {
    let mut body = "<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\">".to_owned();
    for (path, entry) in entries {
        let is_child = path.rsplit_once('/').map_or("", |(parent, _)| parent) == folder;
        if path != folder && !is_child {
            continue;
        }
        let (slash, properties) = match entry {
            None => ("/", "<D:resourcetype><D:collection/></D:resourcetype>".to_owned()),
            Some(bytes) => {
                let length = bytes.len();
                ("", format!("<D:resourcetype/><D:getcontentlength>{length}</D:getcontentlength>"))
            }
        };
        body += &format!(
            "<D:response><D:href>/{}{slash}</D:href><D:propstat><D:prop>{properties}\
             <D:getlastmodified>{}</D:getlastmodified></D:prop><D:status>HTTP/1.1 200 OK</D:status>\
             </D:propstat></D:response>",
            escaped(path),
            now()
        );
    }
    body += "</D:multistatus>";
    Answer { status: "207 Multi-Status", headers: "Content-Type: text/xml\r\n".into(), body: body.into() }
}
