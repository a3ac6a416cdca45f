//! TLS by rustls: certificates from PEM files, chosen by the name a client asks for (RFC 6066 §3), read anew when they change.

use std::fmt::{self, Debug, Formatter};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use perennial::ConfigFault;
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};

/// The certificates of a listener. The first is shown to whoever asks for a name that none is for.
#[derive(Clone, Debug)]
pub struct Tls {
    /// At least one.
    pub certificates: Vec<CertificateFiles>,
}

/// A certificate with its chain, and its key.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// PEM: the certificate, then those that lead to its authority.
    pub cert_file: PathBuf,
    /// PEM: PKCS #8, PKCS #1 or SEC 1, without a password.
    pub key_file: PathBuf,
}

/// Certificates in use, cheap to clone.
#[derive(Clone)]
pub struct Certificates {
    files: Tls,
    provider: Arc<CryptoProvider>,
    current: Arc<RwLock<Loaded>>,
}

/// What was read, and a hash of each file, to see whether it has changed.
struct Loaded {
    keys: Vec<Arc<CertifiedKey>>,
    hashes: Vec<u64>,
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// A fault for each file that cannot be used.
    pub fn load(files: Tls) -> Result<Self, Vec<ConfigFault>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let loaded = read(&files, &provider)?;
        Ok(Self { files, provider, current: Arc::new(RwLock::new(loaded)) })
    }

    /// Reads the files again if they have changed, for the connections from then on. Whether they had.
    ///
    /// # Errors
    /// A fault for each file that cannot be used; the certificates before stay in use.
    pub fn reload(&self) -> Result<bool, Vec<ConfigFault>> {
        let loaded = read(&self.files, &self.provider)?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let changed = loaded.hashes != current.hashes;
        if changed {
            *current = loaded;
        }
        Ok(changed)
    }

    /// Reads the files again every so often. Their content is compared and not the times of the files: certificates are put in
    /// place by renaming, by links that are turned around, and by volumes that tell nobody.
    pub(super) async fn follow(self) {
        let mut told = Vec::new();
        loop {
            tokio::time::sleep(RELOAD_INTERVAL).await;
            let certificates = self.clone();
            let Ok(reloaded) = tokio::task::spawn_blocking(move || certificates.reload()).await else { return };
            match reloaded {
                Ok(true) => tracing::info!("the certificates have changed and are in use"),
                Ok(false) => {}
                // A file may be half written: the next look sees the rest. What stays wrong is told once.
                Err(faults) if faults != told => {
                    report(&faults);
                    told = faults;
                    continue;
                }
                Err(_) => continue,
            }
            told.clear();
        }
    }

    /// What rustls accepts connections with: TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1.
    pub(super) fn server(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut server = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        server.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
        server.ticketer = aws_lc_rs::Ticketer::new()?;
        Ok(Arc::new(server))
    }
}

/// Says in the log why certificates were not taken.
pub(super) fn report(faults: &[ConfigFault]) {
    for fault in faults {
        tracing::error!(%fault, "the certificates cannot be used; those from before stay in use");
    }
}

impl Debug for Certificates {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Certificates").field("files", &self.files).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let first = current.keys.first();
        // With one there is nothing to choose.
        let asked =
            hello.server_name().filter(|_| current.keys.len() > 1).and_then(|name| ServerName::try_from(name).ok());
        let named = asked.and_then(|name| current.keys.iter().find(|key| is_for(key, &name)));
        named.or(first).cloned()
    }
}

fn is_for(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let parsed = key.cert.first().map(ParsedCertificate::try_from);
    parsed.is_some_and(|parsed| parsed.is_ok_and(|parsed| verify_server_name(&parsed, name).is_ok()))
}

fn read(files: &Tls, provider: &CryptoProvider) -> Result<Loaded, Vec<ConfigFault>> {
    let mut loaded = Loaded { keys: Vec::new(), hashes: Vec::new() };
    let mut faults = Vec::new();
    if files.certificates.is_empty() {
        faults.push(ConfigFault::new("tls.cert_file", "tls", "name a certificate and its key"));
    }
    for pair in &files.certificates {
        match read_pair(pair, provider) {
            Ok((key, hashes)) => {
                loaded.keys.push(Arc::new(key));
                loaded.hashes.extend(hashes);
            }
            Err(found) => faults.extend(found),
        }
    }
    if faults.is_empty() { Ok(loaded) } else { Err(faults) }
}

fn read_pair(
    files: &CertificateFiles,
    provider: &CryptoProvider,
) -> Result<(CertifiedKey, [u64; 2]), Vec<ConfigFault>> {
    let cert = read_file("tls.cert_file", &files.cert_file, |bytes| {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(bytes).collect::<Result<_, _>>().ok()?;
        let parses = ParsedCertificate::try_from(chain.first()?).is_ok();
        parses.then_some(chain)
    });
    let key = read_file("tls.key_file", &files.key_file, |bytes| {
        let der = PrivateKeyDer::from_pem_slice(bytes).ok()?;
        provider.key_provider.load_private_key(der).ok()
    });
    match (cert, key) {
        (Ok((chain, cert_hash)), Ok((key, key_hash))) => {
            let certified = CertifiedKey::new(chain, key);
            match certified.keys_match() {
                Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
                    Ok((certified, [cert_hash, key_hash]))
                }
                Err(_) => {
                    let remedy = format!("use the key of the first certificate in `{}`", files.cert_file.display());
                    Err(vec![fault("tls.key_file", &files.key_file, remedy)])
                }
            }
        }
        (cert, key) => Err(cert.err().into_iter().chain(key.err()).collect()),
    }
}

/// What is in the file, and a hash of it. No fault repeats any of them: it may be a key that was put into the wrong place.
fn read_file<T>(key: &str, path: &Path, parse: impl FnOnce(&[u8]) -> Option<T>) -> Result<(T, u64), ConfigFault> {
    let bytes = std::fs::read(path).map_err(|error| fault(key, path, format!("make it readable: {error}")))?;
    let remedy = match key {
        "tls.cert_file" => "write certificates in PEM (BEGIN CERTIFICATE), that of this server first",
        _ => "write the private key in PEM (BEGIN PRIVATE KEY), without a password; RSA, ECDSA or Ed25519",
    };
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    match parse(&bytes) {
        Some(parsed) => Ok((parsed, hasher.finish())),
        None => Err(fault(key, path, remedy.to_owned())),
    }
}

fn fault(key: &str, path: &Path, remedy: String) -> ConfigFault {
    ConfigFault::new(key, format!("`{}`", path.display()), remedy)
}

/// HTTP/2 over TLS (RFC 9113 §3.2).
pub(super) const HTTP2: &[u8] = b"h2";

/// How often the files are looked at; SIGHUP does it at once.
const RELOAD_INTERVAL: Duration = Duration::from_secs(30);
