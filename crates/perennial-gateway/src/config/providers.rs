//! `[[providers]]`: who vouches for users.

use std::collections::BTreeMap;

use perennial::JwsAlgorithm;
use perennial::provider::{
    AudienceParameter, ClientAuthenticationMethod, Introspection, LastResort, Probe, RefreshClass,
};
use perennial::secret::{ClientSecret, PrivateKeyPem};
use perennial::{ConfigFault, Provider, ProviderBuilder};

use super::secrets;
use super::setting::{MINUTE, Range, Section, Setting};
use super::values::Values;

pub(super) const PROVIDERS: Section = Section::new(
    "providers",
    "Who vouches for users: one table for each; those of the environment come first.",
    &[
        Setting::text(
            "preset",
            "a row of the [table of providers](providers.md); `\"custom\"` for plain OAuth 2.0 with endpoints by hand",
        )
        .default("oidc"),
        Setting::text("id", "short name in our URLs; must differ between providers")
            .value("1 to 64 of `a-z 0-9 - _`")
            .falls_back_to(PRESET),
        Setting::text("name", "for people").falls_back_to(PRESET),
        Setting::text("issuer", "byte for byte; no query, no fragment").value("text, URL").falls_back_to(PRESET),
        Setting::text("client_id", "our name at the provider").falls_back_to("required"),
        Setting::text("client_secret_env", "the environment variable that holds the client secret"),
        Setting::text("client_secret_file", "or the file that holds it").paths(),
        Setting::choice(
            "client_authentication",
            &["client_secret_basic", "client_secret_post", "none", "private_key_jwt"],
            "the one method by which we prove who we are; never probed",
        )
        .falls_back_to(PRESET),
        Setting::text(
            "private_key_file",
            "for `\"private_key_jwt\"`: a PKCS#8 PEM file with the key that signs client assertions",
        )
        .paths(),
        Setting::choice(
            "private_key_alg",
            &["ES256", "ES384", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"],
            "required with `private_key_file`: what the key signs with",
        ),
        Setting::text("private_key_id", "the `kid` by which the provider finds the public half"),
        Setting::text("scope", "separated by spaces").falls_back_to(PRESET),
        endpoint("authorization_endpoint"),
        endpoint("token_endpoint"),
        endpoint("userinfo_endpoint"),
        endpoint("jwks_uri"),
        endpoint("end_session_endpoint"),
        endpoint("revocation_endpoint"),
        endpoint("introspection_endpoint"),
        Setting::choice(
            "refresh_class",
            &["reusable", "acknowledged", "overlap", "idempotent", "single_use", "family", "unknown"],
            "what it costs to present a refresh token twice, if you know it better",
        )
        .falls_back_to(PRESET),
        Setting::time("refresh_window", Range::ANY_TIME, "required with `\"overlap\"` and `\"idempotent\"`"),
        Setting::flag(
            "at_kill",
            "whether a refresh kills the older access token at once; then every request asks the store for the newest",
        )
        .falls_back_to(PRESET),
        Setting::choice(
            "introspection",
            &["none", "with_hint", "without_hint"],
            "whether the provider tells truthfully about refresh tokens (RFC 7662), and whether it wants `token_type_hint`; not \
             used by public clients",
        )
        .falls_back_to(PRESET),
        Setting::choice(
            "probe",
            &["none", "userinfo"],
            "whether the access token tells if its refresh token was spent; only with `at_kill`",
        )
        .falls_back_to(PRESET),
        Setting::choice(
            "last_resort",
            &["retry", "reauthenticate"],
            "what remains when nobody knows whether a refresh token is spent: one last try, or the provider must see the user",
        )
        .falls_back_to("the preset's: `\"retry\"`"),
        Setting::time(
            "drain",
            Range::of_millis(0, 5 * MINUTE, "0 to 5 minutes"),
            "how long after its caller was gone a request may still reach the provider; before that nothing is sent again that \
             its class does not make harmless",
        )
        .falls_back_to("`\"30s\"`"),
        Setting::choice(
            "audience_parameter",
            &["resource", "audience"],
            "by which parameter a refresh names another audience: RFC 8707's, or Auth0's",
        )
        .falls_back_to(PRESET),
        Setting::flag("dangerous_allow_http", "accept plain http for this provider's issuer and endpoints"),
        Setting::map(
            "authorization_params",
            "further parameters of the authorization request: `audience = \"https://api.example\"`. Those of the protocol \
             (`state`, `scope`, `redirect_uri`, …) are refused",
        )
        .falls_back_to(PRESET),
    ],
)
.refusing(&[("client_secret", SECRET_REMEDY)])
.sample(SAMPLE);

const fn endpoint(key: &'static str) -> Setting {
    Setting::text(key, "replaces the discovered one; https, or http on a loopback host")
        .value("text, URL")
        .falls_back_to("discovered")
}

/// One provider, or nothing where it has a fault that keeps it from being judged any further.
pub(super) fn provider(
    section: &Values,
    variables: &BTreeMap<String, String>,
    faults: &mut Vec<ConfigFault>,
) -> Option<ProviderBuilder> {
    let mut provider = match Provider::preset(&section.text("preset")?) {
        Ok(provider) => provider,
        Err(error) => {
            faults.push(section.fault("preset", error.to_string()));
            return None;
        }
    };
    for (key, set) in TEXTS {
        if let Some(value) = section.text(key) {
            provider = set(provider, value);
        }
    }
    let methods = ClientAuthenticationMethod::ALL.map(|method| (method.as_str(), method));
    if let Some(method) = section.choice("client_authentication", &methods) {
        provider = provider.client_authentication_method(method);
    }
    if let Some(secret) = client_secret(section, variables, faults) {
        provider = provider.client_secret(ClientSecret::new(secret));
    }
    if let Some((key, alg)) = private_key(section, faults) {
        provider = provider.private_key(key, section.text("private_key_id"), alg);
    }
    let parameters = [("resource", AudienceParameter::Resource), ("audience", AudienceParameter::Audience)];
    if let Some(parameter) = section.choice("audience_parameter", &parameters) {
        provider = provider.audience_parameter(parameter);
    }
    if let Some(at_kill) = section.flag_if_given("at_kill") {
        provider = provider.at_kill(at_kill);
    }
    if let Some(class) = refresh_class(section, faults) {
        provider = provider.class(class);
    }
    provider = doubt_settings(provider, section);
    if section.flag("dangerous_allow_http") {
        provider = provider.dangerous_allow_http();
    }
    for (name, value) in section.map("authorization_params") {
        provider = provider.authorization_param(name, value);
    }
    Some(provider)
}

/// What is done about a refresh token that may be spent.
fn doubt_settings(mut provider: ProviderBuilder, section: &Values) -> ProviderBuilder {
    if let Some(introspection) = section.choice("introspection", &Introspection::ALL) {
        provider = provider.introspection(introspection);
    }
    if let Some(probe) = section.choice("probe", &Probe::ALL) {
        provider = provider.probe(probe);
    }
    if let Some(last_resort) = section.choice("last_resort", &LastResort::ALL) {
        provider = provider.last_resort(last_resort);
    }
    if let Some(drain) = section.time("drain") {
        provider = provider.drain(drain);
    }
    provider
}

/// A secret stands in a file or in the environment, not in the configuration.
fn client_secret(
    section: &Values,
    variables: &BTreeMap<String, String>,
    faults: &mut Vec<ConfigFault>,
) -> Option<String> {
    let mut fault = |key, remedy| faults.push(section.fault(key, remedy));
    if let Some(name) = section.text("client_secret_env") {
        let found = variables.get(&name);
        if found.is_none() {
            fault("client_secret_env", format!("set the environment variable {name}"));
        }
        return found.cloned();
    }
    let path = section.text("client_secret_file")?;
    secrets::in_file(&path).map_err(|remedy| fault("client_secret_file", remedy)).ok()
}

/// The key of `private_key_jwt`, a PKCS#8 PEM file.
fn private_key(section: &Values, faults: &mut Vec<ConfigFault>) -> Option<(PrivateKeyPem, JwsAlgorithm)> {
    let path = section.text("private_key_file")?;
    if !section.is_given("private_key_alg") {
        let remedy = "say what the key signs with, such as \"ES256\"";
        faults.push(ConfigFault::new(section.key("private_key_alg"), section.place_of("private_key_file"), remedy));
    }
    let alg = section.text("private_key_alg").and_then(|name| JwsAlgorithm::parse(&name));
    let pem = secrets::in_file(&path).map_err(|remedy| faults.push(section.fault("private_key_file", remedy)));
    Some((PrivateKeyPem::new(pem.ok()?), alg?))
}

fn refresh_class(section: &Values, faults: &mut Vec<ConfigFault>) -> Option<RefreshClass> {
    Some(match (&*section.text("refresh_class")?, section.time("refresh_window")) {
        ("reusable", _) => RefreshClass::Reusable,
        ("acknowledged", _) => RefreshClass::Acknowledged,
        ("single_use", _) => RefreshClass::SingleUse,
        ("family", _) => RefreshClass::Family,
        ("overlap", Some(window)) => RefreshClass::Overlap(window),
        ("idempotent", Some(window)) => RefreshClass::Idempotent(window),
        ("overlap" | "idempotent", None) => {
            let remedy = "say how long the old refresh token stays good, such as \"30s\"";
            faults.push(ConfigFault::new(section.key("refresh_window"), section.place_of("refresh_class"), remedy));
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

const PRESET: &str = "the preset's";

const SECRET_REMEDY: &str = "take the secret out of the file, and name the environment variable or the file that holds it with \
                             client_secret_env or client_secret_file";

const SAMPLE: &str = r#"
# Register https://app.example/auth/callback/oidc there.
[[providers]]
preset = "oidc"
# id = "oidc"
name = "Example"
issuer = "https://id.example"          # byte for byte
client_id = "my-app"
# client_secret_env = "EXAMPLE_SECRET" # the variable that holds the secret
# client_secret_file = "secrets/oidc"  # or the file
client_authentication = "none"         # a public client; take it out when there is a secret
scope = "openid profile email offline_access"
refresh_class = "overlap"              # if you know better than the preset
refresh_window = "30s"                 # with "overlap" and "idempotent"
introspection = "none"                 # or "with_hint", "without_hint": the provider tells about refresh tokens
# introspection_endpoint = "https://id.example.com/introspect"
probe = "none"                         # or "userinfo", with at_kill: the access token tells about its refresh token
last_resort = "retry"                  # or "reauthenticate": never try a refresh token twice
drain = "30s"
# dangerous_allow_http = false

[providers.authorization_params]
audience = "https://api.example"

# Plain OAuth 2.0, every endpoint by hand; users are whom userinfo says.
[[providers]]
preset = "custom"
id = "legacy"
name = "The old one"
client_id = "my-app"
client_authentication = "none"         # or "private_key_jwt", with private_key_file, private_key_alg and private_key_id
scope = "profile"
authorization_endpoint = "https://old.example/authorize"
token_endpoint = "https://old.example/token"
userinfo_endpoint = "https://old.example/me"
revocation_endpoint = "https://old.example/revoke"
# jwks_uri, end_session_endpoint, at_kill and audience_parameter can be given, too
"#;
