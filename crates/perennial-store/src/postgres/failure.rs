//! What PostgreSQL's errors mean: who must act, and whether anything was written.

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::{StoreError, StoreErrorKind};

/// Why a statement has no result.
pub(super) enum Failure {
    /// There is no connection to send it on.
    Unreached(PoolError),
    Refused(tokio_postgres::Error),
    TimedOut,
    Told(StoreError),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Failure::Refused(error)
    }
}

impl Failure {
    /// Whether the connection died under a statement, which a statement that only reads may try on another.
    pub(super) fn is_of_the_connection(&self) -> bool {
        match self {
            Failure::Refused(error) => error.is_closed() || error.code().is_some_and(ends_the_session),
            _ => false,
        }
    }

    /// What an operator reads. The server's words may quote a value, so only its code is passed on.
    pub(super) fn told(self) -> StoreError {
        match self {
            Failure::Told(error) => error,
            Failure::TimedOut => unavailable(
                "PostgreSQL did not answer in time: look at its load, its locks and the network".to_owned(),
            ),
            Failure::Unreached(error) => match error {
                PoolError::Backend(error) => refused(&error).before_writing(),
                PoolError::Timeout(_) => unavailable(
                    "no connection to PostgreSQL came free or was made in time: look at the server and the network, or raise `connections` in the store's URL".to_owned(),
                )
                .before_writing(),
                _ => unavailable("the connections to PostgreSQL are closed: restart the process".to_owned()).before_writing(),
            },
            Failure::Refused(error) => {
                let told = refused(&error);
                // A statement that fails is undone; one whose session was ended may have been committed just before.
                let undone = error.code().is_some_and(|code| !ends_the_session(code));
                if undone { told.before_writing() } else { told }
            }
        }
    }
}

fn refused(error: &tokio_postgres::Error) -> StoreError {
    let Some(code) = error.code() else {
        return unavailable(
            "PostgreSQL cannot be reached: look at the server and at the network; the store connects again by itself"
                .to_owned(),
        );
    };
    match *code {
        SqlState::DISK_FULL | SqlState::OUT_OF_MEMORY => {
            StoreError::new(StoreErrorKind::Full, "PostgreSQL has no room left: free space on its disk")
        }
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            unavailable("PostgreSQL does not accept the user and password of the store's URL: correct them".to_owned())
        }
        SqlState::INVALID_CATALOG_NAME => {
            unavailable("PostgreSQL has no database of that name: create it, or correct the store's URL".to_owned())
        }
        SqlState::INSUFFICIENT_PRIVILEGE => unavailable(
            "PostgreSQL forbids this user to make or use the store's tables: grant what docs/stores.md lists".to_owned(),
        ),
        SqlState::TOO_MANY_CONNECTIONS => unavailable(
            "PostgreSQL takes no more connections: raise its max_connections, or lower `connections` in the store's URL"
                .to_owned(),
        ),
        SqlState::READ_ONLY_SQL_TRANSACTION => {
            unavailable("this PostgreSQL server only reads: name the primary, or all servers, in the store's URL".to_owned())
        }
        _ => unavailable(format!("PostgreSQL refused a statement with {}: look at its log", code.code())),
    }
}

/// The refusal of tables of a later version.
pub(super) fn newer_schema(found: i32, known: i32) -> StoreError {
    unavailable(format!(
        "the store's tables are of a later version of Perennial (schema {found}, this one knows {known}): run that version, or name another schema"
    ))
    .before_writing()
}

/// The answer of something that holds other tables under our names.
pub(super) fn not_understood() -> StoreError {
    unavailable("the store's tables are not as Perennial made them: name another schema in the store's URL".to_owned())
}

fn unavailable(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, message)
}

fn ends_the_session(code: &SqlState) -> bool {
    matches!(*code, SqlState::ADMIN_SHUTDOWN | SqlState::CRASH_SHUTDOWN | SqlState::CANNOT_CONNECT_NOW)
}
