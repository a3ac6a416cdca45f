//! From the URL to a pool of connections, and to the one that listens.

use std::net::IpAddr;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::server_url::{ServerUrl, bad};
use crate::{OpenError, limits};

/// All that a URL says.
pub(super) struct Address {
    pub(super) pool: Pool,
    /// For the connection that listens, which belongs to no pool.
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
    /// Holds the tables; lower-case letters, digits and `_`.
    pub(super) schema: String,
    /// The longest one call may take.
    pub(super) timeout: Duration,
}

impl Address {
    /// Reads `postgres://user:password@host:port/database` and its options.
    pub(super) fn parse(url: &str) -> Result<Self, OpenError> {
        let mut url = ServerUrl::parse(url)?;
        let schema = schema(url.option("schema"))?;
        let timeout = url.timeout()?;
        let connections = match url.option("connections").map(|number| number.parse::<u8>()) {
            None => limits::POSTGRES_CONNECTIONS,
            Some(Ok(number @ 1..)) => usize::from(number),
            Some(_) => return Err(bad("connections in the store's URL is a number from 1 to 255")),
        };
        let certificates = url.certificates()?;
        let encrypted = match url.option("sslmode").as_deref() {
            // Nobody else hears what does not leave this machine.
            None => certificates.is_some() || !url.hosts.iter().all(|(host, _)| is_loopback(host)),
            Some("disable") if certificates.is_none() => false,
            Some("require" | "verify-ca" | "verify-full") => true,
            Some(_) => return Err(bad("sslmode in the store's URL is disable (without ca), require or verify-full")),
        };
        url.close()?;
        let config = config(&url, timeout, encrypted)?;
        let tls = tls(encrypted, certificates)?;
        let manager = Manager::from_config(
            config.clone(),
            tls.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(connections)
            .wait_timeout(Some(timeout))
            .create_timeout(Some(timeout))
            .recycle_timeout(Some(timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|_| bad("the PostgreSQL store's connections cannot be pooled"))?;
        Ok(Self { pool, config, tls, schema, timeout })
    }
}

fn config(url: &ServerUrl, timeout: Duration, encrypted: bool) -> Result<Config, OpenError> {
    let mut config = Config::new();
    config.application_name("perennial").connect_timeout(timeout);
    // The server gives up when the caller does, so that an overloaded one does not work for nobody.
    config.options(format!("-c statement_timeout={}", timeout.as_millis()));
    config.keepalives_idle(limits::KEEPALIVE).tcp_user_timeout(timeout * 2);
    config.ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable });
    for (host, port) in &url.hosts {
        config.host(host).port(port.unwrap_or(5432));
    }
    if url.hosts.len() > 1 {
        // Whichever of them is the primary now.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    let Some(user) = &url.user else {
        return Err(bad("the PostgreSQL store's URL names no user: write postgres://user:password@host/database"));
    };
    config.user(user);
    if let Some(password) = &url.password {
        config.password(password);
    }
    match &url.path[..] {
        "" => Err(bad("the PostgreSQL store's URL names no database: write postgres://user:password@host/database")),
        database => {
            config.dbname(database);
            Ok(config)
        }
    }
}

fn tls(encrypted: bool, certificates: Option<Vec<u8>>) -> Result<MakeRustlsConnect, OpenError> {
    crate::tls::choose_provider();
    let unusable = bad("ca in the store's URL names a file that holds no certificate in PEM");
    let trusting =
        |roots| MakeRustlsConnect::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
    match certificates {
        None if encrypted => {
            let native = MakeRustlsConnect::with_native_certs().map(|(connect, _unreadable)| connect);
            native.map_err(|_| {
                bad("install the system's certificate authorities (package ca-certificates), or name one with ca")
            })
        }
        None => Ok(trusting(RootCertStore::empty())),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let added = certificate.ok().map(|certificate| roots.add(certificate));
                if !matches!(added, Some(Ok(()))) {
                    return Err(unusable);
                }
            }
            if roots.is_empty() { Err(unusable) } else { Ok(trusting(roots)) }
        }
    }
}

/// A name that needs no quotes, so that what an administrator types is what is meant.
fn schema(given: Option<String>) -> Result<String, OpenError> {
    let schema = given.unwrap_or_else(|| "perennial".to_owned());
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit();
    let good = schema.bytes().all(plain) && !schema.starts_with(|first: char| first.is_ascii_digit());
    match good && (1..=40).contains(&schema.len()) {
        true => Ok(schema),
        false => {
            Err(bad("schema in the store's URL is up to 40 lower-case letters, digits and _, such as schema=sessions"))
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_postgres() {
        let table = [
            ("postgres://u:p@localhost/d", Ok((SslMode::Disable, "perennial"))),
            ("postgresql://u@127.0.0.1:1/d?schema=s1&connections=3&timeout=1s", Ok((SslMode::Disable, "s1"))),
            ("postgres://u@db.example/d", Ok((SslMode::Require, "perennial"))),
            ("postgres://u@[::1]/d?sslmode=verify-full", Ok((SslMode::Require, "perennial"))),
            ("postgres://u@a,b/d?sslmode=disable", Ok((SslMode::Disable, "perennial"))),
            ("postgres://h/d", Err("names no user")),
            ("postgres://u:planted@h", Err("names no database")),
            ("postgres://u@h/d?sslmode=prefer", Err("sslmode")),
            ("postgres://u@h/d?schema=Planted", Err("lower-case")),
            ("postgres://u@h/d?schema=1a", Err("lower-case")),
            ("postgres://u@h/d?connections=0", Err("1 to 255")),
            ("postgres://u@h/d?planted=1", Err("does not know")),
            ("postgres://u@h/d?ca=/dev/null", Err("no certificate")),
        ];
        for (url, expected) in table {
            match (Address::parse(url), expected) {
                (Ok(address), Ok((mode, schema))) => {
                    assert_eq!((address.config.get_ssl_mode(), &address.schema[..]), (mode, schema), "{url}");
                }
                (Err(error), Err(part)) => {
                    let said = error.to_string();
                    assert!(said.contains(part) && !said.to_lowercase().contains("planted"), "{url}: {said}");
                }
                (parsed, _) => panic!("{url}: {:?}", parsed.map(|address| address.schema)),
            }
        }
    }
}
