//! What can be told of an upstream, with defaults that suit an application on the same network.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// An application behind the gateway: where it listens, how to speak with it, and when to call it unwell.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// What routes call it by; one that a route gives as a URL needs none.
    pub name: String,
    /// Where it listens: one target or several that serve the same. All have one scheme and one path, which goes before the
    /// requests' own.
    pub urls: Vec<Url>,
    /// Which HTTP is spoken.
    pub protocol: Protocol,
    /// Certificates of the authorities that may vouch for it, as PEM, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate and its key, as PEM, for an upstream that wants to see one.
    pub client_certificate: Option<ClientCertificate>,
    /// The name that its certificate must bear, where that is not the host of its URL.
    pub server_name: Option<String>,
    /// The longest that name lookup, TCP and TLS may take together.
    pub connect_timeout: Duration,
    /// The longest it may take to begin its answer, from the last piece of the request on; the answer itself may stream for ever.
    pub answer_timeout: Duration,
    /// How long an unused connection is kept: shorter than the keep-alive of the upstream, so that it is us who close.
    pub idle_timeout: Duration,
    /// How to ask it for its health, if it can be asked.
    pub health: Option<HealthCheck>,
    /// How long a target that could not be reached is left alone, where there is another.
    pub hold: Duration,
    /// The largest body, in bytes, that is kept for sending it again when the upstream calls the access token invalid; 0 for none.
    pub replay_max: u64,
    /// How long a WebSocket may take to close after its session is over.
    pub close_grace: Duration,
}

/// Which HTTP is spoken to an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/2 where TLS agrees on it (ALPN), HTTP/1.1 elsewhere.
    #[default]
    Auto,
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone: agreed on over TLS, by prior knowledge without (RFC 9113 §3.3), as gRPC has it.
    H2,
}

/// Our own certificate and its key.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// The chain, as PEM, ours first.
    pub certificates: PathBuf,
    /// The private key, as PEM.
    pub key: PathBuf,
}

/// How an upstream is asked for its health.
#[derive(Clone, Debug)]
pub struct HealthCheck {
    /// What is asked for, by GET; any answer of 200 to 399 is a good one.
    pub path: String,
    /// The pause between two questions.
    pub interval: Duration,
    /// The longest an answer may take.
    pub timeout: Duration,
    /// So many bad answers in a row take a target out.
    pub unhealthy_after: u32,
    /// So many good ones bring it back.
    pub healthy_after: u32,
}

impl UpstreamSettings {
    /// One target with everything else by default.
    pub fn at(url: Url) -> Self {
        Self { urls: vec![url], ..Self::default() }
    }
}

impl Default for UpstreamSettings {
    fn default() -> Self {
        Self {
            name: String::new(),
            urls: Vec::new(),
            protocol: Protocol::Auto,
            ca_file: None,
            client_certificate: None,
            server_name: None,
            connect_timeout: CONNECT_TIMEOUT,
            answer_timeout: ANSWER_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            health: None,
            hold: HOLD,
            replay_max: REPLAY_MAX,
            close_grace: CLOSE_GRACE,
        }
    }
}

impl HealthCheck {
    /// Asks for `path` with everything else by default.
    pub fn of(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            // One bad answer is a hiccup, three are a trend; coming back is cheap to try.
            unhealthy_after: 3,
            healthy_after: 2,
        }
    }
}

/// A network that is there opens a connection in milliseconds; a lost packet is sent again after 1 and 3 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longer than any report a person waits for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// Shorter than the keep-alive of common servers: Node closes after 5 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// Long enough that a dead target costs few requests the wait for it, short enough that a restarted one is missed by few.
const HOLD: Duration = Duration::from_secs(5);

/// Larger than the calls of an application's own pages, small enough to be kept a few thousand times.
const REPLAY_MAX: u64 = 64 << 10;

/// A browser answers a Close frame within a round trip.
const CLOSE_GRACE: Duration = Duration::from_secs(5);
