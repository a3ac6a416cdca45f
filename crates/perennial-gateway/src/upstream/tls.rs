//! TLS to upstreams: whom we trust, what we show, and which HTTP is agreed on (RFC 7301).

use std::path::Path;
use std::time::Duration;

use hyper_rustls::{ConfigBuilderExt as _, FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use perennial::ConfigFault;
use rustls::client::WantsClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

use super::settings::{ClientCertificate, Protocol, UpstreamSettings};

/// Opens connections to the targets of one upstream.
#[derive(Clone)]
pub(super) struct Connectors {
    /// For requests that any version will do for.
    pub(super) any: HttpsConnector<HttpConnector>,
    /// For those that only HTTP/1.1 carries: WebSocket.
    pub(super) http1: HttpsConnector<HttpConnector>,
}

impl Connectors {
    pub(super) fn new(settings: &UpstreamSettings) -> Result<Self, ConfigFault> {
        let tls = client_config(settings)?;
        let name = settings.server_name.as_deref().map(server_name).transpose()?;
        let connector = |protocol| {
            let mut builder = HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
            if let Some(name) = name.clone() {
                builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
            }
            let tcp = tcp(settings.connect_timeout);
            match protocol {
                Protocol::Auto => builder.enable_all_versions().wrap_connector(tcp),
                Protocol::Http1 => builder.enable_http1().wrap_connector(tcp),
                Protocol::H2 => builder.enable_http2().wrap_connector(tcp),
            }
        };
        Ok(Self { any: connector(settings.protocol), http1: connector(Protocol::Http1) })
    }
}

fn tcp(connect_timeout: Duration) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(connect_timeout));
    tcp.enforce_http(false);
    tcp
}

fn client_config(settings: &UpstreamSettings) -> Result<ClientConfig, ConfigFault> {
    let unusable = |error: &dyn std::fmt::Display| {
        ConfigFault::new("urls", &settings.name, format!("TLS cannot be set up for it: {error}"))
    };
    let provider = aws_lc_rs::default_provider();
    let builder = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?;
    let encrypted = settings.urls.iter().any(|url| url.scheme() == "https");
    let builder = match &settings.ca_file {
        Some(file) => builder.with_root_certificates(authorities(file)?),
        // Nobody has to vouch for what is not encrypted, and a system without certificates can still serve it.
        None if !encrypted => builder.with_root_certificates(RootCertStore::empty()),
        None => builder.with_native_roots().map_err(|error| unusable(&error))?,
    };
    match &settings.client_certificate {
        Some(certificate) => introduced(builder, certificate),
        None => Ok(builder.with_no_client_auth()),
    }
}

fn authorities(file: &Path) -> Result<RootCertStore, ConfigFault> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca_file", file)? {
        roots.add(certificate).map_err(|error| unreadable("ca_file", file, &error))?;
    }
    Ok(roots)
}

fn introduced(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    certificate: &ClientCertificate,
) -> Result<ClientConfig, ConfigFault> {
    let chain = certificates("client_cert_file", &certificate.certificates)?;
    let key = PrivateKeyDer::from_pem_file(&certificate.key)
        .map_err(|error| unreadable("client_key_file", &certificate.key, &error))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| unreadable("client_key_file", &certificate.key, &error))
}

fn certificates(key: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigFault> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| unreadable(key, file, &error))?;
    if found.is_empty() { Err(unreadable(key, file, &"it holds no certificate")) } else { Ok(found) }
}

fn server_name(name: &str) -> Result<ServerName<'static>, ConfigFault> {
    let remedy = "write a host name or an address, as the upstream's certificate bears it";
    ServerName::try_from(name.to_owned()).map_err(|_| ConfigFault::new("server_name", name, remedy))
}

fn unreadable(key: &str, file: &Path, error: &dyn std::fmt::Display) -> ConfigFault {
    let place = file.display().to_string();
    let remedy = format!("make `{place}` a PEM file that is good for this and that this process may read: {error}");
    ConfigFault::new(key, place, remedy)
}
