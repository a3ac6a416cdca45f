//! `perennial explain`: why a session is as it is, from its record in the store or from a running gateway.

use std::cmp::Ordering;
use std::fmt::Write;
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use http::{Method, StatusCode};
use perennial::explain::{CookieFacts, ExplainError, ExplainedEntry, Explanation, ago, explain, moment};
use perennial::store::{self, SessionStore};
use perennial::{Clock, SystemClock, Timestamp};
use serde_json::Value;

use super::{Fault, admin, answer, cookie};

/// Tell why a session is as it is.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ExplainArgs {
    /// The session's fingerprint, from a log line (session=) or the X-Perennial-Session header; or - to read a Cookie header from standard input, which needs AUTH_SECRET.
    #[arg(value_name = "SESSION")]
    session: String,
    /// Read this store: a path, or the URL of a shared one. An embedded store that a gateway has open cannot be read beside it.
    #[arg(long, value_name = "PATH|URL", conflicts_with = "admin")]
    store: Option<String>,
    /// Ask the admin listener of a running gateway.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9420")]
    admin: String,
    /// With -, the cookie's name, __Secure-authjs.session-token on https.
    #[arg(long, default_value = "authjs.session-token")]
    name: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

const AFTER_HELP: &str = "\
  perennial explain 5nTPlh8xvG2P                         asks the gateway on this machine that serves with --admin 127.0.0.1:9420
  perennial explain 5nTPlh8xvG2P --store sessions.redb   reads a store that no gateway has open
  perennial explain - < cookie.txt                       finds the session by its cookie

Exit codes: 0 it is told; 1 the store, the listener or the cookie cannot be read; 2 wrong arguments; 3 there is no such session.";

/// Tells, and with which code to end.
pub(crate) async fn run(args: ExplainArgs) -> Result<ExitCode, Fault> {
    let cookie = match args.session.as_str() {
        "-" => Some(cookie_of(&args.name)?),
        _ => None,
    };
    let session = cookie.as_ref().map_or(&args.session, |cookie| &cookie.session);
    if !is_fingerprint(session) {
        return Err(ExplainError::NoFingerprint.into());
    }
    let explained = match &args.store {
        Some(store) => explain(&*existing(store)?, session, SystemClock.now()).await?,
        None => ask(&args.admin, session).await?,
    };
    match explained {
        Some(explained) if args.json => answer(&serde_json::to_string_pretty(&explained)?)?,
        Some(explained) => answer(told(&explained, cookie.as_ref()).trim_end())?,
        None => {
            answer(&unknown(session, cookie.as_ref(), args.json))?;
            return Ok(ExitCode::from(UNKNOWN));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The exit code when there is no such session.
const UNKNOWN: u8 = 3;

/// Opens a store that is there: a misspelt path must not become a new, empty file.
fn existing(store: &str) -> Result<Arc<dyn SessionStore>, Fault> {
    let path = store.strip_prefix("file:").unwrap_or(store);
    if !path.contains(':') && !path.contains('%') && !Path::new(path).exists() {
        return Err(format!("{store} does not exist: name the store that the gateway uses").into());
    }
    Ok(store::open(store)?)
}

/// It becomes a part of a URL.
fn is_fingerprint(session: &str) -> bool {
    session.len() == 12 && session.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn cookie_of(name: &str) -> Result<CookieFacts, Fault> {
    let mut header = String::new();
    std::io::stdin().read_to_string(&mut header)?;
    let claims = cookie::claims_in(name, &header)?;
    CookieFacts::of(claims).ok_or_else(|| "the cookie opens, but holds no session".into())
}

/// Asks an admin listener.
async fn ask(admin: &str, session: &str) -> Result<Option<Explanation>, Fault> {
    let (status, body) = admin::ask(admin, Method::GET, &format!("/explain/{session}"), None)
        .await
        .map_err(|fault| format!("{fault}, or read a store with --store"))?;
    if status == StatusCode::OK {
        return Ok(Some(serde_json::from_slice(&body)?));
    }
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    match (said["error"].as_str(), said["message"].as_str()) {
        (Some("unknown_session"), _) => Ok(None),
        (_, Some(message)) => Err(message.into()),
        _ => Err(admin::unreachable(admin, &format!("it says {status}")).into()),
    }
}

/// The story and its table. Writing to a String cannot fail.
fn told(explained: &Explanation, cookie: Option<&CookieFacts>) -> String {
    let now = explained.read_at;
    let mut text = format!("session {}\n\n", explained.session);
    for sentence in &explained.story {
        let _ = writeln!(text, "{sentence}");
    }
    if let Some(cookie) = cookie {
        let _ = writeln!(text, "{}", compared(explained, cookie, now));
    }
    if let Some(advice) = &explained.advice {
        let _ = writeln!(text, "\nWhat to do: {} See {}.", advice.sentence, advice.docs);
    }
    if !explained.entries.is_empty() {
        let _ = writeln!(text, "\n{:<24} {:>10}  {:>4}  what happened", "when", "", "gen.");
    }
    for entry in &explained.entries {
        let at = entry.at.unwrap_or(now);
        let _ = writeln!(text, "{:<24} {:>10}  {:>4}  {}", moment(at), ago(at, now), entry.generation, line(entry));
    }
    text
}

fn compared(explained: &Explanation, cookie: &CookieFacts, now: Timestamp) -> String {
    let token = match cookie.expires_at {
        Some(at) if at <= now => format!(" and an access token that died {}", ago(at, now)),
        Some(at) => format!(" and an access token that dies {}", ago(at, now)),
        None => String::new(),
    };
    let newest = explained.generation;
    let compared = match cookie.generation.cmp(&newest) {
        Ordering::Less => {
            format!("the record has the newer generation {}, which it is given when it comes due", newest.0)
        }
        Ordering::Equal => "the newest".to_owned(),
        Ordering::Greater => {
            format!("the record is behind, at {}: the store lost a write, which the cookie mends", newest.0)
        }
    };
    format!("The cookie holds generation {}{token}: {compared}.", cookie.generation.0)
}

fn line(entry: &ExplainedEntry) -> String {
    let mut text = match entry.what.as_str() {
        "renewal" => format!("renewal: {}", entry.outcome),
        "ended" => format!("ended: {}", entry.outcome),
        _ => "signed in".to_owned(),
    };
    let mut add = |detail: String| {
        let _ = write!(text, ", {detail}");
    };
    let said = [entry.error.clone(), entry.status.map(|status| format!("HTTP {status}"))];
    said.into_iter().flatten().for_each(&mut add);
    if let (true, Some(since)) = (entry.times > 1, entry.since) {
        add(format!("{} times since {}", entry.times, moment(since)));
    }
    if let Some(reason) = &entry.reason {
        add(reason.replace('_', " "));
    }
    if let Some(resend) = &entry.resend {
        add(format!("sent again ({resend})"));
    }
    if entry.provider_millis > 0 {
        add(format!("provider took {} ms", entry.provider_millis));
    }
    if entry.waiters > 0 {
        add(format!("{} waited", entry.waiters));
    }
    if entry.stale_cookies > 0 {
        add(format!("{} stale cookies saved", entry.stale_cookies));
    }
    entry.fork.iter().for_each(|kept| add(format!("two successors were about, the {kept}'s went on")));
    entry.replica.iter().for_each(|replica| add(format!("replica {replica}")));
    entry.attempt.iter().for_each(|attempt| add(format!("attempt {attempt}")));
    text
}

fn unknown(session: &str, cookie: Option<&CookieFacts>, json: bool) -> String {
    if json {
        return serde_json::json!({ "session": session, "state": "unknown" }).to_string();
    }
    let mut text = format!(
        "session {session}\n\nThe store has no record of this session. Either it was never here (another store, another site), or its record was forgotten: it is kept for max_age and an hour after its last write, and with memory: it ends with the process."
    );
    if let Some(cookie) = cookie {
        let _ = write!(
            text,
            "\nIts cookie opens and holds generation {} of a sign-in of {}: it goes on alone until it is renewed.",
            cookie.generation.0,
            moment(cookie.started_at)
        );
    }
    text
}
