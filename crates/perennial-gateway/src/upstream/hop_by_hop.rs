//! What concerns one connection alone and must not pass: RFC 9110 §7.6.1.

use http::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderName, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};

use crate::identity;

/// Removes what concerns one connection alone, and what `Connection` names.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // A request must not be able to take our own words away from the upstream.
        .filter(|name: &HeaderName| !identity::is_ours(name.as_str()) && ![HOST, AUTHORIZATION].contains(name))
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

static HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-connection"),
];
