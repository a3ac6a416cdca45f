//! What concerns one connection alone and must not pass: RFC 9110 §7.6.1.
//!
//! `Trailer` is not among it (§6.6.2): trailers go through, and are announced by it. `TE` is, but what it says of trailers is
//! true of us, too, and is said again.

use http::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING,
    UPGRADE,
};

use crate::identity;

/// Removes what concerns one connection alone, and what `Connection` names.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = connection_options(headers)
        .filter_map(|name| name.parse().ok())
        // A request must not be able to take our own words away from the upstream.
        .filter(|name: &HeaderName| !identity::is_ours(name.as_str()) && ![HOST, AUTHORIZATION].contains(name))
        .collect();
    // Most of them are not there, and to look each up takes longer than to look at those that are.
    let there: Vec<HeaderName> = headers.keys().filter(|name| HOP_BY_HOP.contains(name)).cloned().collect();
    for name in named.iter().chain(&there) {
        headers.remove(name);
    }
}

/// Whether the client takes trailers (RFC 9110 §10.1.4).
pub(super) fn takes_trailers(headers: &HeaderMap) -> bool {
    let words = headers.get_all(TE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    words
        .map(|word| word.split(';').next().unwrap_or_default().trim())
        .any(|word| word.eq_ignore_ascii_case("trailers"))
}

fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value: &HeaderValue| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

static HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-connection"),
];
