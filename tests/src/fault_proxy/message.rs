//! Where an HTTP message ends: its head as it was sent, and how long its body is.

use std::io::{self, BufRead};

/// Longer heads are none.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// A message's head.
#[derive(Debug)]
pub(super) struct Head {
    /// All of it, the empty line included.
    pub(super) bytes: Vec<u8>,
    first: [String; 3],
    length: Option<u64>,
    is_chunked: bool,
}

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes.
    Sized(u64),
    /// Pieces, each with its length before it.
    Chunked,
    /// All that comes until the connection ends.
    UntilEnd,
}

impl Head {
    /// Reads one; `None` if the connection ends before it begins.
    pub(super) fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let (mut length, mut is_chunked) = (None, false);
        let mut first = None;
        loop {
            let start = bytes.len();
            if from.read_until(b'\n', &mut bytes)? == 0 {
                return if start == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            if bytes.len() > HEAD_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let line = String::from_utf8_lossy(&bytes[start..]).trim_end().to_owned();
            let Some(first) = &first else {
                let mut words = line.splitn(3, ' ').map(str::to_owned);
                let word = &mut || words.next().unwrap_or_default();
                first = Some([word(), word(), word()]);
                continue;
            };
            if line.is_empty() {
                return Ok(Some(Self { bytes, first: first.clone(), length, is_chunked }));
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().ok(),
                "transfer-encoding" => is_chunked = value.to_ascii_lowercase().contains("chunked"),
                _ => {}
            }
        }
    }

    /// A request's method.
    pub(super) fn method(&self) -> &str {
        &self.first[0]
    }

    /// A request's target.
    pub(super) fn path(&self) -> &str {
        &self.first[1]
    }

    /// A reply's status.
    pub(super) fn status(&self) -> u16 {
        self.first[1].parse().unwrap_or_default()
    }

    /// What follows a request's head.
    pub(super) fn request_body(&self) -> Body {
        if self.is_chunked { Body::Chunked } else { Body::Sized(self.length.unwrap_or(0)) }
    }

    /// What follows a reply's head, if it is the answer to a request of this method.
    pub(super) fn reply_body(&self, method: &str) -> Body {
        match self.status() {
            100..=199 | 204 | 304 => Body::Sized(0),
            _ if method == "HEAD" => Body::Sized(0),
            _ if self.is_chunked => Body::Chunked,
            _ => self.length.map_or(Body::UntilEnd, Body::Sized),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heads_first_line_and_length_are_understood() {
        for (text, method, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", "GET", Body::Sized(7)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n", "HEAD", Body::Sized(0)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", Body::Chunked),
            ("HTTP/1.1 204 No Content\r\n\r\n", "DELETE", Body::Sized(0)),
            ("HTTP/1.0 200 OK\r\n\r\n", "GET", Body::UntilEnd),
        ] {
            let head = Head::read(&mut text.as_bytes()).unwrap().unwrap();
            assert_eq!((head.reply_body(method), &*head.bytes), (body, text.as_bytes()));
        }
        let request = "PUT /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
        let head = Head::read(&mut request.as_bytes()).unwrap().unwrap();
        assert_eq!((head.method(), head.path(), head.request_body()), ("PUT", "/a?b=c", Body::Sized(3)));
        assert!(Head::read(&mut "".as_bytes()).unwrap().is_none());
        assert!(Head::read(&mut "GET / HT".as_bytes()).is_err());
    }
}
