//! `perennial providers`: the presets, and what each asks of whoever sets the provider up.

use std::fmt::Write;

use clap::{Args, Subcommand};
use perennial::provider::{
    Introspection, LastResort, PRESETS, Preset, Probe, ProviderKind, RefreshClass, RefreshTokenBy, preset,
};
use serde_json::{Value, json};

use super::{Fault, answer};

/// Arguments of `perennial providers`.
#[derive(Debug, Args)]
pub(crate) struct ProvidersArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say what to set at one provider and here, and what follows from it.
    Show {
        /// The preset's id.
        id: String,
        /// Where browsers reach your site.
        #[arg(long, value_name = "URL", env = "AUTH_URL", default_value = "https://app.example")]
        public_url: String,
        /// Where the endpoints lie.
        #[arg(long, value_name = "PATH", default_value = "/auth")]
        base_path: String,
    },
}

pub(crate) const AFTER_HELP: &str = "\
  perennial providers                                             a line for each
  perennial providers show okta --public-url https://app.example  all there is to know of one";

/// Lists the presets, or shows one.
pub(crate) fn run(args: ProvidersArgs) -> Result<(), Fault> {
    match args.action {
        None if args.json => answer(&serde_json::to_string_pretty(&PRESETS.iter().map(as_json).collect::<Vec<_>>())?),
        None => answer(&table()),
        Some(Action::Show { id, public_url, base_path }) => {
            let row = preset(&id).ok_or_else(|| unknown(&id))?;
            let redirect_uri =
                format!("{}{}/callback/{id}", public_url.trim_end_matches('/'), base_path.trim_end_matches('/'));
            if args.json {
                let mut shown = as_json(row);
                shown["redirect_uri"] = redirect_uri.into();
                answer(&serde_json::to_string_pretty(&shown)?)
            } else {
                answer(&described(row, &redirect_uri))
            }
        }
    }
}

fn unknown(id: &str) -> String {
    let known: Vec<&str> = PRESETS.iter().map(|row| row.id).collect();
    format!("there is no preset `{id}`; there are: {}", known.join(", "))
}

fn table() -> String {
    let mut text =
        format!("{:<28}{:<37}{:<18}{:<13}{}\n", "PRESET", "PROVIDER", "REFRESH TOKENS", "OLD ACCESS", "COMPARED");
    for row in PRESETS {
        let old = if row.at_kill { "dies" } else { "lives on" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:<28}{:<37}{:<18}{old:<13}{}", row.id, row.name, named(row.class), row.verified_on);
    }
    text + "\nREFRESH TOKENS: what it costs to send one twice; OLD ACCESS: what a renewal does to the older access token.\n\
            `perennial providers show ID` says what to set at a provider so that renewal is safe."
}

fn described(row: &Preset, redirect_uri: &str) -> String {
    let mut text = format!("{} ({}, preset {})\n", row.name, protocol(row.kind), row.id);
    let mut line = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    line(&format!("Compared on {} with: {}", row.verified_on, row.source));
    line("\nAt the provider");
    line(&format!("  redirect URI      {redirect_uri}"));
    line(&format!("  refresh token     {}", comes_by(row)));
    line(&format!("  so that it renews {}", row.refresh_hint));
    line("\nHow its refresh tokens are taken to behave");
    line(&format!("  class             {}: {}", named(row.class), meaning(row.class)));
    line(&format!("  when in doubt     {}", in_doubt(row)));
    if row.at_kill {
        line(
            "  access tokens     a renewal ends the older one at once, so every request asks the store for the newest",
        );
    }
    if !row.classes_by_setting.is_empty() {
        line("\nWhich class follows from which setting there; name yours here if it differs");
        for (setting, class) in row.classes_by_setting {
            line(&format!("  {setting}\n      {}", configured(*class)));
        }
    }
    line("\nIn the environment");
    line(&format!("  {}=...", row.variable("ID")));
    line(&format!("  {}=...", row.variable("SECRET")));
    if row.kind == ProviderKind::Oidc && row.issuer.is_none() {
        line(&format!("  {}={}", row.variable("ISSUER"), row.issuer_example));
    }
    line(&format!("  {}='{}'   (this is asked for anyway)", row.variable("SCOPE"), row.scope));
    line("\nOr in perennial.toml");
    line(&toml(row));
    text.trim_end().to_owned()
}

/// The same as the variables, for a file.
fn toml(row: &Preset) -> String {
    let mut lines = vec!["[[providers]]".to_owned(), format!("preset = \"{}\"", row.id)];
    if row.kind == ProviderKind::Oidc && row.issuer.is_none() {
        lines.push(format!("issuer = \"{}\"", row.issuer_example.split(' ').next().unwrap_or_default()));
    }
    lines.push("client_id = \"...\"".to_owned());
    lines.push(format!("client_secret_env = \"{}\"", row.variable("SECRET")));
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

fn comes_by(row: &Preset) -> String {
    match row.refresh_token_by {
        RefreshTokenBy::Provider => "comes without being asked for, if the provider is set up to give one".to_owned(),
        RefreshTokenBy::Scope(scope) => format!("comes by the scope {scope}, which is asked for"),
        RefreshTokenBy::Parameter(name, value) => format!("comes by {name}={value}, which is sent"),
    }
}

fn protocol(kind: ProviderKind) -> &'static str {
    match kind {
        ProviderKind::Oidc => "OpenID Connect",
        ProviderKind::OAuth => "OAuth 2.0",
    }
}

fn named(class: RefreshClass) -> String {
    let name = class.as_str().replace('_', " ");
    class.window().map_or(name.clone(), |window| format!("{name} {}", humantime::format_duration(window)))
}

fn configured(class: RefreshClass) -> String {
    let window = class.window().map(|window| format!("\n      refresh_window = \"{}s\"", window.as_secs()));
    format!("refresh_class = \"{}\"{}", class.as_str(), window.unwrap_or_default())
}

fn meaning(class: RefreshClass) -> &'static str {
    match class {
        RefreshClass::Reusable => "the same token stays good; a lost answer costs nothing",
        RefreshClass::Acknowledged => {
            "the old token stays good until its successor is first used; a lost answer costs nothing"
        }
        RefreshClass::Overlap(_) => "the old token stays good that long; a lost answer costs nothing within it",
        RefreshClass::Idempotent(_) => "within that time the old token brings the same successor again",
        RefreshClass::SingleUse => "a lost answer costs the session, once the access token has died",
        RefreshClass::Family => "a lost answer costs the session, and a second use revokes all tokens of the sign-in",
        RefreshClass::Unknown => "nobody wrote down what it does; treated as single use",
    }
}

/// How it is found out whether a refresh token was spent, when its answer got lost.
fn in_doubt(row: &Preset) -> String {
    let asked = match row.introspection {
        Introspection::None => None,
        Introspection::WithHint | Introspection::WithoutHint => {
            Some("the provider is asked about the token (RFC 7662)")
        }
    };
    let probed = (row.at_kill && row.probe == Probe::UserInfo).then_some("the older access token is tried at UserInfo");
    let last = match row.last_resort {
        LastResort::Retry => "in the end it is sent once more",
        LastResort::Reauthenticate => "in the end the user is sent to the provider",
    };
    [asked, probed, Some(last)].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn as_json(row: &Preset) -> Value {
    let class = |class: RefreshClass| json!({ "refresh_class": class.as_str(), "refresh_window_seconds": class.window().map(|window| window.as_secs()) });
    let variables = ["ID", "SECRET", "ISSUER", "SCOPE"].map(|setting| row.variable(setting));
    json!({
        "id": row.id,
        "name": row.name,
        "protocol": protocol(row.kind),
        "issuer": row.issuer,
        "issuer_example": row.issuer_example,
        "scope": row.scope,
        "authorization_params": row.authorization_params.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
        "client_authentication": row.authentication.as_str(),
        "class": class(row.class),
        "old_access_token_dies": row.at_kill,
        "in_doubt": in_doubt(row),
        "refresh_token": comes_by(row),
        "settings": row
            .classes_by_setting
            .iter()
            .map(|(setting, becomes)| json!({ "setting": setting, "class": class(*becomes) }))
            .collect::<Vec<_>>(),
        "hint": row.refresh_hint,
        "variables": variables,
        "compared_on": row.verified_on,
        "compared_with": row.source,
    })
}
