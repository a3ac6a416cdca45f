//! `[[upstreams]]`: applications that routes call by a name, with all that a URL alone does not say.

use std::collections::BTreeMap;

use perennial::ConfigFault;
use url::Url;

use super::routes::upstream_url;
use super::setting::{DAY, MINUTE, Range, Section, Setting};
use super::values::Values;
use crate::upstream::{ClientCertificate, HealthCheck, Protocol, Upstream, UpstreamSettings};

pub(super) const UPSTREAMS: Section = Section::new(
    "upstreams",
    "Applications that routes call by a name, with all that a URL alone does not say.",
    &[
        Setting::text("name", "what routes call it: `upstream = \"orders\"`")
            .required()
            .value("1 to 64 of `a-z 0-9 . _ -`")
            .remedy("give it a name of its own of small letters, digits, dots, dashes and underscores, such as \"orders\""),
        Setting::texts(
            "urls",
            "where it listens. Several targets take turns; they have one scheme and one path, which goes before the requests' own",
        )
        .required()
        .remedy(
            "write where it listens, such as [\"http://10.0.0.7:8080\"]; all targets with one scheme and one path, without user \
             names and passwords",
        ),
        Setting::choice(
            "protocol",
            &["auto", "http1", "h2"],
            "HTTP/2 where TLS agrees on it; HTTP/1.1 alone; HTTP/2 alone, without TLS by prior knowledge, as gRPC has it",
        )
        .default("auto"),
        Setting::text("ca_file", "the authorities that may vouch for it, as PEM, in place of the system's").paths(),
        Setting::text("client_cert_file", "our own certificate, as PEM, for one that wants to see it").paths(),
        Setting::text("client_key_file", "its key").paths(),
        Setting::text("server_name", "the name that its certificate must bear").falls_back_to("the host of its URL"),
        Setting::time("connect_timeout", BRIEFLY, "how long name lookup, TCP and TLS may take together").default("5s"),
        Setting::time(
            "answer_timeout",
            Range::of_millis(1, DAY, "1 millisecond to 1 day"),
            "how long it may take to begin its answer, from the last piece of the request on, so that large uploads take as long as \
             they take; the answer itself may stream for ever. A route's own `timeout` goes before this",
        )
        .default("5m"),
        Setting::time(
            "idle_timeout",
            BRIEFLY,
            "how long an unused connection is kept: shorter than it keeps its own, so that it is us who close (Node closes after 5 s)",
        )
        .default("4s"),
        Setting::time("hold", BRIEFLY, "how long a target that could not be reached is left alone, where there is another")
            .default("5s"),
        Setting::text(
            "health_path",
            "what each target is asked for by GET, on a connection of its own; 200 to 399 is a good answer. With all targets unwell \
             requests get 503 `no_healthy_upstream`",
        )
        .falls_back_to("none: nobody is asked")
        .remedy("write a path, such as \"/healthz\""),
        Setting::time("health_interval", BRIEFLY, "the pause between two questions").default("5s"),
        Setting::time("health_timeout", BRIEFLY, "how long an answer may take").default("2s"),
        Setting::number("unhealthy_after", IN_A_ROW, "so many bad answers in a row take a target out").default("3"),
        Setting::number("healthy_after", IN_A_ROW, "so many good ones bring it back").default("2"),
        Setting::size(
            "replay_max",
            Range::of(0, 16 << 20, "0 to 16 MiB"),
            "the largest body that is kept for sending it again, when the access token is called invalid",
        )
        .default("64KiB"),
        Setting::time(
            "close_grace",
            Range::of_millis(0, MINUTE, "0 to 1 minute"),
            "how long a WebSocket may take to close after its session is over",
        )
        .default("5s"),
    ],
)
.sample(SAMPLE);

/// The upstreams by name. One that has a fault is there without what it would be, so that no route is blamed for it.
pub(super) fn upstreams(top: &Values, faults: &mut Vec<ConfigFault>) -> BTreeMap<String, Option<Upstream>> {
    let mut named = BTreeMap::new();
    for table in top.tables("upstreams") {
        let Some(name) = table.parsed("name", faults, name) else { continue };
        if named.contains_key(&name) {
            faults.push(table.fault("name", "choose a name that no other upstream has"));
        }
        let upstream = settings(table, &name, faults).and_then(|settings| {
            let unusable = |fault: ConfigFault| faults.push(table.fault(&fault.key, fault.remedy));
            Upstream::new(settings).map_err(unusable).ok()
        });
        named.insert(name, upstream);
    }
    named
}

fn settings(upstream: &Values, name: &str, faults: &mut Vec<ConfigFault>) -> Option<UpstreamSettings> {
    let before = faults.len();
    let listed = upstream.texts("urls");
    let urls: Vec<Url> = listed.iter().filter_map(|url| upstream_url(url)).collect();
    if upstream.is_given("urls") && (urls.is_empty() || urls.len() < listed.len()) {
        faults.push(upstream.fault("urls", upstream.remedy("urls")));
    }
    let files = (upstream.text("client_cert_file"), upstream.text("client_key_file"));
    let client_certificate = match files {
        (Some(certificates), Some(key)) => {
            Some(ClientCertificate { certificates: certificates.into(), key: key.into() })
        }
        (None, None) => None,
        (Some(_), None) => {
            faults.push(upstream.fault("client_key_file", "name the file with the key of client_cert_file, too"));
            None
        }
        (None, Some(_)) => {
            faults
                .push(upstream.fault("client_cert_file", "name the file with the certificate of client_key_file, too"));
            None
        }
    };
    let protocols = [("auto", Protocol::Auto), ("http1", Protocol::Http1), ("h2", Protocol::H2)];
    let health_path = upstream.parsed("health_path", faults, path);
    let read = UpstreamSettings {
        name: name.to_owned(),
        urls,
        protocol: upstream.choice("protocol", &protocols)?,
        ca_file: upstream.text("ca_file").map(Into::into),
        client_certificate,
        server_name: upstream.text("server_name"),
        connect_timeout: upstream.time("connect_timeout")?,
        answer_timeout: upstream.time("answer_timeout")?,
        idle_timeout: upstream.time("idle_timeout")?,
        health: match health_path {
            None => None,
            Some(path) => Some(HealthCheck {
                path,
                interval: upstream.time("health_interval")?,
                timeout: upstream.time("health_timeout")?,
                unhealthy_after: upstream.number("unhealthy_after")?,
                healthy_after: upstream.number("healthy_after")?,
            }),
        },
        hold: upstream.time("hold")?,
        replay_max: upstream.number("replay_max")?,
        close_grace: upstream.time("close_grace")?,
    };
    (faults.len() == before && !read.urls.is_empty()).then_some(read)
}

fn name(text: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    (!text.is_empty() && text.len() <= NAME_CHARS && text.bytes().all(plain)).then(|| text.to_owned())
}

fn path(text: &str) -> Option<String> {
    let parsed = text.parse::<http::uri::PathAndQuery>().ok();
    (text.starts_with('/') && parsed.is_some_and(|parsed| parsed.as_str() == text)).then(|| text.to_owned())
}

/// Enough for any name that a person reads; it stands in logs.
const NAME_CHARS: usize = 64;

const BRIEFLY: Range<std::time::Duration> = Range::of_millis(1, 10 * MINUTE, "1 millisecond to 10 minutes");

const IN_A_ROW: Range<u64> = Range::of(1, 100, "1 to 100");

const SAMPLE: &str = r#"
# [[upstreams]]                        # what a URL alone does not say; routes call it by its name
# name = "orders"
# urls = ["https://10.0.0.7:8443", "https://10.0.0.8:8443"]
# ca_file = "certificates/internal.pem"
# server_name = "orders.internal"
# health_path = "/healthz"
# protocol = "auto"                    # or "http1", or "h2": gRPC without TLS
# client_cert_file = "certificates/gateway.pem"
# client_key_file = "certificates/gateway.key"
# connect_timeout = "5s"               # name lookup, TCP and TLS together
# answer_timeout = "5m"                # until the answer begins; it may stream for ever
# idle_timeout = "4s"                  # of an unused connection: shorter than the upstream's own
# hold = "5s"                          # how long an unreachable target is left alone
# health_interval = "5s"
# health_timeout = "2s"
# unhealthy_after = 3                  # bad answers in a row
# healthy_after = 2                    # good ones
# replay_max = "64KiB"                 # of a body, kept for when the access token is called invalid
# close_grace = "5s"                   # for a WebSocket whose session is over
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_and_the_settings_agree_on_the_defaults() {
        let default = UpstreamSettings::default();
        let health = HealthCheck::of("/");
        for (key, text) in [
            ("connect_timeout", humantime::format_duration(default.connect_timeout).to_string()),
            ("answer_timeout", humantime::format_duration(default.answer_timeout).to_string()),
            ("idle_timeout", humantime::format_duration(default.idle_timeout).to_string()),
            ("hold", humantime::format_duration(default.hold).to_string()),
            ("close_grace", humantime::format_duration(default.close_grace).to_string()),
            ("health_interval", humantime::format_duration(health.interval).to_string()),
            ("health_timeout", humantime::format_duration(health.timeout).to_string()),
            ("unhealthy_after", health.unhealthy_after.to_string()),
            ("healthy_after", health.healthy_after.to_string()),
            ("replay_max", format!("{}KiB", default.replay_max >> 10)),
        ] {
            assert_eq!(super::super::settings::default(&format!("upstreams.{key}")), text, "{key}");
        }
    }

    /// What a file with these lines from its third on comes to.
    fn read(lines: &str) -> Result<crate::config::Config, Vec<ConfigFault>> {
        let text = format!("public_url = \"https://app.example\"\nstore = \"memory:\"\n{lines}\n");
        let variables = [
            ("AUTH_SECRET", "a secret for tests, long enough"),
            ("AUTH_OIDC_ISSUER", "https://id.example"),
            ("AUTH_OIDC_ID", "app"),
            ("AUTH_OIDC_SECRET", "client secret"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        crate::config::Config::from_toml("perennial.toml", &text, variables).map_err(|error| error.faults)
    }

    #[test]
    fn a_route_leads_to_an_upstream_by_its_name() {
        let lines = "[[upstreams]]\nname = \"orders\"\nurls = [\"http://h:1/v1\", \"http://h:2/v1\"]\nprotocol = \"h2\"\n\
                     health_path = \"/healthz\"\nhealthy_after = 4\nreplay_max = \"1KiB\"\nclose_grace = \"2s\"\n\
                     [[routes]]\nupstream = \"orders\"\n[[routes]]\npath = \"/other\"\nupstream = \"http://h:3\"";
        let config = read(lines).unwrap_or_else(|faults| panic!("{faults:?}"));
        let settings = config.routes[0].upstream.settings();
        assert_eq!(config.routes[0].upstream.url().as_str(), "http://h:1/v1");
        assert_eq!((settings.urls.len(), settings.protocol, settings.replay_max), (2, Protocol::H2, 1024));
        assert_eq!(settings.close_grace.as_secs(), 2);
        assert_eq!(settings.health.as_ref().map(|health| health.healthy_after), Some(4));
        assert_eq!(config.routes[1].upstream.url().as_str(), "http://h:3/");
    }

    #[test]
    fn each_fault_names_its_key_its_line_and_what_to_do_and_no_route_is_blamed_for_it() {
        let route = "[[routes]]\nupstream = \"o\"";
        for (lines, key, line, remedy) in [
            ("name = \"O\"\nurls = [\"http://h\"]", "name", 4, "small letters"),
            ("urls = [\"http://h\"]", "name", 3, "small letters"),
            ("name = \"o\"\nurls = []", "urls", 5, "where it listens"),
            ("name = \"o\"", "urls", 3, "where it listens"),
            ("name = \"o\"\nurls = [\"http://h\", \"http://u:p@h\"]", "urls", 5, "where it listens"),
            ("name = \"o\"\nurls = [\"http://h\", \"https://h\"]", "urls", 5, "same scheme"),
            ("name = \"o\"\nurls = [\"http://h\"]\nca_file = \"/absent\"", "ca_file", 6, "/absent"),
            (
                "name = \"o\"\nurls = [\"http://h\"]\nclient_key_file = \"/absent\"",
                "client_cert_file",
                3,
                "client_key_file",
            ),
            (
                "name = \"o\"\nurls = [\"http://h\"]\nclient_cert_file = \"/absent\"",
                "client_key_file",
                3,
                "client_cert_file",
            ),
            ("name = \"o\"\nurls = [\"http://h\"]\nhealth_path = \"health\"", "health_path", 6, "/healthz"),
            ("name = \"o\"\nurls = [\"http://h\"]\nunhealthy_after = 0", "unhealthy_after", 6, "1 to 100"),
            ("name = \"o\"\nurls = [\"http://h\"]\nserver_name = \"a b\"", "server_name", 6, "host name"),
        ] {
            let faults = read(&format!("[[upstreams]]\n{lines}\n{route}")).err().unwrap_or_default();
            let ours: Vec<_> = faults.iter().filter(|fault| !fault.key.starts_with("routes")).collect();
            let [fault] = &ours[..] else { panic!("{faults:?} for {lines}") };
            assert_eq!(
                (&*fault.key, &*fault.place),
                (&*format!("upstreams[0].{key}"), &*format!("perennial.toml:{line}")),
                "{lines}"
            );
            assert!(fault.remedy.contains(remedy) && !fault.to_string().contains("u:p@"), "{fault}");
            // One without a name cannot be meant by any route.
            assert!(key == "name" || faults.len() == 1, "{faults:?}");
        }
        let twice =
            "[[upstreams]]\nname = \"o\"\nurls = [\"http://h\"]\n[[upstreams]]\nname = \"o\"\nurls = [\"http://h\"]";
        let faults = read(&format!("{twice}\n{route}")).err().unwrap_or_default();
        assert_eq!(faults.iter().map(|fault| &*fault.key).collect::<Vec<_>>(), ["upstreams[1].name"]);
    }

    #[test]
    fn names_and_paths_are_plain() {
        for (text, good) in
            [("orders", true), ("a.b_c-1", true), ("", false), ("Orders", false), ("a b", false), ("http://x", false)]
        {
            assert_eq!(name(text).is_some(), good, "{text}");
        }
        for length in [NAME_CHARS, NAME_CHARS + 1] {
            assert_eq!(name(&"x".repeat(length)).is_some(), length == NAME_CHARS);
        }
        for (text, good) in [("/healthz", true), ("/h?deep=1", true), ("healthz", false), ("/a b", false), ("", false)]
        {
            assert_eq!(path(text).is_some(), good, "{text}");
        }
    }
}
