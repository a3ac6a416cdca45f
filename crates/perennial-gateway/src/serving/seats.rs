//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Seats for connections.
#[derive(Clone, Debug)]
pub(super) struct Seats {
    all: Arc<Semaphore>,
    per_address: usize,
    taken: Taken,
}

/// How many seats each address has.
type Taken = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// A connection's seat, given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    _one_of_all: OwnedSemaphorePermit,
    of: Option<(IpAddr, Taken)>,
}

impl Seats {
    pub(super) fn new(all: usize, per_address: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS))), per_address, taken: Arc::default() }
    }

    /// Waits for a seat.
    pub(super) async fn one(&self) -> Option<OwnedSemaphorePermit> {
        self.all.clone().acquire_owned().await.ok()
    }

    pub(super) fn are_all_taken(&self) -> bool {
        self.all.available_permits() == 0
    }

    /// Gives the seat to a client, who must not have too many already; a proxy we trust sits for many.
    pub(super) fn seat(&self, one: OwnedSemaphorePermit, client: IpAddr, trusted: bool) -> Option<Seat> {
        if trusted {
            return Some(Seat { _one_of_all: one, of: None });
        }
        let key = network(client);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(key).or_default();
        if *count >= self.per_address {
            return None;
        }
        *count += 1;
        Some(Seat { _one_of_all: one, of: Some((key, self.taken.clone())) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some((key, taken)) = &self.of else { return };
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(key)),
        }
    }
}

/// What counts as one client: an IPv4 address, or the /64 that a provider gives to one line of IPv6 (RFC 6177).
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_has_so_many_seats_and_a_trusted_one_as_many_as_there_are() {
        let seats = Seats::new(4, 2);
        let sit = async |client: &str, trusted| {
            let one = seats.one().await.expect("a seat");
            seats.seat(one, client.parse().expect("an address"), trusted)
        };
        let first = sit("192.0.2.1", false).await;
        let second = sit("::ffff:192.0.2.1", false).await;
        assert!(first.is_some() && second.is_some());
        assert!(sit("192.0.2.1", false).await.is_none(), "the third of two");
        assert!(sit("192.0.2.2", false).await.is_some(), "another's");
        let proxies = [sit("192.0.2.1", true).await, sit("192.0.2.1", true).await];
        assert!(proxies.iter().all(Option::is_some) && seats.are_all_taken());
        drop((first, proxies));
        assert!(sit("192.0.2.1", false).await.is_some(), "given back");
        drop(second);
        assert!(seats.taken.lock().expect("no panic").is_empty(), "nothing is kept of those who went");
    }

    #[test]
    fn a_line_of_ipv6_is_one_client() {
        for (address, expected) in [
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("192.0.2.255", "192.0.2.255"),
        ] {
            assert_eq!(network(address.parse().expect("an address")).to_string(), expected, "{address}");
        }
    }
}
