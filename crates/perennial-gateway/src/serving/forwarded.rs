//! For whom a request came, told by proxies in front of us (RFC 7239; `X-Forwarded-*`). They are believed when they are configured
//! as ours; what anybody else says of himself is thrown away, and what upstreams are told is written anew.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::header::{FORWARDED, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use super::hygiene::is_host;

/// The proxies in front of us, and the headers in which they say whose request it is.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    /// Their networks. None: whoever connects is the client.
    pub networks: Vec<IpNet>,
    /// What they write. The other kind is not looked at: a proxy that does not write it passes on what its client wrote.
    pub header: ForwardedBy,
}

/// Which headers trusted proxies write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedBy {
    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    #[default]
    XForwarded,
    /// `Forwarded`.
    Forwarded,
}

/// For whom a request came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The client: whoever connected, or whom the outermost trusted proxy names.
    pub(crate) address: IpAddr,
    /// The trusted proxies between the client and us, the nearest last.
    proxies: Vec<IpAddr>,
    /// How the client spoke to the outermost proxy, and which host it asked for, if a trusted proxy said so.
    scheme: Option<&'static str>,
    host: Option<HeaderValue>,
}

impl TrustedProxies {
    /// Whether the proxy at this address is believed.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// For whom `peer` sent a request with these headers: from the nearest on, the first address that is no trusted proxy's.
    pub(crate) fn caller(&self, headers: &HeaderMap, peer: IpAddr) -> Caller {
        let mut caller = Caller::direct(peer);
        if !self.trusts(peer) {
            return caller;
        }
        let hops = match self.header {
            ForwardedBy::XForwarded => x_forwarded(headers),
            ForwardedBy::Forwarded => forwarded(headers),
        };
        for hop in hops.iter().rev() {
            // A proxy that names nobody ("unknown", a made-up name) is the last we know of.
            let Some(address) = hop.address else { break };
            caller.proxies.insert(0, caller.address);
            caller.address = address;
            caller.scheme = hop.scheme.or(caller.scheme);
            caller.host = hop.host.clone().or(caller.host);
            if !self.trusts(address) {
                break;
            }
        }
        caller
    }
}

impl Caller {
    pub(crate) fn direct(peer: IpAddr) -> Self {
        Self { address: peer.to_canonical(), proxies: Vec::new(), scheme: None, host: None }
    }

    /// Writes what upstreams are told in place of what came in under these names. `scheme` is the public URL's.
    pub(crate) fn announce(&self, headers: &mut HeaderMap, scheme: &str) {
        headers.remove(FORWARDED);
        let mut chain = self.address.to_string();
        for proxy in &self.proxies {
            chain.push_str(", ");
            chain.push_str(&proxy.to_string());
        }
        let host = self.host.clone().or_else(|| headers.get(HOST).cloned());
        let mut set = |name: HeaderName, value: Option<HeaderValue>| match value {
            Some(value) => drop(headers.insert(name, value)),
            None => drop(headers.remove(name)),
        };
        set(X_FORWARDED_FOR, HeaderValue::from_maybe_shared(Bytes::from(chain)).ok());
        let ours = if scheme == "https" { "https" } else { "http" };
        set(X_FORWARDED_PROTO, Some(HeaderValue::from_static(self.scheme.unwrap_or(ours))));
        set(X_FORWARDED_HOST, host);
    }
}

/// What one proxy says of whom it got the request from.
#[derive(Debug, Default)]
struct Hop {
    address: Option<IpAddr>,
    scheme: Option<&'static str>,
    host: Option<HeaderValue>,
}

/// `X-Forwarded-For` has one entry for each hop. The other two tell of the outermost alone; where proxies made lists of them, the
/// nearest, who is the only one sure to be ours, wrote the last entry.
fn x_forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let scheme = last(headers, &X_FORWARDED_PROTO).and_then(scheme);
    let host = last(headers, &X_FORWARDED_HOST).and_then(host);
    let mut hops: Vec<Hop> =
        list(headers, &X_FORWARDED_FOR).map(|entry| Hop { address: address(entry), ..Hop::default() }).collect();
    if let Some(nearest) = hops.last_mut() {
        (nearest.scheme, nearest.host) = (scheme, host);
    }
    hops
}

/// `Forwarded: for=192.0.2.60;proto=https;host=app.example, for="[2001:db8::1]:4711"` (RFC 7239 §4).
fn forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let hop = |element: &str| {
        let mut hop = Hop::default();
        for pair in element.split(';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match name.trim() {
                name if name.eq_ignore_ascii_case("for") => hop.address = address(value),
                name if name.eq_ignore_ascii_case("proto") => hop.scheme = scheme(value),
                name if name.eq_ignore_ascii_case("host") => hop.host = host(value),
                _ => {}
            }
        }
        hop
    };
    list(headers, &FORWARDED).map(hop).collect()
}

/// The entries of a list header over all its lines; an entry that is no text is an empty one.
fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().map(|line| line.to_str().unwrap_or_default());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    list(headers, name).last()
}

/// An address, perhaps with a port.
fn address(text: &str) -> Option<IpAddr> {
    let plain = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = plain.parse::<IpAddr>().ok();
    address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip())).map(|address| address.to_canonical())
}

fn scheme(text: &str) -> Option<&'static str> {
    ["https", "http"].into_iter().find(|scheme| text.eq_ignore_ascii_case(scheme))
}

fn host(text: &str) -> Option<HeaderValue> {
    is_host(text.as_bytes()).then(|| HeaderValue::from_str(text).ok()).flatten()
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(header: ForwardedBy) -> TrustedProxies {
        let networks = ["10.0.0.0/8", "2001:db8:aa::/48"].map(|network| network.parse().expect("a network"));
        TrustedProxies { networks: networks.to_vec(), header }
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_nearest_address_that_is_not_ours_is_the_client() {
        let proxies = proxies(ForwardedBy::XForwarded);
        // peer, X-Forwarded-For, what the upstream is told
        for (peer, lines, expected) in [
            ("192.0.2.1", &["6.6.6.6"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.1"], "192.0.2.1, 10.0.0.1"),
            ("::ffff:10.0.0.1", &["192.0.2.1"], "192.0.2.1, 10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6, 192.0.2.1"], "192.0.2.1, 10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6", "192.0.2.1, 10.0.0.2"], "192.0.2.1, 10.0.0.2, 10.0.0.1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3, 10.0.0.2, 10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6, "], "10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6, 10.0.0.999, 10.0.0.2"], "10.0.0.2, 10.0.0.1"),
            ("10.0.0.1", &["192.0.2.1:4711"], "192.0.2.1, 10.0.0.1"),
            ("2001:db8:aa::1", &["[2001:db8::1]:4711"], "2001:db8::1, 2001:db8:aa::1"),
            ("2001:db8:ab::1", &["6.6.6.6"], "2001:db8:ab::1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", HeaderValue::from_static(line));
            }
            let caller = proxies.caller(&headers, peer.parse().expect("an address"));
            caller.announce(&mut headers, "https");
            assert_eq!(headers.get_all("x-forwarded-for").iter().collect::<Vec<_>>(), [expected], "{peer} {lines:?}");
            assert!(expected.starts_with(&caller.address.to_string()), "{caller:?}");
        }
    }

    #[test]
    fn scheme_and_host_are_the_proxys_word_or_ours() {
        let lines =
            [("host", "in.example"), ("x-forwarded-proto", "http"), ("x-forwarded-host", "evil.example, app.example")];
        let bad = [("host", "in.example"), ("x-forwarded-proto", "gopher"), ("x-forwarded-host", "a@b")];
        let client = ("x-forwarded-for", "192.0.2.1");
        for (what, peer, lines, expected) in [
            ("a stranger", "192.0.2.9", [&lines[..], &[client]].concat(), ("https", "in.example")),
            ("a proxy", "10.0.0.1", [&lines[..], &[client]].concat(), ("http", "app.example")),
            ("a proxy that forgot for whom", "10.0.0.1", lines.to_vec(), ("https", "in.example")),
            ("nonsense", "10.0.0.1", [&bad[..], &[client]].concat(), ("https", "in.example")),
        ] {
            let mut headers = headers(&lines);
            let caller = proxies(ForwardedBy::XForwarded).caller(&headers, peer.parse().expect("an address"));
            caller.announce(&mut headers, "https");
            let said = ["x-forwarded-proto", "x-forwarded-host"].map(|name| headers[name].to_str().expect("text"));
            assert_eq!(said, [expected.0, expected.1], "{what}");
        }
    }

    #[test]
    fn the_standards_header_is_read_where_proxies_write_it_and_the_other_kind_is_not() {
        let proxies = proxies(ForwardedBy::Forwarded);
        for (line, client, told) in [
            ("for=192.0.2.60;proto=http;host=app.example", "192.0.2.60", ("http", "app.example")),
            ("For=\"[2001:db8::1]:4711\"; Proto=HTTP", "2001:db8::1", ("http", "in.example")),
            ("for=6.6.6.6, for=192.0.2.1;host=\"app.example:81\"", "192.0.2.1", ("https", "app.example:81")),
            ("for=192.0.2.1;proto=http, for=10.0.0.2", "192.0.2.1", ("http", "in.example")),
            ("for=_hidden;proto=http", "10.0.0.1", ("https", "in.example")),
            ("nonsense", "10.0.0.1", ("https", "in.example")),
        ] {
            let mut headers = headers(&[("host", "in.example"), ("x-forwarded-for", "6.6.6.6"), ("forwarded", line)]);
            let caller = proxies.caller(&headers, "10.0.0.1".parse().expect("an address"));
            assert_eq!(caller.address.to_string(), client, "{line}");
            caller.announce(&mut headers, "https");
            let said = ["x-forwarded-proto", "x-forwarded-host"].map(|name| headers[name].to_str().expect("text"));
            assert_eq!(said, [told.0, told.1], "{line}");
            assert!(!headers.contains_key("forwarded"), "{line}");
        }
    }
}
