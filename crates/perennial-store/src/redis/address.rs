//! From the URL to whom to call: one server, a Sentinel's choice, or a cluster.

use std::time::Duration;

use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo};
use redis::{TlsCertificates, TlsMode};

use crate::OpenError;
use crate::server_url::{ServerUrl, bad};

/// All that a URL says.
pub(super) struct Address {
    pub(super) target: Target,
    /// Goes before every key and channel.
    pub(super) prefix: String,
    /// The channel on which changes are told; keys of one prefix in different databases are different records.
    pub(super) channel: String,
    /// Replicas that must have a write before it counts.
    pub(super) wait_replicas: u32,
    /// The longest one call may take.
    pub(super) timeout: Duration,
}

pub(super) enum Target {
    One(Box<Client>),
    /// Whichever server the Sentinels call master when they are asked.
    Sentinel(Box<tokio::sync::Mutex<SentinelClient>>),
    Cluster {
        client: Box<ClusterClient>,
        /// Every node tells what any node publishes.
        nodes: Vec<Client>,
    },
}

impl Address {
    /// Reads `redis://`, `rediss://` and both with `+sentinel` or `+cluster`.
    pub(super) fn parse(url: &str) -> Result<Self, OpenError> {
        let mut url = ServerUrl::parse(url)?;
        let (tls, kind) = match url.scheme.split_once('+').unwrap_or((&url.scheme, "one")) {
            ("redis", kind) => (false, kind.to_owned()),
            ("rediss", kind) => (true, kind.to_owned()),
            _ => return Err(bad("the store's URL has an unknown scheme")),
        };
        let prefix = url.option("prefix").unwrap_or_else(|| "perennial:".to_owned());
        if prefix.contains(['{', '}']) || !prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(bad("prefix in the store's URL is visible ASCII without braces, such as prefix=shop:"));
        }
        let wait_replicas = match url.option("wait_replicas").map(|number| number.parse::<u8>()) {
            None => 0,
            Some(Ok(number)) => u32::from(number),
            Some(Err(_)) => return Err(bad("wait_replicas in the store's URL is a number from 0 to 255")),
        };
        let timeout = url.timeout()?;
        let certificates = url.certificates()?;
        if certificates.is_some() && !tls {
            return Err(bad("ca is for rediss://: redis:// is not encrypted"));
        }
        let dialled = Dialled { tls, certificates, timeout };
        let (target, db) = match kind.as_str() {
            "one" => dialled.one(&url),
            "sentinel" => dialled.sentinel(&mut url),
            "cluster" => dialled.cluster(&url),
            _ => Err(bad("the store's URL has an unknown scheme")),
        }?;
        url.close()?;
        let channel = format!("{prefix}news:{db}");
        Ok(Self { target, prefix, channel, wait_replicas, timeout })
    }
}

/// How connections are made, whoever is called.
struct Dialled {
    tls: bool,
    certificates: Option<Vec<u8>>,
    timeout: Duration,
}

impl Dialled {
    fn one(&self, url: &ServerUrl) -> Result<(Target, i64), OpenError> {
        let [host] = &url.hosts[..] else {
            return Err(bad("redis:// names one host; for several there are redis+sentinel:// and redis+cluster://"));
        };
        let db = database(&url.path)?;
        Ok((Target::One(Box::new(self.client(url, host, 6379, db)?)), db))
    }

    /// The path is the master's name, then perhaps the database.
    fn sentinel(&self, url: &mut ServerUrl) -> Result<(Target, i64), OpenError> {
        let (name, db) = url.path.split_once('/').unwrap_or((&url.path, ""));
        if name.is_empty() {
            return Err(bad(
                "redis+sentinel:// ends with the master's name, such as redis+sentinel://host:26379/mymaster",
            ));
        }
        let (name, db) = (name.to_owned(), database(db)?);
        let credentials = (url.option("sentinel_user"), url.option("sentinel_password"));
        let hosts = url.hosts.iter().map(|host| self.addr(host, 26379));
        let built = || {
            let mut builder = SentinelClientBuilder::new(hosts, name, SentinelServerType::Master)?
                .set_client_to_redis_db(db)
                .set_client_to_redis_protocol(ProtocolVersion::RESP3)
                .set_client_to_redis_tcp_settings(self.tcp())
                .set_client_to_sentinel_tcp_settings(self.tcp());
            if let Some(user) = &url.user {
                builder = builder.set_client_to_redis_username(user);
            }
            if let Some(password) = &url.password {
                builder = builder.set_client_to_redis_password(password);
            }
            if let Some(user) = &credentials.0 {
                builder = builder.set_client_to_sentinel_username(user);
            }
            if let Some(password) = &credentials.1 {
                builder = builder.set_client_to_sentinel_password(password);
            }
            if self.tls {
                builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
                builder = builder.set_client_to_sentinel_tls_mode(TlsMode::Secure);
            }
            if let Some(certificates) = self.tls_certificates() {
                builder = builder.set_client_to_redis_certificates(certificates.clone());
                builder = builder.set_client_to_sentinel_certificates(certificates);
            }
            builder.build()
        };
        let client = built().map_err(|error| unusable(&error))?;
        Ok((Target::Sentinel(Box::new(tokio::sync::Mutex::new(client))), db))
    }

    fn cluster(&self, url: &ServerUrl) -> Result<(Target, i64), OpenError> {
        if database(&url.path)? != 0 {
            return Err(bad("a Redis cluster has no databases: leave the number out of the store's URL"));
        }
        let nodes: Result<Vec<Client>, OpenError> =
            url.hosts.iter().map(|host| self.client(url, host, 6379, 0)).collect();
        let nodes = nodes?;
        let infos: Vec<ConnectionInfo> = nodes.iter().map(|node| node.get_connection_info().clone()).collect();
        let mut builder = ClusterClientBuilder::new(infos)
            .connection_timeout(self.timeout)
            .response_timeout(self.timeout)
            .overall_response_timeout(Some(self.timeout))
            .tcp_settings(self.tcp())
            // Enough for a slot that moves; more would send a write again after everybody has given up on it.
            .retries(3);
        if let Some(certificates) = self.tls_certificates() {
            builder = builder.certs(certificates);
        }
        let client = Box::new(builder.build().map_err(|error| unusable(&error))?);
        Ok((Target::Cluster { client, nodes }, 0))
    }

    fn client(&self, url: &ServerUrl, host: &(String, Option<u16>), port: u16, db: i64) -> Result<Client, OpenError> {
        let mut settings = RedisConnectionInfo::default().set_db(db).set_protocol(ProtocolVersion::RESP3);
        if let Some(user) = &url.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &url.password {
            settings = settings.set_password(password);
        }
        let info = self.addr(host, port).into_connection_info().map_err(|error| unusable(&error))?;
        let info = info.set_redis_settings(settings).set_tcp_settings(self.tcp());
        let client = match self.tls_certificates() {
            Some(certificates) => Client::build_with_tls(info, certificates),
            None => Client::open(info),
        };
        client.map_err(|error| unusable(&error))
    }

    fn addr(&self, (host, port): &(String, Option<u16>), usual: u16) -> ConnectionAddr {
        let (host, port) = (host.clone(), port.unwrap_or(usual));
        match self.tls {
            true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            false => ConnectionAddr::Tcp(host, port),
        }
    }

    fn tls_certificates(&self) -> Option<TlsCertificates> {
        let root_cert = self.certificates.clone()?;
        Some(TlsCertificates { client_tls: None, root_cert: Some(root_cert) })
    }

    fn tcp(&self) -> TcpSettings {
        TcpSettings::default().set_nodelay(true)
    }
}

fn database(text: &str) -> Result<i64, OpenError> {
    if text.is_empty() {
        return Ok(0);
    }
    let number = text.parse::<u16>().map(i64::from);
    number.map_err(|_| bad("the path of a Redis store's URL is a database's number, such as redis://host/1"))
}

/// The crate's words may quote what they were given; its category does not.
fn unusable(error: &redis::RedisError) -> OpenError {
    tracing::debug!(category = error.category(), "a Redis URL was refused");
    bad("the Redis store's host or certificate (ca) cannot be used")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_redis() {
        crate::tls::choose_provider();
        let table = [
            ("redis://h", Ok("perennial:news:0")),
            ("redis://u:p@h:1/3?prefix=shop:&wait_replicas=1&timeout=500ms", Ok("shop:news:3")),
            ("rediss://h", Ok("perennial:news:0")),
            ("redis+sentinel://a,b:1/main", Ok("perennial:news:0")),
            ("rediss+sentinel://a/main/2?sentinel_password=x", Ok("perennial:news:2")),
            ("redis+cluster://a:1,b:2", Ok("perennial:news:0")),
            ("redis://a,b", Err("one host")),
            ("redis://h/main", Err("database's number")),
            ("redis+sentinel://a", Err("master's name")),
            ("redis+cluster://a/1", Err("no databases")),
            ("redis+planted://a", Err("unknown scheme")),
            ("redis://h?prefix={planted}", Err("without braces")),
            ("redis://h?wait_replicas=planted", Err("0 to 255")),
            ("redis://h?planted=1", Err("does not know")),
            ("redis://h?ca=/nonexistent", Err("certificate authority in PEM")),
        ];
        for (url, expected) in table {
            match (Address::parse(url), expected) {
                (Ok(address), Ok(channel)) => assert_eq!(address.channel, channel, "{url}"),
                (Err(error), Err(part)) => {
                    let said = error.to_string();
                    assert!(said.contains(part) && !said.contains("planted"), "{url}: {said}");
                }
                (parsed, _) => panic!("{url}: {:?}", parsed.map(|address| address.channel)),
            }
        }
    }
}
