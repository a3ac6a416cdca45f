//! A gateway that keeps users signed in, before any app: reverse proxy over the `perennial` engine.
//!
//! A request goes one way: `serving` (connection) → `gateway` (hygiene, our own endpoints, session; `routing` finds the route,
//! `identity` says who it is) → `upstream`
//! → back. [`ForwardAuth`] answers other proxies, which pass requests on themselves. Beside them [`Admin`] answers operators, on a listener of its own. The gateway adds no session rule of its own: who is
//! there, and what cookies to set, `perennial::Auth` says.
//!
//! ```no_run
//! use perennial_gateway::{Config, Gateway};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::from_toml("perennial.toml", &std::fs::read_to_string("perennial.toml")?, std::env::vars())?;
//! let listener = tokio::net::TcpListener::bind(config.listen).await?;
//! let gateway = Gateway::build(config)?;
//! gateway.serve(listener, async { drop(tokio::signal::ctrl_c().await) }).await;
//! # Ok(())
//! # }
//! ```

mod admin;
mod config;
mod forward_auth;
mod gateway;
mod identity;
mod refusal;
mod reload;
mod routing;
mod serving;
mod sessions_end;
mod trial;
mod upstream;

pub use admin::Admin;
pub use config::{AtStart, Config, QuickStart, settings};
pub use forward_auth::{ForwardAuth, ForwardAuthSettings};
pub use gateway::Gateway;
pub use identity::HeaderTemplate;
pub use reload::{Followed, Reloads};
pub use routing::{Access, CsrfGuard, Expression, HostPattern, Identity, PathPattern, Reach, Rewrite, Route};
pub use serving::{
    Answers, CertificateFiles, Certificates, End, ForwardedBy, Limits, Serving, Tls, TrustedProxies, serve,
};
pub use trial::{Trial, Verdict};
pub use upstream::{ClientCertificate, HealthCheck, Protocol, Upstream, UpstreamSettings};
