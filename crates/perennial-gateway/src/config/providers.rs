//! The `[[providers]]` of a file.

use perennial::JwsAlgorithm;
use perennial::provider::{
    AudienceParameter, ClientAuthenticationMethod, Introspection, LastResort, Probe, RefreshClass,
};
use perennial::secret::{ClientSecret, PrivateKeyPem};
use perennial::{ConfigFault, Provider, ProviderBuilder};

use super::reader::Reader;

/// One provider, or nothing where it has a fault that keeps it from being judged any further.
pub(crate) fn provider(
    mut section: Reader<'_>,
    variables: &[(String, String)],
    faults: &mut Vec<ConfigFault>,
) -> Option<ProviderBuilder> {
    let place = section.place_of("preset");
    let preset = section.text("preset", faults).unwrap_or_else(|| "oidc".into());
    let mut provider = match Provider::preset(&preset) {
        Ok(provider) => provider,
        Err(error) => {
            faults.push(ConfigFault::new(section.key("preset"), place, error.to_string()));
            return None;
        }
    };
    for (key, set) in TEXTS {
        if let Some(value) = section.text(key, faults) {
            provider = set(provider, value);
        }
    }
    let methods = ClientAuthenticationMethod::ALL.map(|method| (method.as_str(), method));
    if let Some(method) = section.choice("client_authentication", &methods, faults) {
        provider = provider.client_authentication_method(method);
    }
    if let Some(secret) = client_secret(&mut section, variables, faults) {
        provider = provider.client_secret(ClientSecret::new(secret));
    }
    let key_id = section.text("private_key_id", faults);
    if let Some((key, alg)) = private_key(&mut section, faults) {
        provider = provider.private_key(key, key_id, alg);
    }
    let parameters = [("resource", AudienceParameter::Resource), ("audience", AudienceParameter::Audience)];
    if let Some(parameter) = section.choice("audience_parameter", &parameters, faults) {
        provider = provider.audience_parameter(parameter);
    }
    if let Some(at_kill) = section.flag("at_kill", faults) {
        provider = provider.at_kill(at_kill);
    }
    if let Some(class) = refresh_class(&mut section, faults) {
        provider = provider.class(class);
    }
    provider = doubt_settings(provider, &mut section, faults);
    if section.flag("dangerous_allow_http", faults) == Some(true) {
        provider = provider.dangerous_allow_http();
    }
    let mut parameters = section.section("authorization_params", faults);
    for (name, value) in parameters.take_texts(faults) {
        provider = provider.authorization_param(name, value);
    }
    let known: Vec<&str> = TEXTS.iter().map(|(key, _)| *key).chain(OTHERS).collect();
    section.close(&known, faults);
    Some(provider)
}

/// What is done about a refresh token that may be spent.
fn doubt_settings(
    mut provider: ProviderBuilder,
    section: &mut Reader<'_>,
    faults: &mut Vec<ConfigFault>,
) -> ProviderBuilder {
    if let Some(introspection) = section.choice("introspection", &Introspection::ALL, faults) {
        provider = provider.introspection(introspection);
    }
    if let Some(probe) = section.choice("probe", &Probe::ALL, faults) {
        provider = provider.probe(probe);
    }
    if let Some(last_resort) = section.choice("last_resort", &LastResort::ALL, faults) {
        provider = provider.last_resort(last_resort);
    }
    if let Some(drain) = section.duration("drain", faults) {
        provider = provider.drain(drain);
    }
    provider
}

/// A secret stands in a file or in the environment, not in the configuration.
fn client_secret(
    section: &mut Reader<'_>,
    variables: &[(String, String)],
    faults: &mut Vec<ConfigFault>,
) -> Option<String> {
    section.refuse("client_secret", SECRET_REMEDY, faults);
    let place = section.place_of("client_secret_env");
    if let Some(name) = section.text("client_secret_env", faults) {
        let found = variables.iter().find(|(variable, value)| *variable == name && !value.is_empty());
        if found.is_none() {
            let remedy = format!("set the environment variable {name}");
            faults.push(ConfigFault::new(section.key("client_secret_env"), place, remedy));
        }
        return found.map(|(_, value)| value.clone());
    }
    let place = section.place_of("client_secret_file");
    let path = section.text("client_secret_file", faults)?;
    match std::fs::read_to_string(&path) {
        Ok(secret) => Some(secret.trim().to_owned()),
        Err(error) => {
            let remedy = format!("make `{path}` readable: {error}");
            faults.push(ConfigFault::new(section.key("client_secret_file"), place, remedy));
            None
        }
    }
}

/// The key of `private_key_jwt`, a PKCS#8 PEM file.
fn private_key(section: &mut Reader<'_>, faults: &mut Vec<ConfigFault>) -> Option<(PrivateKeyPem, JwsAlgorithm)> {
    let algs = ["ES256", "ES384", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"];
    let algs: Vec<_> = algs.into_iter().filter_map(|name| Some((name, JwsAlgorithm::parse(name)?))).collect();
    let without_alg = section.is_missing("private_key_alg");
    let alg = section.choice("private_key_alg", &algs, faults);
    let place = section.place_of("private_key_file");
    let path = section.text("private_key_file", faults)?;
    if without_alg {
        let remedy = "say what the key signs with, such as \"ES256\"";
        faults.push(ConfigFault::new(section.key("private_key_alg"), place.clone(), remedy));
    }
    let pem = std::fs::read_to_string(&path).map_err(|error| {
        let remedy = format!("make `{path}` readable: {error}");
        faults.push(ConfigFault::new(section.key("private_key_file"), place, remedy));
    });
    Some((PrivateKeyPem::new(pem.ok()?), alg?))
}

fn refresh_class(section: &mut Reader<'_>, faults: &mut Vec<ConfigFault>) -> Option<RefreshClass> {
    let place = section.place_of("refresh_class");
    let window = section.duration("refresh_window", faults);
    let names = ["reusable", "acknowledged", "single_use", "family", "unknown", "overlap", "idempotent"];
    let chosen = section.choice("refresh_class", &names.map(|name| (name, name)), faults)?;
    Some(match (chosen, window) {
        ("reusable", _) => RefreshClass::Reusable,
        ("acknowledged", _) => RefreshClass::Acknowledged,
        ("single_use", _) => RefreshClass::SingleUse,
        ("family", _) => RefreshClass::Family,
        ("overlap", Some(window)) => RefreshClass::Overlap(window),
        ("idempotent", Some(window)) => RefreshClass::Idempotent(window),
        ("overlap" | "idempotent", None) => {
            let remedy = "say how long the old refresh token stays good, such as \"30s\"";
            faults.push(ConfigFault::new(section.key("refresh_window"), place, remedy));
            return None;
        }
        _ => RefreshClass::Unknown,
    })
}

type Setter = fn(ProviderBuilder, String) -> ProviderBuilder;

/// Settings that are texts, and what takes them.
const TEXTS: [(&str, Setter); 12] = [
    ("id", |p, v| p.id(v)),
    ("name", |p, v| p.name(v)),
    ("issuer", |p, v| p.issuer(v)),
    ("client_id", |p, v| p.client_id(v)),
    ("scope", |p, v| p.scope(v)),
    ("authorization_endpoint", |p, v| p.authorization_endpoint(v)),
    ("token_endpoint", |p, v| p.token_endpoint(v)),
    ("userinfo_endpoint", |p, v| p.userinfo_endpoint(v)),
    ("jwks_uri", |p, v| p.jwks_uri(v)),
    ("end_session_endpoint", |p, v| p.end_session_endpoint(v)),
    ("revocation_endpoint", |p, v| p.revocation_endpoint(v)),
    ("introspection_endpoint", |p, v| p.introspection_endpoint(v)),
];

/// All other settings.
const OTHERS: [&str; 17] = [
    "preset",
    "client_authentication",
    "client_secret_env",
    "client_secret_file",
    "private_key_file",
    "private_key_id",
    "private_key_alg",
    "at_kill",
    "audience_parameter",
    "refresh_class",
    "refresh_window",
    "introspection",
    "probe",
    "last_resort",
    "drain",
    "dangerous_allow_http",
    "[providers.authorization_params]",
];

const SECRET_REMEDY: &str = "take the secret out of the file, and name the environment variable or the file that holds it with \
                             client_secret_env or client_secret_file";
