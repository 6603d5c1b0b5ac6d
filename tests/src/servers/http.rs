//! HTTP/1.1 as far as servers of our own need it, and one request for those of others.
//!
//! Every connection has a thread, and so is as slow as its client and holds up nobody. Bodies have a length:
//! what comes in pieces of unknown number is refused.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What one request may carry: more than any pack.
const BODY_BYTES_MAX: usize = 256 << 20;
/// How long a single request of our own waits for its answer.
const EXCHANGE_MAX: Duration = Duration::from_secs(20);

/// One request, whole.
#[derive(Debug)]
pub struct Request {
    /// `GET`, …
    pub method: String,
    /// As it was sent, percent signs included, without slashes at its ends.
    pub path: String,
    /// Decoded names and values.
    pub query: BTreeMap<String, String>,
    /// By names in lower case.
    pub headers: BTreeMap<String, String>,
    /// All that followed.
    pub body: Vec<u8>,
}

/// What is answered.
#[derive(Debug)]
pub struct Answer {
    /// `200 OK`
    pub status: &'static str,
    /// Lines, each with its end; the length is added.
    pub headers: String,
    /// The body; after `HEAD` only its length is told.
    pub body: Vec<u8>,
}

impl Answer {
    /// A status and nothing else.
    pub fn status(status: &'static str) -> Self {
        Self { status, headers: String::new(), body: Vec::new() }
    }
}

/// A server of our own on a free loopback port; the listener goes with the value.
pub struct HttpServer {
    port: u16,
    is_over: Arc<AtomicBool>,
}

impl HttpServer {
    /// Starts it. `respond` is called by several threads at once.
    pub fn start(respond: impl Fn(Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, respond) = (Arc::clone(&is_over), Arc::new(respond));
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let respond = Arc::clone(&respond);
                std::thread::spawn(move || serve(connection, &*respond));
            }
        });
        Self { port, is_over }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Whoever waits for connections is woken by one.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn serve(mut connection: TcpStream, respond: &dyn Fn(Request) -> Answer) {
    let _ = connection.set_nodelay(true);
    let Ok(reading) = connection.try_clone() else { return };
    let mut reader = BufReader::new(reading);
    // What breaks off is its client's affair.
    while let Ok(Some(request)) = read_request(&mut reader) {
        let is_head = request.method == "HEAD";
        let answer = respond(request);
        let length = answer.body.len();
        let head =
            format!("HTTP/1.1 {}\r\nContent-Length: {length}\r\n{}\r\n", answer.status, answer.headers);
        let body = if is_head { &[][..] } else { &answer.body };
        if connection.write_all(&[head.as_bytes(), body].concat()).is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" if lines.is_empty() => {}
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let refused = || io::Error::from(io::ErrorKind::InvalidData);
    let headers: BTreeMap<_, _> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let length =
        headers.get("content-length").map_or(Ok(0), |length| length.parse().map_err(|_| refused()))?;
    if length > BODY_BYTES_MAX || headers.contains_key("transfer-encoding") {
        return Err(refused());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = lines[0].split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Err(refused()) };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name), decoded(&value.replace('+', " "))))
        .collect();
    Ok(Some(Request { method: method.into(), path: path.trim_matches('/').into(), query, headers, body }))
}

/// Undoes `%XX`.
pub fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// A path as a URL holds it: what is neither a letter, a digit nor a slash as `%XX`.
pub fn encoded(path: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_');
    percent_encoding::utf8_percent_encode(path, KEPT).to_string()
}

/// Text as XML holds it.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The time as HTTP spells it.
pub fn now() -> String {
    chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A file's answer to a request that may ask for a part of it.
pub fn content(bytes: &[u8], headers: String, range: Option<&str>) -> Answer {
    let Some((first, last)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
        return Answer { status: "200 OK", headers, body: bytes.to_vec() };
    };
    let size = bytes.len();
    let (start, end) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => (first, (last + 1).min(size)),
        (Ok(first), Err(_)) => (first, size),
        (Err(_), Ok(suffix)) => (size.saturating_sub(suffix), size),
        (Err(_), Err(_)) => return Answer::status("400 Bad Request"),
    };
    if start >= size {
        return Answer::status("416 Range Not Satisfiable");
    }
    let headers = format!("{headers}Content-Range: bytes {start}-{}/{size}\r\n", end - 1);
    Answer { status: "206 Partial Content", headers, body: bytes[start..end].to_vec() }
}

/// Sends one request, given as its method and path and further header lines, and returns the whole answer.
pub fn exchange(port: u16, request: &str, body: &[u8]) -> io::Result<String> {
    let (first, more) = request.split_once("\r\n").unwrap_or((request, ""));
    let more = if more.is_empty() { String::new() } else { format!("{more}\r\n") };
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    connection.set_read_timeout(Some(EXCHANGE_MAX))?;
    let head = format!(
        "{first} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {}\r\nConnection: close\r\n{more}\r\n",
        body.len()
    );
    connection.write_all(&[head.as_bytes(), body].concat())?;
    // The sending half stays open: some servers take its end for a client that went away.
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    // Some keep the connection open all the same.
    while !is_whole(&answer) {
        match connection.read(&mut piece)? {
            0 if answer.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            0 => break,
            length => answer.extend_from_slice(&piece[..length]),
        }
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Whether an answer has all the bytes that its head promises.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    length.is_some_and(|length| body.len() >= length)
}
