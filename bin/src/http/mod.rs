//! The HTTP door: commands in, events out, and the page.
//!
//! It decides nothing: a request passes the [gate], becomes a command by its name, and the answer is told with a
//! status. Adding a command to the messages is enough to reach it here.

mod answer;
mod commands;
mod connections;
mod description;
mod download;
mod events;
mod gate;
mod health;
mod login;
mod page;
mod peer;
mod routes;
mod socket;
mod tls;
mod token;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle, Service};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use futures::FutureExt;
use keepwell_actors::Handle;

use self::connections::Connections;
use self::events::Listeners;
use self::gate::Gate;
use self::health::{Measures, Readiness};
use crate::broker::SharedState;
use crate::doors::{DoorError, Kind};
use crate::exit::Failure;

pub use self::tls::{Certificate, certificate_sha256};
pub use self::token::Token;

/// Waiting in the system's queue while a thousand come back at once.
const BACKLOG: u32 = 2_048;
/// A client sends its headers within this time.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// A client that is silent between requests is let go.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// A client that takes nothing of what it is sent for so long is cut off by the kernel, whatever else holds it. Whoever
/// lets a download rest has as long as the download itself gives him.
const NOTHING_TAKEN_MAX: Duration = keepwell_actors::STALL_MAX;
/// Answers that are under way at a stop have so long.
const STOP_WITHIN_SECONDS: u64 = 1;
/// Commands and events are small; more threads would only wait for the journal.
const WORKERS: usize = 2;

/// What the door is opened with.
pub struct HttpDoor {
    /// Where it listens.
    pub listener: TcpListener,
    /// What it shows, if it speaks TLS.
    pub certificate: Option<Arc<Certificate>>,
    /// What opens it.
    pub token: Token,
    /// Names that it is called by, beside addresses and `localhost`.
    pub names: Vec<String>,
}

impl HttpDoor {
    /// Takes a place to listen at.
    pub fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
        let listener = TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            let millis = u32::try_from(NOTHING_TAKEN_MAX.as_millis()).expect("some minutes");
            // A kernel that does not know it goes by its own patience.
            let _ = rustix::net::sockopt::set_tcp_user_timeout(&listener, millis);
            Ok(listener)
        });
        listener.map_err(|error| {
            let failure = Failure::usage(format!("the daemon cannot listen at {address}: {error}"));
            match error.kind() {
                std::io::ErrorKind::AddrInUse => failure.hint(
                    "another program, perhaps another keepwell, listens there: choose another port with --listen, or \
                     with listen in the table [daemon] of the configuration",
                ),
                std::io::ErrorKind::PermissionDenied => failure.hint("choose a port of 1024 or more"),
                std::io::ErrorKind::AddrNotAvailable => {
                    failure.hint("this machine has no such address; `ip address` lists those that it has")
                }
                _ => failure,
            }
        })
    }

    /// Opens it. It serves as long as the server is polled, and is stopped by its handle. How the `broker` is doing is
    /// part of how the daemon is doing.
    pub fn open(
        self,
        handle: Handle,
        broker: Option<SharedState>,
    ) -> Result<(Server, ServerHandle), Failure> {
        let failed = |error: std::io::Error| Failure::usage(format!("the daemon cannot serve: {error}"));
        let gate = web::Data::from(Gate::new(self.token, &self.names));
        let connections = Connections::of_this_process();
        let (handle, listeners) =
            (web::Data::new(handle), web::Data::new(Listeners::new(connections.listeners)));
        let (measures, readiness) =
            (web::Data::new(Measures::default()), web::Data::new(Readiness::default()));
        let broker = web::Data::new(broker);
        let certificate = self.certificate;
        let server = HttpServer::new(move || {
            let counted = measures.clone();
            App::new()
                .app_data(gate.clone())
                .app_data(handle.clone())
                .app_data(listeners.clone())
                .app_data(measures.clone())
                .app_data(readiness.clone())
                .app_data(broker.clone())
                .app_data(web::QueryConfig::default().error_handler(|error, _| {
                    DoorError::new(Kind::BadBody, format!("the address cannot be read: {error}")).into()
                }))
                .app_data(web::PathConfig::default().error_handler(|error, _| {
                    DoorError::new(Kind::NotFound, format!("the address cannot be read: {error}")).into()
                }))
                .wrap(from_fn(gate::guard))
                .wrap_fn(move |request, service| {
                    let counted = counted.clone();
                    service.call(request).map(move |answered| {
                        if let Ok(response) = &answered {
                            counted.count_answer(response.status().as_u16());
                        }
                        answered
                    })
                })
                .configure(routes::routes)
        });
        let server = server
            .workers(WORKERS)
            .backlog(BACKLOG)
            .max_connections(connections.in_all.div_ceil(WORKERS))
            // Nobody who is gone is answered: what he asked for ends with his connection.
            .h1_allow_half_closed(false)
            .client_request_timeout(HEADERS_WITHIN)
            .keep_alive(KEEP_ALIVE)
            .shutdown_timeout(STOP_WITHIN_SECONDS)
            .disable_signals();
        let server = match certificate {
            Some(certificate) => server.listen_rustls_0_23(self.listener, certificate.server()),
            None => server.listen(self.listener),
        };
        let server = server.map_err(failed)?.run();
        let stop = server.handle();
        Ok((server, stop))
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::sockopt::tcp_user_timeout;

    use super::*;

    #[test]
    fn every_connection_is_cut_off_if_it_takes_nothing() {
        let listener = HttpDoor::listen(([127, 0, 0, 1], 0).into()).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let accepted = loop {
            match listener.accept() {
                Ok((accepted, _)) => break accepted,
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}"),
            }
        };
        assert_eq!(u128::from(tcp_user_timeout(&accepted).unwrap()), NOTHING_TAKEN_MAX.as_millis());
    }
}
