//! How connections are served: `[tls]`, `[limits]`, and the settings at the top that belong to them.

use std::path::PathBuf;

use perennial::ConfigFault;

use super::setting::{MINUTE, Range, SECOND, Section, Setting};
use super::values::Values;
use crate::serving::{CertificateFiles, End, ForwardedBy, Limits, Serving, Tls, TrustedProxies};

pub(super) const TLS: Section = Section::new(
    "tls",
    "Certificates of the main listener; without them it speaks plain HTTP. The files are read again when they change, and at SIGHUP.",
    &[
        Setting::text("cert_file", "the certificate in PEM, followed by those that lead to its authority")
            .sample("tls/fullchain.pem", "read again when it changes")
            .paths()
            .at_start(),
        Setting::text("key_file", "its private key in PEM, without a password")
            .sample("tls/privkey.pem", "")
            .paths()
            .at_start(),
        Setting::tables(&CERTIFICATES),
    ],
);

const CERTIFICATES: Section = Section::new(
    "certificates",
    "More certificates: a client that asks for a name is shown the first that is for it, and that of `[tls]` if none is.",
    &[
        Setting::text("cert_file", "as in `[tls]`")
            .required()
            .remedy("name a file with a certificate")
            .paths()
            .at_start(),
        Setting::text("key_file", "as in `[tls]`").required().remedy("name the file with its key").paths().at_start(),
    ],
);

const BYTES: Range<u64> = Range::of(1 << 10, 1 << 20, "1 KiB to 1 MiB");
const BODY: Range<u64> = Range::of(0, u64::MAX, "");
const WAIT: Range<std::time::Duration> = Range::of_millis(SECOND, 60 * MINUTE, "1 second to 1 hour");
const COUNT: Range<u64> = Range::of(1, 1 << 20, "1 to 1048576");

pub(super) const LIMITS: Section = Section::new(
    "limits",
    "What connections and requests may cost. [operations.md](operations.md#limits) has the reasons.",
    &[
        Setting::size("header_bytes", BYTES, "the head of a request").default("64KiB").at_start(),
        Setting::number("header_lines", Range::of(16, 4096, "16 to 4096"), "header lines of a request")
            .default("128")
            .at_start(),
        Setting::size("body_bytes", BODY, "the body of a request on its way to an upstream").default("1GiB"),
        Setting::time("header_wait", WAIT, "how long a client may take for a head, or for a TLS handshake")
            .default("15s")
            .at_start(),
        Setting::time("body_wait", WAIT, "how long a client may pause within a body").default("30s").at_start(),
        Setting::time("answer_wait", WAIT, "how long a client may take nothing of an answer").default("60s").at_start(),
        Setting::time("keep_alive", WAIT, "how long a connection may be open between two requests")
            .default("75s")
            .at_start(),
        Setting::number("connections", COUNT, "connections at once; those beyond wait until one ends")
            .default("8192")
            .at_start(),
        Setting::number(
            "connections_per_address",
            COUNT,
            "connections at once from one address (IPv6: one /64), trusted proxies excepted; those beyond are closed",
        )
        .default("512")
        .at_start(),
        Setting::number("streams", Range::of(1, 1 << 16, "1 to 65536"), "requests at once on one HTTP/2 connection")
            .default("128")
            .at_start(),
        Setting::number(
            "sign_ins_per_minute",
            COUNT,
            "requests to the sign-in endpoints from one address (IPv6: one /64); a sign-in takes two",
        )
        .default("120"),
        Setting::number(
            "renewals_per_minute",
            COUNT,
            "requests to the endpoints that renew from one address (IPv6: one /64)",
        )
        .default("1200"),
    ],
);

pub(super) const HTTP2: Setting =
    Setting::flag("http2", "take HTTP/2 without TLS from clients that begin with it; over TLS it is negotiated anyway")
        .at_start();

pub(super) const WORKERS: Setting = Setting::number(
    "workers",
    Range::of(1, 1024, "1 to 1024"),
    "threads that serve connections, each with an event loop of its own",
)
.falls_back_to("one for each processor that the process may use")
.sample("4", "threads that serve; one for each processor unless set")
.at_start();

pub(super) const TRUSTED_PROXIES: Setting = Setting::texts(
    "trusted_proxies",
    "addresses and networks of the proxies in front, who are believed for whom a request came: `\"10.0.0.0/8\"`",
)
.default("")
.remedy("write addresses or networks, such as \"10.0.0.0/8\" or \"2001:db8::1\"")
.sample("10.0.0.0/8", "proxies in front, whose X-Forwarded-… are believed");

pub(super) const FORWARDED_BY: Setting = Setting::choice(
    "forwarded_by",
    &["x-forwarded", "forwarded"],
    "which headers trusted proxies write: `X-Forwarded-For`, `-Proto` and `-Host`, or `Forwarded`; the other kind is not looked at",
)
.default("x-forwarded");

pub(super) const DRAIN_DELAY: Setting = Setting::time(
    "drain_delay",
    Range::of_millis(0, 10 * MINUTE, "0 seconds to 10 minutes"),
    "how long the gateway serves on at its end while `/readyz` says no, for a load balancer to notice",
)
.default("0s")
.note("\"10s\" behind a load balancer that asks /readyz")
.at_start();

pub(super) const DRAIN_MAX: Setting = Setting::time(
    "drain_max",
    WAIT,
    "how long requests under way may take at the end to be answered, and after them renewals",
)
.default("30s")
.at_start();

/// What listeners and connections are told.
pub(super) fn serving(top: &Values, faults: &mut Vec<ConfigFault>) -> Serving {
    let kinds = [("x-forwarded", ForwardedBy::XForwarded), ("forwarded", ForwardedBy::Forwarded)];
    let mut networks = Vec::new();
    for text in top.texts("trusted_proxies") {
        match text.parse().or_else(|_| text.parse::<std::net::IpAddr>().map(Into::into)) {
            Ok(network) => networks.push(network),
            Err(_) => faults.push(top.fault("trusted_proxies", TRUSTED_PROXIES.remedy)),
        }
    }
    let standard = Serving::default();
    Serving {
        tls: tls(top.table("tls"), faults),
        http2: top.flag("http2"),
        workers: top.number("workers").unwrap_or(standard.workers),
        limits: limits(top.table("limits")),
        trusted: TrustedProxies { networks, header: top.choice("forwarded_by", &kinds).unwrap_or_default() },
        end: End {
            drain_delay: top.time("drain_delay").unwrap_or(standard.end.drain_delay),
            drain_max: top.time("drain_max").unwrap_or(standard.end.drain_max),
        },
    }
}

fn tls(tls: &Values, faults: &mut Vec<ConfigFault>) -> Option<Tls> {
    let own = match (tls.text("cert_file"), tls.text("key_file")) {
        (Some(cert_file), Some(key_file)) => Some((cert_file, key_file)),
        (Some(_), None) => {
            faults.push(tls.fault("key_file", "name the file with the key of the certificate"));
            None
        }
        (None, Some(_)) => {
            faults.push(tls.fault("cert_file", "name the file with the certificate of the key"));
            None
        }
        (None, None) => None,
    };
    let others = tls.tables("certificates");
    if own.is_none() && !others.is_empty() && faults.is_empty() {
        faults
            .push(tls.fault("cert_file", "name the certificate for clients that ask for no name that another is for"));
    }
    let others = others.iter().filter_map(|pair| Some((pair.text("cert_file")?, pair.text("key_file")?)));
    let files = |(cert_file, key_file): (String, String)| CertificateFiles {
        cert_file: PathBuf::from(cert_file),
        key_file: PathBuf::from(key_file),
    };
    own.map(|own| Tls { certificates: std::iter::once(own).chain(others).map(files).collect() })
}

fn limits(limits: &Values) -> Limits {
    let standard = Limits::default();
    let time = |key, standard| limits.time(key).unwrap_or(standard);
    Limits {
        header_bytes: limits.number("header_bytes").unwrap_or(standard.header_bytes),
        header_lines: limits.number("header_lines").unwrap_or(standard.header_lines),
        body_bytes: limits.number("body_bytes").unwrap_or(standard.body_bytes),
        header_wait: time("header_wait", standard.header_wait),
        body_wait: time("body_wait", standard.body_wait),
        answer_wait: time("answer_wait", standard.answer_wait),
        keep_alive: time("keep_alive", standard.keep_alive),
        connections: limits.number("connections").unwrap_or(standard.connections),
        connections_per_address: limits.number("connections_per_address").unwrap_or(standard.connections_per_address),
        streams: limits.number("streams").unwrap_or(standard.streams),
        sign_ins_per_minute: limits.number("sign_ins_per_minute").unwrap_or(standard.sign_ins_per_minute),
        renewals_per_minute: limits.number("renewals_per_minute").unwrap_or(standard.renewals_per_minute),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Source, TOP};

    /// The rows and the structs each name the defaults: a file that says nothing is what `Serving::default` is.
    #[test]
    fn a_file_that_says_nothing_serves_by_the_defaults() {
        let mut faults = Vec::new();
        let (_, overrides) = Environment::read([], &mut faults);
        let source = Source { name: "test.toml", text: "", overrides };
        let reading = source.read(&TOP, &mut faults).expect("readable");
        let serving = serving(&reading.values, &mut faults);
        assert_eq!(format!("{serving:?}"), format!("{:?}", Serving::default()));
        assert_eq!(faults, []);
    }
}
