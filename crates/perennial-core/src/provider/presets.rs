//! The providers we know, as one table of dated data. What a row says can be overridden for each provider configured.

use std::time::Duration;

use super::{
    AudienceParameter, ClientAuthenticationMethod, ConsentPrompt, FailureMeaning, FailurePattern, Introspection,
    LastResort, Probe, ProfileMembers, ProviderKind, RefreshClass, RefreshTokenBy,
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
pub(super) const OIDC: &Preset = &Preset {
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
    refresh_hint: "Allow the refresh_token grant and the scope offline_access for this client. For a confidential \
                   client prefer reusable refresh tokens; if they rotate, allow an overlap of 30 seconds or more.",
    verified_on: "2026-08-01",
    source: "OpenID Connect Core 1.0",
};

/// OAuth 2.0 with every endpoint given by hand.
pub(super) const CUSTOM: &Preset = &Preset {
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

/// The providers we know. The two generic rows, `oidc` and `custom`, are last.
pub static PRESETS: &[Preset] = &[
    Preset {
        id: "auth0",
        name: "Auth0",
        issuer_example: "https://TENANT.auth0.com/ (with the trailing slash)",
        audience_parameter: AudienceParameter::Audience,
        // Rotation is a setting of each application, and where it is on, a late retry revokes the family.
        class: RefreshClass::Family,
        consent: ConsentPrompt::Never,
        refresh_hint: "Enable the Refresh Token grant for the application and \"Allow Offline Access\" for the API, and \
                       ask for that API with the authorization parameter audience. Leave rotation off for a \
                       confidential application; if it is on, set the rotation overlap to 30 seconds or more.",
        source: "auth0.com documentation: refresh token rotation, token limits",
        ..*OIDC
    },
    Preset {
        id: "okta",
        name: "Okta",
        issuer_example: "https://ORG.okta.com/oauth2/default",
        // Web applications get a static token; where it rotates, the default grace period is 30 seconds.
        class: RefreshClass::Overlap(Duration::from_secs(30)),
        introspection: Introspection::WithHint,
        consent: ConsentPrompt::Never,
        refresh_hint: "Enable the Refresh Token grant for the application. Keep the persistent token of web applications, \
                       or rotate with a grace period of 30 to 60 seconds.",
        source: "developer.okta.com: refresh tokens",
        ..*OIDC
    },
    Preset {
        id: "keycloak",
        name: "Keycloak",
        issuer_example: "https://HOST/realms/REALM",
        scope: "openid profile email",
        class: RefreshClass::Reusable,
        introspection: Introspection::WithHint,
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        refresh_hint: "Leave \"Revoke Refresh Token\" off for a confidential client. The refresh token lives as long as \
                       the SSO session (30 minutes idle by default); add the scope offline_access for longer ones.",
        source: "Keycloak server administration guide; issues 14040, 50721, 51552",
        ..*OIDC
    },
    Preset {
        id: "microsoft-entra-id",
        name: "Microsoft Entra ID",
        issuer: Some("https://login.microsoftonline.com/common/v2.0"),
        issuer_example: "https://login.microsoftonline.com/TENANT_ID/v2.0",
        tenant_issuer: Some("https://login.microsoftonline.com/{tenantid}/v2.0"),
        authentication: ClientAuthenticationMethod::ClientSecretPost,
        class: RefreshClass::Reusable,
        // prompt=consent would demand an administrator's consent at every sign-in of many tenants.
        consent: ConsentPrompt::Never,
        failures: &[
            // Throttled, whatever code comes with it.
            FailurePattern::new(FailureMeaning::Transient).description("AADSTS90055"),
        ],
        refresh_hint: "Register the redirect URI under the platform \"Web\": refresh tokens of the platform \
                       \"Single-page application\" end after 24 hours.",
        source: "learn.microsoft.com: refresh tokens, error codes",
        ..*OIDC
    },
    Preset {
        id: "google",
        name: "Google",
        issuer: Some("https://accounts.google.com"),
        issuer_example: "https://accounts.google.com",
        scope: "openid profile email",
        // Without prompt=consent the refresh token comes at the very first sign-in alone.
        authorization_params: &[("access_type", "offline"), ("prompt", "consent")],
        class: RefreshClass::Reusable,
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Parameter("access_type", "offline"),
        refresh_hint: "Publish the application: while its status is \"Testing\", refresh tokens end after 7 days.",
        source: "developers.google.com: OAuth 2.0 for web server applications",
        ..*OIDC
    },
    Preset {
        id: "github",
        name: "GitHub",
        kind: ProviderKind::OAuth,
        issuer: Some("https://github.com/login/oauth"),
        issuer_example: "https://github.com/login/oauth",
        endpoints: PresetEndpoints {
            authorization: Some("https://github.com/login/oauth/authorize"),
            token: Some("https://github.com/login/oauth/access_token"),
            userinfo: Some("https://api.github.com/user"),
            revocation: None,
        },
        scope: "read:user user:email",
        comma_scopes: true,
        class: RefreshClass::SingleUse,
        at_kill: true,
        probe: Probe::UserInfo,
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        failures: &[
            FailurePattern::new(FailureMeaning::Rejected).error("bad_refresh_token"),
            FailurePattern::new(FailureMeaning::Misconfigured).error("incorrect_client_credentials"),
            // The rate limit, not a revocation: no OAuth error comes with it.
            FailurePattern::new(FailureMeaning::Transient).without_error().status(403),
        ],
        profile: ProfileMembers { id: &["id"], name: &["name", "login"], email: &["email"], image: &["avatar_url"] },
        refresh_hint: "Use a GitHub App with \"Expire user authorization tokens\" on; OAuth Apps have neither refresh \
                       tokens nor expiry.",
        source: "docs.github.com: refreshing user access tokens; coder issue 24334",
        ..*OIDC
    },
    Preset {
        id: "gitlab",
        name: "GitLab",
        issuer: Some("https://gitlab.com"),
        issuer_example: "https://gitlab.com",
        scope: "openid profile email",
        class: RefreshClass::SingleUse,
        at_kill: true,
        probe: Probe::UserInfo,
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        // The documented lifetime; a 15.x release forgot to say it.
        default_token_lifetime: Some(Duration::from_secs(7200)),
        refresh_hint: "Nothing to set: a refresh token always comes. A renewal ends the previous access token at once.",
        source: "GitLab issues 372358, 360729",
        ..*OIDC
    },
    Preset {
        id: "cognito",
        name: "Amazon Cognito",
        issuer_example: "https://cognito-idp.REGION.amazonaws.com/POOL_ID",
        scope: "openid profile email",
        class: RefreshClass::Reusable,
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        refresh_hint: "Leave refresh token rotation off, or set its grace period to 60 seconds.",
        source: "AWS documentation: RefreshTokenRotationType",
        ..*OIDC
    },
    Preset {
        id: "discord",
        name: "Discord",
        kind: ProviderKind::OAuth,
        issuer_example: "none",
        endpoints: PresetEndpoints {
            authorization: Some("https://discord.com/oauth2/authorize"),
            token: Some("https://discord.com/api/oauth2/token"),
            userinfo: Some("https://discord.com/api/users/@me"),
            revocation: Some("https://discord.com/api/oauth2/token/revoke"),
        },
        scope: "identify email",
        class: RefreshClass::SingleUse,
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        failures: &[FailurePattern::new(FailureMeaning::Rejected)
            .error("invalid_request")
            .description("\"refresh_token\" in request")],
        profile: ProfileMembers {
            id: &["id"],
            name: &["global_name", "username"],
            email: &["email"],
            image: &["https://cdn.discordapp.com/avatars/{id}/{avatar}.png"],
        },
        refresh_hint: "Nothing to set: a refresh token always comes.",
        source: "discord-api-docs issue 6769",
        ..*OIDC
    },
    Preset {
        id: "spotify",
        name: "Spotify",
        kind: ProviderKind::OAuth,
        issuer_example: "none",
        endpoints: PresetEndpoints {
            authorization: Some("https://accounts.spotify.com/authorize"),
            token: Some("https://accounts.spotify.com/api/token"),
            userinfo: Some("https://api.spotify.com/v1/me"),
            revocation: None,
        },
        scope: "user-read-email",
        // Confidential clients keep their token, but one whose code came with PKCE, as ours does, is used once.
        class: RefreshClass::SingleUse,
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        profile: ProfileMembers { id: &["id"], name: &["display_name"], email: &["email"], image: &["/images/0/url"] },
        refresh_hint: "Nothing to set: a refresh token always comes. It ends 6 months after consent and is not extended.",
        source: "developer.spotify.com blog 2026-06-18",
        ..*OIDC
    },
    Preset {
        id: "zitadel",
        name: "ZITADEL",
        issuer_example: "https://INSTANCE.zitadel.cloud",
        class: RefreshClass::SingleUse,
        // True of opaque access tokens, which are the default.
        at_kill: true,
        probe: Probe::UserInfo,
        consent: ConsentPrompt::Never,
        failures: &[FailurePattern::new(FailureMeaning::Rejected)
            .error("invalid_request")
            .description("RefreshTokenInvalid")],
        refresh_hint: "Enable the Refresh Token grant for the application.",
        source: "ZITADEL issues 7321, 9331, 9631, 11892",
        ..*OIDC
    },
    Preset {
        id: "authentik",
        name: "authentik",
        issuer_example: "https://HOST/application/o/SLUG/",
        class: RefreshClass::SingleUse,
        consent: ConsentPrompt::Never,
        refresh_hint: "Add the scope mapping for offline_access to the provider; without it the refresh token ends with \
                       the login session.",
        source: "authentik source, token endpoint",
        ..*OIDC
    },
    Preset {
        id: "hydra",
        name: "Ory Hydra",
        issuer_example: "https://HOST/",
        class: RefreshClass::Family,
        // True of opaque access tokens, which are the default.
        at_kill: true,
        probe: Probe::UserInfo,
        failures: &[
            FailurePattern::new(FailureMeaning::Transient).error("invalid_request").description("concurrent"),
            FailurePattern::new(FailureMeaning::Misconfigured).error("scope_not_granted"),
        ],
        refresh_hint: "Set oauth2.grant.refresh_token.rotation_grace_period to 30 or 60 seconds, and let the consent \
                       application grant offline_access.",
        source: "ory/hydra source: persister_oauth2.go, flow_refresh.go",
        ..*OIDC
    },
    Preset {
        id: "dex",
        name: "Dex",
        issuer_example: "https://HOST/dex",
        class: RefreshClass::Idempotent(Duration::from_secs(3)),
        introspection: Introspection::WithHint,
        consent: ConsentPrompt::Never,
        failures: &[
            // A race lost inside its transaction: the winner's successor is handed to a retry.
            FailurePattern::new(FailureMeaning::Transient).error("invalid_request").status(500),
            FailurePattern::new(FailureMeaning::Rejected).error("invalid_request").description("claimed"),
            FailurePattern::new(FailureMeaning::Rejected).error("invalid_request").description("expired"),
        ],
        refresh_hint: "Set refreshTokens.reuseInterval to 3 seconds or more. Dex keeps one refresh token per user, \
                       connector and client: a second sign-in ends the renewals of the first.",
        source: "dexidp/dex source: grants/refresh.go",
        ..*OIDC
    },
    Preset {
        id: "slack",
        name: "Slack",
        issuer: Some("https://slack.com"),
        issuer_example: "https://slack.com",
        authentication: ClientAuthenticationMethod::ClientSecretPost,
        scope: "openid profile email",
        class: RefreshClass::SingleUse,
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        failures: &[
            FailurePattern::new(FailureMeaning::Rejected).error("invalid_refresh_token"),
            FailurePattern::new(FailureMeaning::Rejected).error("token_revoked"),
            FailurePattern::new(FailureMeaning::Rejected).error("token_expired"),
            FailurePattern::new(FailureMeaning::Misconfigured).error("bad_client_secret"),
            FailurePattern::new(FailureMeaning::Misconfigured).error("invalid_client_id"),
            FailurePattern::new(FailureMeaning::Transient).error("ratelimited"),
            // Its documentation: part of the operation may have happened.
            FailurePattern::new(FailureMeaning::InDoubt).error("internal_error"),
            FailurePattern::new(FailureMeaning::InDoubt).error("fatal_error"),
        ],
        refresh_hint: "Turn token rotation on for the app; without it access tokens do not expire. It cannot be turned \
                       off again.",
        source: "docs.slack.dev: token rotation; node-slack-sdk issue 2504",
        ..*OIDC
    },
    *OIDC,
    *CUSTOM,
];

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
            assert_eq!(
                row.kind == ProviderKind::Oidc,
                row.scope.split(' ').any(|scope| scope == "openid"),
                "{} is OpenID Connect exactly if it asks for openid",
                row.id
            );
            if let RefreshTokenBy::Scope(scope) = row.refresh_token_by {
                assert!(row.scope.contains(scope), "{}", row.id);
            }
        }
    }
}
