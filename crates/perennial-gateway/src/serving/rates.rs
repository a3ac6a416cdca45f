//! How often one client may come to endpoints that cost more than a look: sign-in and renewal. Buckets by the cell rate algorithm.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use http::Method;
use perennial::Auth;

use super::limits::Limits;
use super::seats::network;

/// How often one client may come to our own endpoints.
#[derive(Debug)]
pub(crate) struct Rates {
    sign_in: Rate,
    renewal: Rate,
    base_path: String,
}

impl Rates {
    pub(crate) fn new(auth: &Auth, limits: &Limits) -> Self {
        Self {
            sign_in: Rate::per_minute(limits.sign_ins_per_minute),
            renewal: Rate::per_minute(limits.renewals_per_minute),
            base_path: auth.settings().base_path.clone(),
        }
    }

    /// Takes one for a request to one of our endpoints.
    ///
    /// # Errors
    /// After what time there is one again.
    pub(crate) fn take(&self, method: &Method, path: &str, client: IpAddr) -> Result<(), Duration> {
        let endpoint = path.strip_prefix(&*self.base_path).unwrap_or(path);
        match endpoint.split('/').nth(1) {
            Some("signin") if method == Method::POST => self.sign_in.take(client),
            Some("callback") => self.sign_in.take(client),
            Some("refresh") => self.renewal.take(client),
            // Only these read and write what the store has.
            Some("session" | "signout") if method == Method::POST => self.renewal.take(client),
            Some("api") => self.renewal.take(client),
            _ => Ok(()),
        }
    }
}

/// One bucket for each client, and one for all others when there are too many clients to tell apart.
#[derive(Debug)]
struct Rate {
    buckets: RateLimiter<IpAddr, HashMapStateStore<IpAddr>, MonotonicClock>,
    /// When those who have been silent were last forgotten.
    swept: Mutex<Option<Instant>>,
}

impl Rate {
    /// So many requests in a minute, which may come all at once; zero is one.
    fn per_minute(count: u32) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN));
        Self { buckets: RateLimiter::new(quota, HashMapStateStore::default(), MonotonicClock), swept: Mutex::default() }
    }

    /// Takes one from the client's bucket.
    ///
    /// # Errors
    /// After what time there is one again.
    fn take(&self, client: IpAddr) -> Result<(), Duration> {
        let client = if self.is_crowded() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { network(client) };
        self.buckets.check_key(&client).map_err(|until| until.wait_time_from(self.buckets.clock().now()))
    }

    /// Whether there are too many clients to tell apart, also when those are forgotten whose buckets are full again.
    fn is_crowded(&self) -> bool {
        if self.buckets.len() < CLIENTS_MAX {
            return false;
        }
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if swept.is_none_or(|swept| swept.elapsed() >= SWEEP_INTERVAL) {
            *swept = Some(Instant::now());
            self.buckets.retain_recent();
        }
        self.buckets.len() >= CLIENTS_MAX
    }
}

/// Clients told apart at once: a few MiB. Whoever has so many addresses is met by the one bucket of the crowd, together with
/// newcomers, until old ones have been silent for a minute.
const CLIENTS_MAX: usize = 65_536;

/// How often a full table is looked through: each look reads all of it.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_a_minutes_worth_and_is_the_clients_own() {
        let rate = Rate::per_minute(3);
        let alice: IpAddr = "2001:db8::1".parse().expect("an address");
        for turn in 0..3 {
            assert_eq!(rate.take(alice), Ok(()), "{turn}");
        }
        let wait = rate.take("2001:db8::2".parse().expect("an address")).expect_err("the fourth, from the same /64");
        assert!(wait > Duration::from_secs(15) && wait <= Duration::from_secs(20), "{wait:?}");
        assert_eq!(rate.take("192.0.2.1".parse().expect("an address")), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_the_crowd_shares_a_bucket() {
        let rate = Rate::per_minute(2);
        let stranger =
            |number: usize| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(number).expect("small")));
        for number in 0..CLIENTS_MAX {
            assert_eq!(rate.take(stranger(number)), Ok(()));
        }
        let verdicts: Vec<_> = (0..3).map(|more| rate.take(stranger(CLIENTS_MAX + more)).is_ok()).collect();
        assert_eq!(verdicts, [true, true, false]);
        assert_eq!(rate.buckets.len(), CLIENTS_MAX + 1);
    }
}
