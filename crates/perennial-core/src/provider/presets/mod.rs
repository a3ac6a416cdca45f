//! The providers we know, as one table of dated data. What a row says can be overridden for each provider configured.
//!
//! A row names what departs from the row it is based on: [`OIDC`], or [`SERVICE`] for plain OAuth. To add a provider, write a row
//! into the file of its kind, put its odd answers into `tests/vectors/odd_answers.json`, and a line into `docs/providers.md`; tests
//! compare the three. Where its documentation does not say what happens to a refresh token that is sent twice, leave the class out:
//! unknown is treated as the strictest.

mod personal;
mod rented;
mod run;
mod work;

use std::time::Duration;

use crate::provider::{
    AudienceParameter, ClientAuthenticationMethod, ConsentPrompt, FailurePattern, Introspection, LastResort, Probe,
    ProfileMembers, ProviderKind, RefreshClass, RefreshTokenBy,
};

/// One row: how a known provider departs from a blank OpenID provider.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Preset {
    /// By which it is asked for, and the default id of a provider built from it.
    pub id: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// Whether ID tokens are expected.
    pub kind: ProviderKind,
    /// Its issuer, where all its users share one.
    pub issuer: Option<&'static str>,
    /// What its issuers look like, for people.
    pub issuer_example: &'static str,
    /// The issuer its shared metadata names, with `{tenantid}` in it.
    pub tenant_issuer: Option<&'static str>,
    /// Endpoints that cannot be discovered.
    pub endpoints: PresetEndpoints,
    /// How a client with a secret proves who it is.
    pub authentication: ClientAuthenticationMethod,
    /// What is asked for when nothing is configured.
    pub scope: &'static str,
    /// Whether granted scopes come back separated by commas.
    pub comma_scopes: bool,
    /// Further parameters of the authorization request.
    pub authorization_params: &'static [(&'static str, &'static str)],
    /// What it costs to present a refresh token a second time, with the provider's default settings.
    pub class: RefreshClass,
    /// Whether a renewal kills the previous access token at once.
    pub at_kill: bool,
    /// Whether it tells about refresh tokens (RFC 7662).
    pub introspection: Introspection,
    /// Whether the access token tells if the refresh token beside it was spent; counts only together with `at_kill`.
    pub probe: Probe,
    /// What remains when nobody knows whether a refresh token is spent: how far a reuse reaches decides.
    pub last_resort: LastResort,
    /// Whether `prompt=consent` goes with `offline_access`.
    pub consent: ConsentPrompt,
    /// What a refresh token comes by.
    pub refresh_token_by: RefreshTokenBy,
    /// By which parameter a refresh names another audience.
    pub audience_parameter: AudienceParameter,
    /// The lifetime of an access token whose answer does not tell it.
    pub default_token_lifetime: Option<Duration>,
    /// Its own wordings of refusals.
    pub failures: &'static [FailurePattern],
    /// Which claims describe the user.
    pub profile: ProfileMembers,
    /// What `class` becomes with which setting at the provider, the safest first; empty where there is nothing to set.
    pub classes_by_setting: &'static [(&'static str, RefreshClass)],
    /// What to set at the provider so that a refresh token comes and renewal is safe.
    pub refresh_hint: &'static str,
    /// When the row was last compared with the provider or its documentation.
    pub verified_on: &'static str,
    /// What it was compared with.
    pub source: &'static str,
}

/// Endpoints that cannot be discovered.
#[derive(Clone, Copy, Debug)]
pub struct PresetEndpoints {
    /// RFC 6749 §3.1.
    pub authorization: Option<&'static str>,
    /// RFC 6749 §3.2.
    pub token: Option<&'static str>,
    /// Where the user's claims are read.
    pub userinfo: Option<&'static str>,
    /// RFC 7009 §2.
    pub revocation: Option<&'static str>,
}

impl PresetEndpoints {
    /// RFC 6749 §3.1 and §3.2, and where the user's claims are read.
    const fn at(authorization: &'static str, token: &'static str, userinfo: &'static str) -> Self {
        Self { authorization: Some(authorization), token: Some(token), userinfo: Some(userinfo), revocation: None }
    }

    /// RFC 7009 §2.
    const fn revoked_at(self, url: &'static str) -> Self {
        Self { revocation: Some(url), ..self }
    }
}

impl Preset {
    /// The variable that holds one of this provider's settings, as Auth.js names it: `AUTH_OKTA_ID` for `ID`.
    pub fn variable(&self, setting: &str) -> String {
        format!("AUTH_{}_{setting}", self.id.to_uppercase().replace('-', "_"))
    }
}

/// The row of this id.
pub fn preset(id: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|row| row.id == id)
}

const DISCOVERED: PresetEndpoints =
    PresetEndpoints { authorization: None, token: None, userinfo: None, revocation: None };

/// OIDC Core §5.1.
const STANDARD_CLAIMS: ProfileMembers = ProfileMembers {
    id: &["sub"],
    name: &["name", "nickname", "preferred_username"],
    email: &["email"],
    image: &["picture"],
};

/// Every other row begins as this one: OpenID Connect by the book, nothing assumed about refresh tokens.
pub(in crate::provider) const OIDC: &Preset = &Preset {
    id: "oidc",
    name: "OpenID Connect",
    kind: ProviderKind::Oidc,
    issuer: None,
    issuer_example: "https://id.example.com",
    tenant_issuer: None,
    endpoints: DISCOVERED,
    authentication: ClientAuthenticationMethod::ClientSecretBasic,
    scope: "openid profile email offline_access",
    comma_scopes: false,
    authorization_params: &[],
    class: RefreshClass::Unknown,
    at_kill: false,
    introspection: Introspection::None,
    probe: Probe::None,
    // No provider listed here is known to revoke more than the sign-in that the token came from.
    last_resort: LastResort::Retry,
    consent: ConsentPrompt::WithOfflineAccess,
    refresh_token_by: RefreshTokenBy::Scope("offline_access"),
    audience_parameter: AudienceParameter::Resource,
    default_token_lifetime: None,
    failures: &[],
    profile: STANDARD_CLAIMS,
    classes_by_setting: &[],
    refresh_hint: "Allow the refresh_token grant and the scope offline_access for this client. For a confidential \
                   client prefer reusable refresh tokens; if they rotate, allow an overlap of 30 seconds or more.",
    verified_on: "2026-08-01",
    source: "OpenID Connect Core 1.0",
};

/// OAuth 2.0 with every endpoint given by hand.
pub(in crate::provider) const CUSTOM: &Preset = &Preset {
    id: "custom",
    name: "Custom",
    kind: ProviderKind::OAuth,
    issuer_example: "https://id.example.com, if it has one",
    scope: "",
    consent: ConsentPrompt::WithOfflineAccess,
    refresh_token_by: RefreshTokenBy::Provider,
    profile: ProfileMembers {
        id: &["sub", "id"],
        name: &["name", "login", "username", "preferred_username"],
        email: &["email"],
        image: &["picture", "avatar_url"],
    },
    source: "RFC 6749",
    ..*OIDC
};

/// What rows of plain OAuth services begin as: nothing to discover, and a refresh token comes by itself.
const SERVICE: &Preset = &Preset {
    kind: ProviderKind::OAuth,
    issuer_example: "none",
    scope: "",
    consent: ConsentPrompt::Never,
    refresh_token_by: RefreshTokenBy::Provider,
    ..*OIDC
};

/// The providers we know. The two generic rows, `oidc` and `custom`, are last.
pub static PRESETS: &[Preset] = &{
    const KINDS: [&[Preset]; 5] = [rented::ROWS, run::ROWS, work::ROWS, personal::ROWS, &[*OIDC, *CUSTOM]];
    const COUNT: usize = KINDS[0].len() + KINDS[1].len() + KINDS[2].len() + KINDS[3].len() + KINDS[4].len();
    let mut all = [*OIDC; COUNT];
    let (mut kind, mut next) = (0, 0);
    while kind < KINDS.len() {
        let mut row = 0;
        while row < KINDS[kind].len() {
            all[next] = KINDS[kind][row];
            (row, next) = (row + 1, next + 1);
        }
        kind += 1;
    }
    all
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Endpoint, PlainHttp};

    #[test]
    fn each_row_can_be_found_by_an_id_of_its_own() {
        for row in PRESETS {
            let found = preset(row.id).expect(row.id);
            assert!(std::ptr::eq(found, row), "{} is there twice", row.id);
        }
        assert!(preset("no-such").is_none());
    }

    #[test]
    fn each_row_is_well_formed() {
        for row in PRESETS {
            let urls = [
                row.endpoints.authorization,
                row.endpoints.token,
                row.endpoints.userinfo,
                row.endpoints.revocation,
                row.issuer,
            ];
            for url in urls.into_iter().flatten() {
                Endpoint::parse(url, PlainHttp::LoopbackOnly).expect(url);
            }
            assert!(!row.refresh_hint.is_empty() && !row.source.is_empty(), "{}", row.id);
            assert_eq!(row.verified_on.len(), "2026-08-01".len(), "{}", row.id);
            assert!(!row.profile.id.is_empty(), "{}", row.id);
            if row.kind == ProviderKind::Oidc {
                assert!(row.scope.split(' ').any(|scope| scope == "openid"), "{}", row.id);
            }
            if let RefreshTokenBy::Scope(scope) = row.refresh_token_by {
                assert!(row.scope.contains(scope), "{}", row.id);
            }
        }
    }
    #[test]
    fn a_row_with_settings_says_which_of_them_its_class_is_for() {
        for row in PRESETS.iter().filter(|row| !row.classes_by_setting.is_empty() && row.class != RefreshClass::Unknown)
        {
            let classes: Vec<RefreshClass> = row.classes_by_setting.iter().map(|(_, class)| *class).collect();
            assert!(classes.contains(&row.class), "{}: {:?} is the class of none of {classes:?}", row.id, row.class);
        }
    }

    #[test]
    fn a_setting_has_the_variable_that_auth_js_reads() {
        let variable = |id: &str| preset(id).expect(id).variable("ID");
        assert_eq!(variable("okta"), "AUTH_OKTA_ID");
        assert_eq!(variable("microsoft-entra-id"), "AUTH_MICROSOFT_ENTRA_ID_ID");
    }
}
