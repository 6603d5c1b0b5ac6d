//! A small WebDAV server for tests, strict where servers differ: it refuses a
//! listing of everything below a folder, and any write into a folder that was
//! not made. It asks for the login `ada` / `s3cr@t`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use base64::Engine as _;
use parking_lot::Mutex;

/// What lies at a path, without slashes at its ends: a file's bytes, or a folder.
type Entries = Arc<Mutex<BTreeMap<String, Option<Vec<u8>>>>>;

struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: &'static str,
    headers: String,
    body: Vec<u8>,
}

/// Starts it on a free port, for as long as the process lives.
pub(super) fn start() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let entries = Entries::default();
    entries.lock().insert(String::new(), None);
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let entries = Arc::clone(&entries);
            std::thread::spawn(move || serve(connection, &entries));
        }
    });
    port
}

fn serve(mut connection: TcpStream, entries: &Entries) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    while let Some(request) = read_request(&mut reader) {
        let answer = respond(&request, entries);
        let length = answer.body.len();
        let head =
            format!("HTTP/1.1 {}\r\nContent-Length: {length}\r\n{}\r\n", answer.status, answer.headers);
        let body = if request.method == "HEAD" { &[][..] } else { &answer.body };
        if connection.write_all(&[head.as_bytes(), body].concat()).is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut lines = reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let first = lines.next()?;
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.trim_matches('/').to_owned());
    Some(Request { method, path, headers, body })
}

fn respond(request: &Request, entries: &Entries) -> Answer {
    let login = base64::engine::general_purpose::STANDARD.encode("ada:s3cr@t");
    if request.headers.get("authorization") != Some(&format!("Basic {login}")) {
        return status("401 Unauthorized");
    }
    let mut entries = entries.lock();
    let path = request.path.as_str();
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let has_folder = matches!(entries.get(parent), Some(None));
    match request.method.as_str() {
        "MKCOL" | "PUT" if !has_folder => status("409 Conflict"),
        "MKCOL" if entries.contains_key(path) => status("405 Method Not Allowed"),
        "MKCOL" => {
            entries.insert(path.into(), None);
            status("201 Created")
        }
        "PUT" => {
            entries.insert(path.into(), Some(request.body.clone()));
            status("201 Created")
        }
        "DELETE" => status(if entries.remove(path).is_some() { "204 No Content" } else { "404 Not Found" }),
        "PROPFIND" if request.headers.get("depth").is_none_or(|depth| depth == "infinity") => {
            status("403 Forbidden")
        }
        "PROPFIND" if entries.contains_key(path) => multistatus(path, &entries),
        "GET" | "HEAD" => match entries.get(path) {
            Some(Some(bytes)) => content(bytes, request.headers.get("range").map(String::as_str)),
            _ => status("404 Not Found"),
        },
        _ => status("404 Not Found"),
    }
}

fn status(status: &'static str) -> Answer {
    Answer { status, headers: String::new(), body: Vec::new() }
}

fn content(bytes: &[u8], range: Option<&str>) -> Answer {
    let modified = "Last-Modified: ".to_owned() + &now() + "\r\n";
    let Some((first, last)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
        return Answer { status: "200 OK", headers: modified, body: bytes.to_vec() };
    };
    let size = bytes.len();
    let (start, end) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => (first, (last + 1).min(size)),
        (Ok(first), Err(_)) => (first, size),
        (Err(_), Ok(suffix)) => (size.saturating_sub(suffix), size),
        (Err(_), Err(_)) => return status("400 Bad Request"),
    };
    if start >= size {
        return status("416 Range Not Satisfiable");
    }
    let headers = format!("{modified}Content-Range: bytes {start}-{}/{size}\r\n", end - 1);
    Answer { status: "206 Partial Content", headers, body: bytes[start..end].to_vec() }
}

/// A folder and what is directly in it.
fn multistatus(folder: &str, entries: &BTreeMap<String, Option<Vec<u8>>>) -> Answer {
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
            "<D:response><D:href>/{path}{slash}</D:href><D:propstat><D:prop>{properties}\
             <D:getlastmodified>{}</D:getlastmodified></D:prop><D:status>HTTP/1.1 200 OK</D:status>\
             </D:propstat></D:response>",
            now()
        );
    }
    body += "</D:multistatus>";
    Answer { status: "207 Multi-Status", headers: "Content-Type: text/xml\r\n".into(), body: body.into() }
}

fn now() -> String {
    chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
