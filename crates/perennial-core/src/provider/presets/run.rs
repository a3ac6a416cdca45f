//! Authorization servers that one runs.

use std::time::Duration;

use super::{OIDC, Preset, STANDARD_CLAIMS};
use crate::provider::{
    ConsentPrompt, FailureMeaning, FailurePattern, Introspection, Probe, ProfileMembers, RefreshClass, RefreshTokenBy,
};

pub(super) const ROWS: &[Preset] = &[
    Preset {
        id: "keycloak",
        name: "Keycloak",
        issuer_example: "https://HOST/realms/REALM",
        scope: "openid profile email",
        class: RefreshClass::Reusable,
        introspection: Introspection::WithHint,
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        classes_by_setting: &[
            ("realm, Tokens: Revoke Refresh Token off (the default)", RefreshClass::Reusable),
            ("realm, Tokens: Revoke Refresh Token on, Refresh Token Max Reuse 0", RefreshClass::Family),
        ],
        refresh_hint: "Leave \"Revoke Refresh Token\" off for a confidential client. The refresh token lives as long as \
                       the SSO session (30 minutes idle by default); add the scope offline_access for longer ones.",
        source: "Keycloak server administration guide; issues 14040, 50721, 51552",
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
        classes_by_setting: &[
            ("provider: Refresh Token Threshold longer than an access token lives", RefreshClass::Reusable),
            ("provider: Refresh Token Threshold 0 (the default)", RefreshClass::SingleUse),
        ],
        refresh_hint: "Add the scope mapping for offline_access to the provider; without it the refresh token ends with \
                       the login session.",
        source: "authentik source, token endpoint",
        ..*OIDC
    },
    Preset {
        id: "authelia",
        name: "Authelia",
        issuer_example: "https://HOST",
        class: RefreshClass::Family,
        at_kill: true,
        probe: Probe::UserInfo,
        consent: ConsentPrompt::Never,
        refresh_hint: "Give the client the refresh_token grant and the scope offline_access.",
        verified_on: "2026-11-27",
        source: "Authelia is built on ory/fosite, whose source was read as part of Hydra",
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
        classes_by_setting: &[
            ("oauth2.grant.refresh_token.rotation_grace_period: 60s", RefreshClass::Overlap(Duration::from_secs(60))),
            ("oauth2.grant.refresh_token.rotation_grace_period: 0s (the default)", RefreshClass::Family),
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
        classes_by_setting: &[
            ("expiry.refreshTokens.disableRotation: true", RefreshClass::Reusable),
            (
                "expiry.refreshTokens.reuseInterval: 3s (as in the sample configuration)",
                RefreshClass::Idempotent(Duration::from_secs(3)),
            ),
            ("expiry.refreshTokens.reuseInterval not set", RefreshClass::SingleUse),
        ],
        refresh_hint: "Set refreshTokens.reuseInterval to 3 seconds or more. Dex keeps one refresh token per user, \
                       connector and client: a second sign-in ends the renewals of the first.",
        source: "dexidp/dex source: grants/refresh.go",
        ..*OIDC
    },
    Preset {
        id: "fusionauth",
        name: "FusionAuth",
        issuer_example: "https://HOST",
        class: RefreshClass::Reusable,
        consent: ConsentPrompt::Never,
        classes_by_setting: &[
            ("tenant or application: usage policy Reusable (the default)", RefreshClass::Reusable),
            ("usage policy One-time use, grace period 30 seconds", RefreshClass::Overlap(Duration::from_secs(30))),
            ("usage policy One-time use, no grace period", RefreshClass::SingleUse),
        ],
        refresh_hint: "Enable the Refresh Token grant and \"Generate refresh tokens\" for the application. Leave the \
                       usage policy at Reusable, or set a grace period of 30 seconds or more with one-time use.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; FusionAuth client model 1.62: Reusable is the default",
        ..*OIDC
    },
    Preset {
        id: "duende-identity-server6",
        name: "Duende IdentityServer",
        issuer_example: "https://HOST",
        class: RefreshClass::Reusable,
        consent: ConsentPrompt::Never,
        classes_by_setting: &[
            ("client: RefreshTokenUsage ReUse (the default since version 7)", RefreshClass::Reusable),
            ("client: RefreshTokenUsage OneTimeOnly", RefreshClass::SingleUse),
        ],
        refresh_hint: "Set AllowOfflineAccess for the client and leave RefreshTokenUsage at ReUse, which its \
                       documentation advises for a backend.",
        verified_on: "2026-08-01",
        source: "DuendeSoftware/products source; npm @auth/core 0.41.3",
        ..*OIDC
    },
    Preset {
        id: "openiddict",
        name: "OpenIddict",
        issuer_example: "https://HOST/",
        consent: ConsentPrompt::Never,
        classes_by_setting: &[
            ("DisableRollingRefreshTokens()", RefreshClass::Reusable),
            ("SetRefreshTokenReuseLeeway(30 seconds)", RefreshClass::Overlap(Duration::from_secs(30))),
            ("SetRefreshTokenReuseLeeway(TimeSpan.Zero)", RefreshClass::Family),
        ],
        refresh_hint: "Allow the refresh token flow and the scope offline_access for the client. Give a reuse leeway \
                       of 30 seconds or more, and set the class to overlap.",
        verified_on: "2026-11-27",
        source: "OpenIddict documentation, from memory: compare it with your version",
        ..*OIDC
    },
    Preset {
        id: "spring-authorization-server",
        name: "Spring Authorization Server",
        issuer_example: "https://HOST",
        scope: "openid profile email",
        class: RefreshClass::Reusable,
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        classes_by_setting: &[
            ("TokenSettings: reuseRefreshTokens(true) (the default)", RefreshClass::Reusable),
            ("TokenSettings: reuseRefreshTokens(false)", RefreshClass::SingleUse),
        ],
        refresh_hint: "Give the registered client the refresh_token grant and leave reuseRefreshTokens at true. Set \
                       the refresh token's life: it is 60 minutes.",
        verified_on: "2026-08-01",
        source: "spring-authorization-server source",
        ..*OIDC
    },
    Preset {
        id: "node-oidc-provider",
        name: "node oidc-provider",
        issuer_example: "https://HOST",
        class: RefreshClass::Family,
        introspection: Introspection::WithHint,
        classes_by_setting: &[
            ("rotateRefreshToken: false", RefreshClass::Reusable),
            (
                "rotateRefreshToken: the default (a confidential client's token rotates after 70 % of its life)",
                RefreshClass::Family,
            ),
        ],
        refresh_hint: "Set rotateRefreshToken to false for confidential clients. A refresh token comes with \
                       prompt=consent, which the preset sends.",
        verified_on: "2026-08-01",
        source: "panva/node-oidc-provider source",
        ..*OIDC
    },
    Preset {
        id: "curity",
        name: "Curity Identity Server",
        issuer_example: "https://HOST/oauth/v2/oauth-anonymous",
        scope: "openid profile email",
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        classes_by_setting: &[
            ("reuse-refresh-tokens: true", RefreshClass::Reusable),
            ("reuse-refresh-tokens: false, grace-period: 30", RefreshClass::Overlap(Duration::from_secs(30))),
            ("reuse-refresh-tokens: false, grace-period: 0 (the default)", RefreshClass::SingleUse),
        ],
        refresh_hint: "Set reuse-refresh-tokens to true for a confidential client, or a grace-period of 30 seconds.",
        verified_on: "2026-11-27",
        source: "curity.io: refresh-token-revocation",
        ..*OIDC
    },
    Preset {
        id: "wso2",
        name: "WSO2 Identity Server",
        issuer_example: "https://HOST/oauth2/token",
        scope: "openid profile email",
        class: RefreshClass::Reusable,
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        classes_by_setting: &[
            ("application: Renew refresh token off", RefreshClass::Reusable),
            (
                "application: Renew refresh token on, graceful rotation with a window of 30 seconds",
                RefreshClass::Overlap(Duration::from_secs(30)),
            ),
            ("application: Renew refresh token on", RefreshClass::SingleUse),
        ],
        refresh_hint: "Enable the Refresh Token grant. Leave \"Renew refresh token\" off, or turn graceful rotation \
                       on with it.",
        verified_on: "2026-11-27",
        source: "wso2.com: refresh tokens",
        ..*OIDC
    },
    Preset {
        id: "adfs",
        name: "Active Directory Federation Services",
        issuer_example: "https://HOST/adfs",
        scope: "openid profile email",
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        profile: ProfileMembers { name: &["name", "unique_name", "upn"], email: &["email", "upn"], ..STANDARD_CLAIMS },
        refresh_hint: "Register a server application. The refresh token lives as long as the single sign-on session \
                       allows.",
        verified_on: "2026-11-27",
        source: "learn.microsoft.com: AD FS OpenID Connect, from memory: compare it with your version",
        ..*OIDC
    },
    Preset {
        id: "cloudfoundry-uaa",
        name: "Cloud Foundry UAA",
        issuer_example: "https://HOST/oauth/token",
        scope: "openid",
        class: RefreshClass::Reusable,
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        profile: ProfileMembers { name: &["name", "user_name"], ..STANDARD_CLAIMS },
        classes_by_setting: &[
            ("jwt.token.refresh.rotate: false (the default)", RefreshClass::Reusable),
            ("jwt.token.refresh.rotate: true", RefreshClass::SingleUse),
        ],
        refresh_hint: "Give the client the refresh_token grant, and leave jwt.token.refresh.rotate off.",
        verified_on: "2026-11-27",
        source: "cloudfoundry/uaa: UAA-Configuration-Reference",
        ..*OIDC
    },
    Preset {
        id: "gitea",
        name: "Gitea, Forgejo",
        issuer_example: "https://HOST/",
        scope: "openid profile email",
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        classes_by_setting: &[
            ("app.ini, [oauth2]: INVALIDATE_REFRESH_TOKENS = false (the default)", RefreshClass::Reusable),
            ("app.ini, [oauth2]: INVALIDATE_REFRESH_TOKENS = true", RefreshClass::SingleUse),
        ],
        refresh_hint: "Leave INVALIDATE_REFRESH_TOKENS at false in the section oauth2 of app.ini, and set the class \
                       to reusable once you have seen it there.",
        verified_on: "2026-11-27",
        source: "Gitea configuration cheat sheet, from memory: compare it with your version",
        ..*OIDC
    },
    Preset {
        id: "django-oauth-toolkit",
        name: "Django OAuth Toolkit",
        issuer_example: "https://HOST/o",
        scope: "openid profile email",
        class: RefreshClass::SingleUse,
        at_kill: true,
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        classes_by_setting: &[
            ("ROTATE_REFRESH_TOKEN: False", RefreshClass::Reusable),
            ("REFRESH_TOKEN_GRACE_PERIOD_SECONDS: 30", RefreshClass::Overlap(Duration::from_secs(30))),
            ("REFRESH_TOKEN_GRACE_PERIOD_SECONDS: 0 (the default)", RefreshClass::SingleUse),
        ],
        refresh_hint: "Set REFRESH_TOKEN_GRACE_PERIOD_SECONDS to 30 or more, and OIDC_ENABLED.",
        verified_on: "2026-11-27",
        source: "django-oauth-toolkit issues 702, 1617",
        ..*OIDC
    },
    Preset {
        id: "doorkeeper",
        name: "Doorkeeper",
        issuer_example: "https://HOST",
        scope: "openid profile email",
        class: RefreshClass::SingleUse,
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        classes_by_setting: &[
            ("the column previous_refresh_token is there", RefreshClass::Acknowledged),
            ("it is not", RefreshClass::SingleUse),
        ],
        refresh_hint: "Turn use_refresh_token on and keep the column previous_refresh_token, with which a lost \
                       successor costs nothing.",
        verified_on: "2026-08-01",
        source: "doorkeeper source",
        ..*OIDC
    },
];
