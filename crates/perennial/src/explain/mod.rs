//! Why a session is as it is, told from its record: for `perennial explain`, a support page, or whoever asks "why was this user
//! signed out?". What is told opens nothing: the sealed part of the record is not touched.

mod advice;
mod story;
mod words;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use perennial_core::Timestamp;
use perennial_core::names::ProviderId;
use perennial_core::record::{EndReason, Entry, History, Phase, Record, RenewalEntry, Unreadable, What};
use perennial_core::session::{FINGERPRINT_BYTES, Generation, SessionState};
use perennial_store::{KeyPrefix, SessionStore, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::auth::Auth;

pub use advice::Advice;
pub use words::{ago, moment};

impl Auth {
    /// Explains the session that `fingerprint` names in logs and headers; `None` if the store has no record of it.
    ///
    /// It may take as long as reading every key of the store: for people who ask, not for requests.
    ///
    /// # Errors
    /// [`ExplainError`].
    pub async fn explain(&self, fingerprint: &str) -> Result<Option<Explanation>, ExplainError> {
        explain(&*self.inner.store, fingerprint, self.inner.now()).await
    }
}

/// Explains the session that `fingerprint` names from its record in `store`, as it looks at `now`; `None` if there is none.
///
/// # Errors
/// [`ExplainError`].
pub async fn explain(
    store: &dyn SessionStore,
    fingerprint: &str,
    now: Timestamp,
) -> Result<Option<Explanation>, ExplainError> {
    match store.find(record_prefix(fingerprint)?, now).await?.first() {
        None => Ok(None),
        Some((_, found)) => Ok(Some(Explanation::of(fingerprint, &Record::decode(&found.bytes)?, now))),
    }
}

/// How the key of the record begins whose session `fingerprint` names. Nine bytes of a digest: that two sessions share them does
/// not happen.
pub(crate) fn record_prefix(fingerprint: &str) -> Result<KeyPrefix, ExplainError> {
    let bytes = URL_SAFE_NO_PAD.decode(fingerprint).ok().filter(|bytes| bytes.len() == FINGERPRINT_BYTES);
    bytes.as_deref().and_then(KeyPrefix::new).ok_or(ExplainError::NoFingerprint)
}

/// A session could not be explained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// What was given is no fingerprint.
    #[error(
        "a session's fingerprint has twelve of A-Z a-z 0-9 _ -: copy it from a log line (session=) or X-Perennial-Session"
    )]
    NoFingerprint,
    /// There is a record, and it cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The store did not answer.
    #[error("the store does not answer: {0}")]
    Store(#[from] StoreError),
}

impl ExplainError {
    /// Its stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoFingerprint => "no_fingerprint",
            Self::Unreadable(_) => "record_unreadable",
            Self::Store(error) => error.code(),
        }
    }
}

/// What a session's record tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The session's fingerprint.
    pub session: String,
    /// When the record was read.
    pub read_at: Timestamp,
    /// `signed_in`, `renewing`, `in_doubt`, `refused` or `ended`.
    pub state: String,
    /// The newest generation.
    pub generation: Generation,
    /// The story in sentences, newest first. The first says how things stand and why.
    pub story: Vec<String>,
    /// What to do about it, if there is anything to be done.
    pub advice: Option<Advice>,
    /// What happened, newest first.
    pub entries: Vec<ExplainedEntry>,
    /// Entries before these that the record no longer has.
    pub dropped: u32,
}

/// One entry of a session's history, all names written out. What does not apply is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ExplainedEntry {
    /// When it was written down.
    pub at: Option<Timestamp>,
    /// `signed_in`, `renewal` or `ended`.
    pub what: String,
    /// Of a renewal the verdict's code, of an end its reason.
    pub outcome: String,
    /// The newest generation after it.
    pub generation: u64,
    /// When that generation's access token dies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What asked for the renewal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why a refresh token was sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resend: Option<String>,
    /// How many other requests waited.
    pub waiters: u32,
    /// Cookies of older generations that were given the newest one.
    pub stale_cookies: u32,
    /// `record` or `cookie`: whose tokens went on, where the two held different ones at one generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<String>,
    /// How long the provider took, in milliseconds.
    pub provider_millis: u32,
    /// The HTTP status of its answer, if that brought no tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The provider's `error` code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The beginning of the attempt's name, as in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
    /// The replica that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica: Option<String>,
    /// How many failures alike this entry stands for.
    pub times: u32,
    /// When the first of them was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

impl Explanation {
    /// Explains `record`, which belongs to the session called `session`, as it looks at `now`.
    pub fn of(session: &str, record: &Record, now: Timestamp) -> Self {
        Self {
            session: session.to_owned(),
            read_at: now,
            state: state(&record.phase).to_owned(),
            generation: record.generation,
            story: story::tell(record, now),
            advice: advice::advice(record),
            entries: record.history.entries().rev().map(ExplainedEntry::of).collect(),
            dropped: record.history.dropped(),
        }
    }
}

impl ExplainedEntry {
    fn of(entry: &Entry) -> Self {
        let told = Self {
            at: Some(entry.at),
            generation: entry.generation.0,
            expires_at: entry.expires_at,
            stale_cookies: entry.stale_cookies,
            fork: entry.fork.map(|kept| kept.code().to_owned()),
            times: 1,
            ..Self::default()
        };
        match &entry.what {
            What::SignedIn => Self { what: "signed_in".into(), outcome: "signed_in".into(), ..told },
            What::Ended(reason) => Self { what: "ended".into(), outcome: reason.code().into(), ..told },
            What::Renewal(renewal) => Self {
                what: "renewal".into(),
                outcome: renewal.verdict.code().into(),
                reason: Some(renewal.reason.code().into()),
                resend: renewal.resend.map(|resend| resend.code().to_owned()),
                waiters: renewal.waiters,
                provider_millis: renewal.provider_millis,
                status: renewal.status,
                error: renewal.error.clone(),
                attempt: Some(renewal.attempt.clone()),
                replica: renewal.replica.clone(),
                times: renewal.repeated.map_or(1, |repeated| repeated.times),
                since: renewal.repeated.map(|repeated| repeated.since),
                ..told
            },
        }
    }
}

/// What a session cookie's claims say about the session, for finding its record and comparing the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieFacts {
    /// The session's fingerprint.
    pub session: String,
    /// The generation the cookie holds.
    pub generation: Generation,
    /// Where the user signed in; empty if the cookie does not say.
    pub provider: String,
    /// When the user signed in.
    pub started_at: Timestamp,
    /// When the cookie's access token dies.
    pub expires_at: Option<Timestamp>,
}

impl CookieFacts {
    /// Reads the claims of an opened session cookie; `None` if they are not those of a session.
    pub fn of(claims: Map<String, Value>) -> Option<Self> {
        let state = SessionState::from_claims(claims, &ProviderId::new("")).ok()?;
        Some(Self {
            session: state.id.fingerprint(),
            generation: state.generation,
            provider: state.provider.to_string(),
            started_at: state.started_at,
            expires_at: state.tokens.and_then(|tokens| tokens.expires_at),
        })
    }
}

fn state(phase: &Phase) -> &'static str {
    match phase {
        Phase::Idle { .. } => "signed_in",
        Phase::Intent(_) => "renewing",
        Phase::InDoubt(_) => "in_doubt",
        Phase::Refused { .. } => "refused",
        Phase::Ended { .. } => "ended",
    }
}

/// The newest renewal entry of `generation` that `wanted` picks.
fn newest(
    history: &History,
    generation: Generation,
    wanted: impl Fn(&RenewalEntry) -> bool,
) -> Option<(&Entry, &RenewalEntry)> {
    history.entries().rev().filter(|entry| entry.generation == generation).find_map(|entry| match &entry.what {
        What::Renewal(renewal) if wanted(renewal) => Some((entry, renewal)),
        _ => None,
    })
}

/// Whether `reason` is an end that somebody wanted.
fn is_wanted(reason: EndReason) -> bool {
    matches!(
        reason,
        EndReason::SignedOut
            | EndReason::Callback
            | EndReason::TooOld
            | EndReason::ProviderSignedOut
            | EndReason::OperatorEnded
    )
}
