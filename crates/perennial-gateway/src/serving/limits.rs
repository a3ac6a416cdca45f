//! What listeners and connections are told: limits with their reasons, whom to believe, how to end.

use std::time::Duration;

use super::forwarded::TrustedProxies;
use super::tls::Tls;

/// How a gateway serves. The default is plain HTTP/1.1 for clients that are believed nothing.
#[derive(Clone, Debug)]
pub struct Serving {
    /// Certificates; plain HTTP if absent.
    pub tls: Option<Tls>,
    /// Whether a plain listener also takes HTTP/2 from clients that begin with it (RFC 9113 §3.3); TLS negotiates it by itself.
    pub http2: bool,
    /// Threads that serve connections, each with an event loop of its own; with 0 the tasks of the runtime that calls
    /// [`Gateway::serve`](crate::Gateway::serve) do. As many as the process may use processors.
    pub workers: usize,
    /// What connections and requests may cost.
    pub limits: Limits,
    /// Who may say for whom a request came.
    pub trusted: TrustedProxies,
    /// How an end goes.
    pub end: End,
}

impl Default for Serving {
    fn default() -> Self {
        Self {
            tls: None,
            http2: false,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            limits: Limits::default(),
            trusted: TrustedProxies::default(),
            end: End::default(),
        }
    }
}

/// What connections and requests may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a request's head: 64 KiB, five session chunks and room for as much again.
    pub header_bytes: usize,
    /// Header lines of a request: 128. Over HTTP/2, where browsers send each cookie in a line of its own, cookies do not count.
    pub header_lines: usize,
    /// Bytes of a request's body on its way to an upstream: 1 GiB. Nothing is kept here; what this spares is the upstream.
    pub body_bytes: u64,
    /// How long a client may take for a head, or for a TLS handshake: 15 s.
    pub header_wait: Duration,
    /// How long a client may pause between two pieces of a body: 30 s.
    pub body_wait: Duration,
    /// How long a client may take nothing of an answer: 60 s.
    pub answer_wait: Duration,
    /// How long a connection may be open between two requests: 75 s, longer than the 60 s of common proxies in front, so that it
    /// is they who close.
    pub keep_alive: Duration,
    /// Connections at once: 8192. Those beyond wait in the system's queue until one ends.
    pub connections: usize,
    /// Connections at once from one address (IPv6: from one /64), trusted proxies excepted: 512, a large office. Those beyond are
    /// closed.
    pub connections_per_address: usize,
    /// Requests at once on one HTTP/2 connection: 128. Common browsers use up to 100.
    pub streams: u32,
    /// Requests to the sign-in endpoints in a minute from one address (IPv6: one /64): 120. A sign-in takes two.
    pub sign_ins_per_minute: u32,
    /// Requests to the endpoints that renew in a minute from one address (IPv6: one /64): 1200.
    pub renewals_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 64 << 10,
            header_lines: 128,
            body_bytes: 1 << 30,
            header_wait: Duration::from_secs(15),
            body_wait: Duration::from_secs(30),
            answer_wait: Duration::from_secs(60),
            keep_alive: Duration::from_secs(75),
            connections: 8192,
            connections_per_address: 512,
            streams: 128,
            sign_ins_per_minute: 120,
            renewals_per_minute: 1200,
        }
    }
}

/// How an end goes: first `/readyz` says no, then nobody is let in, then what has begun comes to its end.
#[derive(Clone, Debug)]
pub struct End {
    /// How long the gateway serves on while `/readyz` says no, for a load balancer to notice: 0 s.
    pub drain_delay: Duration,
    /// How long requests under way may take to come to their end, and after them renewals: 30 s each.
    pub drain_max: Duration,
}

impl Default for End {
    fn default() -> Self {
        Self { drain_delay: Duration::ZERO, drain_max: Duration::from_secs(30) }
    }
}
