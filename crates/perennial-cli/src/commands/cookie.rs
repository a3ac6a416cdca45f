//! `perennial cookie`: opens and seals session cookies with the secrets of the environment.

use std::io::Read;
use std::time::Duration;

use clap::{Args, Subcommand};
use perennial::cookie::{self, KeyRing};
use perennial::secret::CookieSecret;
use perennial::{Clock, SystemClock, SystemRandom};
use serde_json::{Map, Value};

use super::{Fault, answer};

/// Open or seal a session cookie. Secrets come from AUTH_SECRET (and AUTH_SECRET_3, _2, _1 before it).
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CookieArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read a Cookie header from standard input and print the claims of the session in it as JSON.
    Open {
        /// The cookie's name, __Secure-authjs.session-token on https.
        #[arg(long, default_value = "authjs.session-token")]
        name: String,
        /// Print tokens and keys in clear instead of [redacted].
        #[arg(long)]
        dangerous_show_tokens: bool,
    },
    /// Read claims as JSON from standard input and print the cookies that hold them, one name=value a line.
    Seal {
        /// The cookie's name, __Secure-authjs.session-token on https.
        #[arg(long, default_value = "authjs.session-token")]
        name: String,
        /// How long the session lasts, such as 30d.
        #[arg(long, default_value = "30d", value_parser = humantime::parse_duration)]
        max_age: Duration,
    },
}

const AFTER_HELP: &str = "\
Secrets come from the environment, as for `perennial serve`: AUTH_SECRET, and AUTH_SECRET_3, _2, _1 before it.
  echo 'authjs.session-token=eyJ...' | perennial cookie open
  echo '{\"sub\":\"alice\"}' | perennial cookie seal --max-age 1h";

/// Opens or seals.
pub(crate) fn run(args: CookieArgs) -> Result<(), Fault> {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    match args.action {
        Action::Open { name, dangerous_show_tokens } => open(&name, &input, dangerous_show_tokens),
        Action::Seal { name, max_age } => seal(&name, &input, max_age),
    }
}

fn open(name: &str, header: &str, show: bool) -> Result<(), Fault> {
    let claims = claims_in(name, header)?;
    let claims = if show { claims } else { redacted(claims) };
    answer(&serde_json::to_string_pretty(&claims)?)
}

/// The claims of the session cookie called `name` in a `Cookie` header, opened with the secrets of the environment.
pub(super) fn claims_in(name: &str, header: &str) -> Result<Map<String, Value>, Fault> {
    let keys = keys(name)?;
    let header = header.trim().trim_start_matches("Cookie:").trim();
    let pairs = header.split([';', '\n']).filter_map(|pair| pair.trim().split_once('='));
    let joined =
        cookie::join(name, pairs).ok_or_else(|| format!("there is no cookie called {name} on standard input"))?;
    Ok(joined.open(&keys, SystemClock.now())?.claims)
}

fn seal(name: &str, claims: &str, max_age: Duration) -> Result<(), Fault> {
    let claims: Map<String, Value> = serde_json::from_str(claims)
        .map_err(|error| format!("standard input must be a JSON object of claims: {error}"))?;
    let value = cookie::seal(&keys(name)?, &claims, SystemClock.now(), max_age, &SystemRandom);
    let writes = cookie::split(name, &value, &[])?;
    let lines = writes.iter().filter_map(|write| Some(format!("{}={}", write.name, write.value.as_ref()?)));
    answer(&lines.collect::<Vec<_>>().join("\n"))
}

fn keys(name: &str) -> Result<KeyRing, Fault> {
    let secrets: Vec<CookieSecret> = ["AUTH_SECRET_3", "AUTH_SECRET_2", "AUTH_SECRET_1", "AUTH_SECRET"]
        .into_iter()
        .filter_map(|variable| std::env::var(variable).ok().filter(|secret| !secret.is_empty()))
        .map(CookieSecret::new)
        .collect();
    KeyRing::new(&secrets, name).map_err(|_| "set AUTH_SECRET to the secret the cookie is sealed with".into())
}

/// Whoever holds a refresh token, an access token or our key share can act as the user.
fn redacted(claims: Map<String, Value>) -> Map<String, Value> {
    claims.into_iter().map(|(name, value)| (name.clone(), redacted_value(is_secret(&name), value))).collect()
}

fn redacted_value(secret: bool, value: Value) -> Value {
    match value {
        Value::Object(inner) => redacted(inner).into(),
        Value::Array(items) => items.into_iter().map(|item| redacted_value(secret, item)).collect(),
        Value::Null => Value::Null,
        _ if secret => "[redacted]".into(),
        value => value,
    }
}

/// `refresh_token`, and what `jwt` callbacks written for Auth.js call it: `refreshToken`, `rt_token`, `tokens`.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["token", "tokens", "secret", "password", "key"].iter().any(|end| name.ends_with(end)) || name == "sid"
}
