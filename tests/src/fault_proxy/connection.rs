//! One client's connection: requests go to the server one by one, each over a connection of its own, and meet
//! their faults on the way.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Shared;
use super::fault::{Fault, Side};
use super::link::Pace;
use super::message::{Body, Head};

/// Heads and small replies are read through this.
const BUFFER_BYTES: usize = 16 << 10;
/// A client that waits longer for what never comes is let go, so that no test hangs for good.
const SILENCE_MAX: Duration = Duration::from_secs(120);
/// Between two bytes of a trickle.
const TRICKLE: Duration = Duration::from_secs(1);

/// Why no more comes on this connection.
enum Break {
    /// Closed in order, by a fault or by a peer.
    Closed,
    /// Closed so that the client learns of it as an error.
    Reset,
    /// Open, and silent until the client goes.
    Silent,
}

impl From<io::Error> for Break {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// What a message goes through: pace, counters, and its fault.
struct Way<'a> {
    shared: &'a Shared,
    side: Side,
    pace: Pace,
    fault: Option<Fault>,
    passed_bytes: u64,
}

pub(super) fn serve(client: &TcpStream, shared: &Shared) {
    let Err(end) = exchange_all(client, shared) else { return };
    match end {
        Break::Closed => {}
        Break::Reset => reset(client),
        Break::Silent => {
            wait_for_end(client, SILENCE_MAX);
        }
    }
}

/// Ends when the client closes its connection between two requests.
fn exchange_all(client: &TcpStream, shared: &Shared) -> Result<(), Break> {
    let _ = client.set_nodelay(true);
    let mut from_client = BufReader::with_capacity(BUFFER_BYTES, client.try_clone()?);
    let (up, down) = (Pace::new(shared.link), Pace::new(shared.link));
    let mut ways = [(Side::Request, up), (Side::Reply, down)].map(|(side, pace)| Way {
        shared,
        side,
        pace,
        fault: None,
        passed_bytes: 0,
    });
    while let Some(head) = Head::read(&mut from_client)? {
        let decide = |number| shared.script.lock().fault(number, head.method(), head.path());
        let fault = shared.traffic.requested(head.method(), head.path(), decide);
        for way in &mut ways {
            (way.fault, way.passed_bytes) = (fault, 0);
        }
        exchange(client, &mut from_client, &head, &mut ways)?;
    }
    Ok(())
}

fn exchange(
    client: &TcpStream,
    from_client: &mut impl BufRead,
    request: &Head,
    [up, down]: &mut [Way<'_>; 2],
) -> Result<(), Break> {
    match up.fault {
        Some(Fault::Refuse(time)) => {
            up.shared.refuse(time);
            return Err(Break::Reset);
        }
        Some(Fault::Answer { status, retry_after_seconds }) => {
            up.count(request.bytes.len());
            up.forward(from_client, &mut io::sink(), request.request_body())?;
            let answer = answer(status, retry_after_seconds);
            return down.send(&answer, &mut &*client);
        }
        Some(Fault::Delay(time)) => std::thread::sleep(time),
        _ => {}
    }
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, up.shared.server_port))?;
    let _ = server.set_nodelay(true);
    up.delay();
    up.send(&request.bytes, &mut &server)?;
    let is_cut = matches!(up.fault, Some(Fault::Cut { side: Side::Request, .. }));
    let is_sent = match up.forward(from_client, &mut &server, request.request_body()) {
        Ok(()) => true,
        // A server may answer before it has read all, and close: its answer is worth passing on.
        Err(Break::Closed) if !is_cut => false,
        Err(end) => return Err(end),
    };
    let mut from_server = BufReader::with_capacity(BUFFER_BYTES, &server);
    let reply = loop {
        let head = Head::read(&mut from_server)?.ok_or(Break::Closed)?;
        // What is only a sign to go on is followed by the reply.
        if !(100..200).contains(&head.status()) {
            break head;
        }
        down.send(&head.bytes, &mut &*client)?;
    };
    let body = reply.reply_body(request.method());
    down.delay();
    match down.fault {
        Some(Fault::LoseReply) => {
            io::copy(&mut from_server.take(1 << 20), &mut io::sink())?;
            return Err(Break::Closed);
        }
        Some(Fault::TruncateReply) => {
            let half = match body {
                Body::Sized(bytes) => bytes / 2,
                Body::Chunked | Body::UntilEnd => 0,
            };
            // A reply without a body is cut in its head.
            let head = if half == 0 { reply.bytes.len() / 2 } else { reply.bytes.len() };
            down.send(&reply.bytes[..head], &mut &*client)?;
            down.forward(&mut from_server, &mut &*client, Body::Sized(half))?;
            return Err(Break::Closed);
        }
        _ => {}
    }
    down.send(&reply.bytes, &mut &*client)?;
    down.forward(&mut from_server, &mut &*client, body)?;
    if is_sent && body != Body::UntilEnd { Ok(()) } else { Err(Break::Closed) }
}

fn answer(status: u16, retry_after_seconds: Option<u32>) -> Vec<u8> {
    let reason = match status {
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Made Up",
    };
    let retry = retry_after_seconds.map_or(String::new(), |seconds| format!("Retry-After: {seconds}\r\n"));
    format!("HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\n{retry}\r\n").into()
}

impl Way<'_> {
    fn delay(&self) {
        std::thread::sleep(self.shared.link.latency);
    }

    /// Passes a body on as it comes.
    fn forward(&mut self, from: &mut impl BufRead, to: &mut impl Write, body: Body) -> Result<(), Break> {
        match body {
            Body::Sized(bytes) => self.forward_bytes(from, to, bytes),
            Body::UntilEnd => self.forward_bytes(from, to, u64::MAX).or_else(|end| match end {
                Break::Closed => Ok(()),
                end => Err(end),
            }),
            Body::Chunked => loop {
                let size = self.forward_line(from, to)?;
                let size = size.split(';').next().unwrap_or_default().trim();
                match u64::from_str_radix(size, 16).map_err(|_| Break::Closed)? {
                    0 => {
                        // Trailers, if any, and an empty line.
                        while !self.forward_line(from, to)?.trim().is_empty() {}
                        return Ok(());
                    }
                    bytes => self.forward_bytes(from, to, bytes + 2)?,
                }
            },
        }
    }

    fn forward_bytes(
        &mut self,
        from: &mut impl BufRead,
        to: &mut impl Write,
        bytes: u64,
    ) -> Result<(), Break> {
        let mut left = bytes;
        let mut piece = vec![0; self.shared.link.piece_bytes()];
        while left > 0 {
            let wanted = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let length = from.read(&mut piece[..wanted])?;
            if length == 0 {
                return Err(Break::Closed);
            }
            self.send(&piece[..length], to)?;
            left -= length as u64;
        }
        Ok(())
    }

    fn forward_line(&mut self, from: &mut impl BufRead, to: &mut impl Write) -> Result<String, Break> {
        let mut line = Vec::new();
        from.read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Err(Break::Closed);
        }
        self.send(&line, to)?;
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Sends bytes that are there, or as many of them as the fault lets pass.
    fn send(&mut self, bytes: &[u8], to: &mut impl Write) -> Result<(), Break> {
        let room = match self.fault {
            Some(
                Fault::Cut { side, after_bytes }
                | Fault::Reset { side, after_bytes }
                | Fault::Stall { side, after_bytes },
            ) if side == self.side => after_bytes,
            Some(Fault::Trickle { after_bytes }) if self.side == Side::Reply => after_bytes,
            _ => u64::MAX,
        };
        let room = usize::try_from(room.saturating_sub(self.passed_bytes)).unwrap_or(usize::MAX);
        let (now, later) = bytes.split_at(room.min(bytes.len()));
        self.count(now.len());
        let until = self.pace.take(Instant::now(), now.len() as u64);
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        to.write_all(now)?;
        to.flush()?;
        match self.fault {
            _ if later.is_empty() => Ok(()),
            Some(Fault::Reset { .. }) => Err(Break::Reset),
            Some(Fault::Stall { .. }) => Err(Break::Silent),
            Some(Fault::Trickle { .. }) => self.trickle(later, to),
            _ => Err(Break::Closed),
        }
    }

    fn trickle(&mut self, bytes: &[u8], to: &mut impl Write) -> Result<(), Break> {
        for byte in bytes {
            if self.shared.sleep_until_over(TRICKLE) {
                return Err(Break::Closed);
            }
            self.count(1);
            to.write_all(std::slice::from_ref(byte))?;
            to.flush()?;
        }
        Ok(())
    }

    fn count(&mut self, bytes: usize) {
        self.passed_bytes += bytes as u64;
        if bytes > 0 {
            self.shared.traffic.passed(self.side, bytes as u64);
        }
    }
}

/// Makes the close that follows a reset.
pub(super) fn reset(client: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(client, Some(Duration::ZERO));
}

/// Waits until the client has closed the connection, without reading what it sent.
fn wait_for_end(client: &TcpStream, at_most: Duration) {
    let time = Timespec { tv_sec: at_most.as_secs() as i64, tv_nsec: 0 };
    let mut ends = [PollFd::new(client, PollFlags::RDHUP)];
    let _ = poll(&mut ends, Some(&time));
}
