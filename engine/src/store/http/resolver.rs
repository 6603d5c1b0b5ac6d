//! Looks up names, so that a name that is not known is told apart by type from a server that does not answer.
//!
//! A lookup takes a thread, and cannot be ended; whoever waits for it has a limit of their own.

use std::net::{SocketAddr, ToSocketAddrs};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::crypto;
use crate::error::plain_reason;

/// The system's own lookup.
#[derive(Clone, Copy, Debug)]
pub(super) struct SystemResolver {
    /// Whether each lookup's addresses come in another order, which spreads connections over servers.
    pub(super) shuffled: bool,
}

/// A name has no address, or nobody could be asked for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name {name} has no address ({why})")]
pub(in crate::store) struct NameUnresolved {
    pub(super) name: String,
    pub(super) why: String,
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (name, shuffled) = (name.as_str().to_owned(), self.shuffled);
        Box::pin(async move {
            let unresolved = |why: String| NameUnresolved { name: name.clone(), why };
            let asked = name.clone();
            let looked_up = tokio::task::spawn_blocking(move || {
                // The port is put in by the client.
                (asked.as_str(), 0).to_socket_addrs().map(Iterator::collect::<Vec<SocketAddr>>)
            });
            let mut addresses = looked_up
                .await
                .map_err(|error| unresolved(error.to_string()))?
                .map_err(|error| unresolved(plain_reason(&error)))?;
            if addresses.is_empty() {
                return Err(unresolved("none was given".into()).into());
            }
            if shuffled {
                shuffle(&mut addresses);
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn shuffle(addresses: &mut [SocketAddr]) {
    for last in (1..addresses.len()).rev() {
        let mut random = [0; 8];
        if crypto::fill_random(&mut random).is_err() {
            return; // the order that came is as good
        }
        addresses.swap(last, (u64::from_le_bytes(random) % (last as u64 + 1)) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffling_keeps_every_address() {
        let all: Vec<SocketAddr> = (0..9u8).map(|n| ([127, 0, 0, n], 0).into()).collect();
        let mut shuffled = all.clone();
        shuffle(&mut shuffled);
        shuffled.sort();
        assert_eq!(shuffled, all);
        shuffle(&mut []);
    }
}
