//! TLS to a store's server.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

/// Makes aws-lc the cryptography of this process, unless the application has chosen another: rustls panics when it finds
/// two and no choice.
pub(crate) fn choose_provider() {
    if CryptoProvider::get_default().is_none() {
        // Another thread was faster: it is chosen all the same.
        let _chosen: Result<(), Arc<CryptoProvider>> = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}
