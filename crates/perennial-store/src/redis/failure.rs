//! What Redis's errors mean: who must act, and whether anything was written.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::{StoreError, StoreErrorKind};

/// What an operator reads. The words of the crate may quote a URL, those of the server a command, so neither is passed
/// on; the server's error code is.
pub(super) fn failure(error: &RedisError) -> StoreError {
    let code = error.code().filter(|code| code.bytes().all(|byte| byte.is_ascii_uppercase())).unwrap_or("ERR");
    let (kind, message) = match error.kind() {
        _ if code == "OOM" => (
            StoreErrorKind::Full,
            "Redis has used up its maxmemory: raise it; the policy must be noeviction, or sessions are lost".to_owned(),
        ),
        ErrorKind::AuthenticationFailed => (StoreErrorKind::Unavailable, CREDENTIALS.to_owned()),
        ErrorKind::Server(ServerErrorKind::NoPerm) => (
            StoreErrorKind::Unavailable,
            "Redis forbids this user what the store needs (docs/stores.md lists it): extend its ACL".to_owned(),
        ),
        ErrorKind::Server(_) | ErrorKind::Extension if matches!(code, "NOAUTH" | "WRONGPASS") => {
            (StoreErrorKind::Unavailable, CREDENTIALS.to_owned())
        }
        ErrorKind::Server(_) | ErrorKind::Extension => {
            (StoreErrorKind::Unavailable, format!("Redis refused a command with {code}: look at its log"))
        }
        ErrorKind::MasterNameNotFoundBySentinel => (
            StoreErrorKind::Unavailable,
            "no Sentinel that answers knows a living master of that name: look at the Sentinels".to_owned(),
        ),
        ErrorKind::UnexpectedReturnType | ErrorKind::Parse | ErrorKind::RESP3NotSupported => (
            StoreErrorKind::Unavailable,
            "what answers at the store's URL does not speak as Redis 7 or Valkey does: look at the URL".to_owned(),
        ),
        _ if error.is_timeout() => (
            StoreErrorKind::Unavailable,
            "Redis did not answer in time: look at its load and at the network".to_owned(),
        ),
        _ => (
            StoreErrorKind::Unavailable,
            "Redis cannot be reached: look at the server and at the network; the store connects again by itself"
                .to_owned(),
        ),
    };
    let failure = StoreError::new(kind, message).caused_by(Category(error.category().to_owned()));
    // Scripts write with their last command, and a command that is refused has written nothing.
    if is_refusal(error) { failure.before_writing() } else { failure }
}

/// A write that stands on the master, and whose replicas did not confirm it.
pub(super) fn unconfirmed() -> RedisError {
    RedisError::from((ErrorKind::Client, "unconfirmed"))
}

/// Whether the server, or this side before it sent anything, has said no.
pub(super) fn is_refusal(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(_)
            | ErrorKind::Extension
            | ErrorKind::AuthenticationFailed
            | ErrorKind::InvalidClientConfig
            | ErrorKind::MasterNameNotFoundBySentinel
    )
}

/// Whether the connection is of no more use: broken, or to a server that is not the master any more.
pub(super) fn is_of_the_connection(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::ReadOnly
                | ServerErrorKind::MasterDown
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::ClusterDown
        ),
        ErrorKind::Extension | ErrorKind::Client => false,
        _ => true,
    }
}

/// What kind of error it was, in words that quote nothing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Category(String);

const CREDENTIALS: &str = "Redis does not accept the user and password of the store's URL: correct them";
