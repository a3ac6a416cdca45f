//! How much memory a session takes that lies in the memory store: `cargo run --release -p perennial --example session_memory`.
//! The one argument is how many characters the sessions' ID tokens have; none unless given.
//!
//! It fills a store with 100,000 records as strategy `database` writes them and divides what the process grew by. Linux only:
//! it reads `/proc/self/statm`.
#![allow(clippy::print_stdout, reason = "a program of the terminal")]

use std::error::Error;

use perennial::cookie::RecordKeys;
use perennial::names::{ProviderId, Scope};
use perennial::record::{Entry, Record, What, seal_state};
use perennial::secret::{AccessToken, CookieSecret, IdToken, RefreshToken};
use perennial::store::{MemoryStore, RecordKey, SessionStore, Swap};
use perennial::{Clock, SystemClock, SystemRandom, Timestamp, random_token};
use perennial_core::session::{SessionState, TokenSet};
use serde_json::json;

const SESSIONS: usize = 100_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let id_token_chars = std::env::args().nth(1).map_or(Ok(0), |chars| chars.parse())?;
    let each = filled(id_token_chars).await?;
    println!("{SESSIONS} sessions with an ID token of {id_token_chars} characters: {each} bytes of memory each");
    Ok(())
}

/// Fills a store and answers with what each session takes of it.
async fn filled(id_token_chars: usize) -> Result<usize, Box<dyn Error>> {
    let (store, now) = (MemoryStore::with_capacity(SESSIONS), SystemClock.now());
    let keys = RecordKeys::new(&[CookieSecret::new("at least 32 random characters, for a measurement")])?;
    let before = resident()?;
    for _ in 0..SESSIONS {
        let session = session(id_token_chars, now);
        let expires_at = session.tokens.as_ref().and_then(|tokens| tokens.expires_at);
        let signed_in = Entry {
            at: now,
            generation: session.generation,
            expires_at,
            stale_cookies: 0,
            fork: None,
            what: What::SignedIn,
        };
        let sealed = seal_state(&keys, &session, &SystemRandom);
        let record = Record::idle(session.generation, sealed).noting(signed_in);
        let key = RecordKey::from_digest(session.id.record_key());
        let expires = now + std::time::Duration::from_secs(3600);
        match store.compare_and_swap(key, None, record.encode(), expires, now).await? {
            Swap::Stored(_) => {}
            Swap::Conflict(_) => return Err("two sessions of one id".into()),
        }
    }
    let grown = resident()?.saturating_sub(before);
    drop(store);
    Ok(grown / SESSIONS)
}

/// A session as a provider with opaque tokens begins it.
fn session(id_token_chars: usize, now: Timestamp) -> SessionState {
    let token = || random_token(&SystemRandom);
    let mut id_token = String::new();
    while id_token.len() < id_token_chars {
        id_token.push_str(&token());
    }
    id_token.truncate(id_token_chars);
    let tokens = TokenSet {
        access_token: AccessToken::new(token()),
        token_type: "Bearer".into(),
        refresh_token: Some(RefreshToken::new(token())),
        id_token: (id_token_chars > 0).then(|| IdToken::new(id_token)),
        scope: Some(Scope::new("openid profile email offline_access")),
        issued_at: now,
        expires_at: Some(now + std::time::Duration::from_secs(3600)),
        refresh_token_expires_at: None,
    };
    let claims = json!({ "name": "Alice Archer", "email": "alice@example.test", "sub": "248289761001", "picture": "https://id.example/u/248289761001.png" });
    SessionState::begin(
        ProviderId::new("oidc"),
        claims.as_object().cloned().unwrap_or_default(),
        tokens,
        now,
        &SystemRandom,
    )
}

/// Bytes of memory that this process has in use.
fn resident() -> Result<usize, Box<dyn Error>> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: usize = statm.split_whitespace().nth(1).ok_or("no resident set")?.parse()?;
    Ok(pages * 4096)
}
