//! Arbitrary `Cookie` headers: nothing panics, nothing opens that the key did not seal, and names stay ours.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use perennial_core::Timestamp;
use perennial_core::cookie::{KeyRing, clear, join, split};
use perennial_core::limits::{COOKIE_CHUNKS, COOKIE_NAMESAKES};
use perennial_core::secret::CookieSecret;

const NAME: &str = "s";

/// The fuzzer can read this secret out of the binary, but it cannot compute an HMAC by mutation.
static RINGS: LazyLock<[KeyRing; 2]> = LazyLock::new(|| {
    let secrets = ["new", "old"].map(CookieSecret::new);
    [KeyRing::new(&secrets, NAME).expect("two secrets"), KeyRing::next_auth_v4(&secrets).expect("two secrets")]
});

fuzz_target!(|header: &str| {
    let cookies = header.split(';').filter_map(|pair| pair.trim().split_once('='));
    let Some(joined) = join(NAME, cookies) else { return };

    assert!(joined.candidates().count() <= COOKIE_CHUNKS + COOKIE_NAMESAKES);
    assert_eq!(clear(NAME, &joined.names).len(), joined.names.len(), "all that was found can be deleted");
    for ring in &*RINGS {
        assert!(joined.open(ring, Timestamp::from_unix_seconds(0)).is_err(), "opened without the key");
    }
    for candidate in joined.candidates() {
        let writes = split(NAME, candidate, &joined.names).expect("what was read fits");
        let written: String = writes.iter().filter_map(|write| write.value.as_deref()).collect();
        assert_eq!(written, candidate);
    }
});
