//! A certificate authority for one test.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// An authority whose certificate nobody trusts unless told to.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("its own key").pem();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// The authority's own certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Writes the authority's certificate into `folder` and answers with the file.
    pub fn write(&self, folder: &Path) -> PathBuf {
        let file = folder.join("authority.pem");
        std::fs::write(&file, &self.certificate).expect("the folder can be written");
        file
    }

    /// Writes certificate and key of a server on `127.0.0.1` into a folder that outlives the server, and answers with the
    /// files.
    pub(crate) fn issue(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).expect("two names");
        let certificate = params.signed_by(&key, &self.issuer).expect("the authority's key").pem();
        let (certificate_file, key_file) = (folder.join("server.pem"), folder.join("server.key"));
        std::fs::write(&certificate_file, certificate).expect("the folder can be written");
        std::fs::write(&key_file, key.serialize_pem()).expect("the folder can be written");
        (certificate_file, key_file)
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
