//! RFC 6749 §4.1.3, §4.4, §5, §6 · RFC 7009 · RFC 7662 · OIDC Core §5.3: everything said to and heard from the token endpoint and those beside it.

mod answer;
mod failure;
mod introspection;
mod request;
mod response;
mod retry_after;
mod revocation;

pub use failure::{TokenFailure, Verdict};
pub use introspection::{introspection_request, read_introspection, read_probe};
pub use request::{client_credentials_request, code_request, refresh_request, revoke_request, userinfo_request};
pub use response::{TokenExchange, TokenResponse, read_token_response};
pub use retry_after::retry_after;
pub use revocation::{RevocableToken, RevocationError, read_revocation};

use crate::limits::ERROR_CODE_CHARS;

/// The characters RFC 6749 §4.1.2.1 allows in a description, at most `limit` of them.
pub(crate) fn printable(text: &str, limit: usize) -> String {
    text.chars().filter(|&c| matches!(c, ' '..='~') && c != '"' && c != '\\').take(limit).collect()
}

/// The characters that error codes are made of, and no more than [`ERROR_CODE_CHARS`].
pub(crate) fn printable_code(text: &str) -> String {
    text.chars()
        .filter(|&c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':'))
        .take(ERROR_CODE_CHARS)
        .collect()
}
