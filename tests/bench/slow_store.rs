//! The store that `upload` measures against: a server of our own behind the tests' proxy, as slow as a link.
//!
//! `slow_store LATENCY_MS BYTES_PER_SECOND`: what a request waits for its answer, and what one connection carries each
//! way. The first line that it prints is its port. For every line that it reads it prints what came since the last
//! one, as JSON; it ends with its input.

#![allow(clippy::print_stdout, reason = "a program of the bench")]

use std::io::BufRead;
use std::time::{Duration, Instant};

use keepwell_tests::fault_proxy::FaultProxy;
use keepwell_tests::fault_proxy::fault::Side;
use keepwell_tests::fault_proxy::link::Link;
use keepwell_tests::fault_proxy::script::Script;
use keepwell_tests::servers::Server;
use keepwell_tests::servers::plain_s3::PlainS3;
use serde_json::json;

/// The grain of what is told of the bytes on their way.
const STEP: Duration = Duration::from_millis(100);
/// More steps than a backup here takes.
const STEPS_MAX: usize = 10_000;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let (Some(Ok(latency_ms)), Some(Ok(bytes_per_second))) = (arguments.next(), arguments.next()) else {
        println!("usage: slow_store LATENCY_MS BYTES_PER_SECOND");
        std::process::exit(2);
    };
    let server = PlainS3::start();
    let link = Link {
        // Half of it on the way there, half on the way back.
        latency: Duration::from_millis(latency_ms) / 2,
        bytes_per_second: Some(bytes_per_second),
    };
    let proxy = FaultProxy::over_link(server.port(), Script::clean(), link);
    println!("{}", proxy.port());
    let (mut since, mut connections) = (Instant::now(), 0);
    for _ in std::io::stdin().lock().lines().map_while(Result::ok) {
        println!("{}", tell(&proxy, since, connections));
        (since, connections) = (Instant::now(), proxy.traffic().connection_count());
    }
}

/// Requests and bytes from a time on, by seconds after it; connections beyond those that there were already.
fn tell(proxy: &FaultProxy, since: Instant, connections: u64) -> serde_json::Value {
    let traffic = proxy.traffic();
    let requests: Vec<_> = traffic
        .requests()
        .into_iter()
        .filter(|request| request.at >= since)
        .map(|request| json!([(request.at - since).as_secs_f64(), request.method, request.path]))
        .collect();
    let steps = ((since.elapsed().as_secs_f64() / STEP.as_secs_f64()) as usize + 1).min(STEPS_MAX);
    let from = |step: usize| since + STEP * step as u32;
    let sent: Vec<u64> =
        (0..steps).map(|step| traffic.bytes_between(Side::Request, from(step), from(step + 1))).collect();
    json!({
        "connections": traffic.connection_count() - connections,
        "requests": requests,
        "step_seconds": STEP.as_secs_f64(),
        "sent_bytes": sent,
    })
}
