//! Identity services that one rents.

use std::time::Duration;

use super::{OIDC, Preset, STANDARD_CLAIMS};
use crate::provider::{
    AudienceParameter, ClientAuthenticationMethod, ConsentPrompt, FailureMeaning, FailurePattern, Introspection,
    ProfileMembers, RefreshClass, RefreshTokenBy,
};

pub(super) const ROWS: &[Preset] = &[
    Preset {
        id: "auth0",
        name: "Auth0",
        issuer_example: "https://TENANT.auth0.com/ (with the trailing slash)",
        audience_parameter: AudienceParameter::Audience,
        // Rotation is a setting of each application, and where it is on, a late retry revokes the family.
        class: RefreshClass::Family,
        consent: ConsentPrompt::Never,
        classes_by_setting: &[
            ("application: Refresh Token Rotation off", RefreshClass::Reusable),
            (
                "application: Rotation on, Rotation Overlap Period 30 seconds",
                RefreshClass::Overlap(Duration::from_secs(30)),
            ),
            ("application: Rotation on, Rotation Overlap Period 0 (the default with rotation)", RefreshClass::Family),
        ],
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
        classes_by_setting: &[
            ("application: Use persistent token (the default of web applications)", RefreshClass::Reusable),
            (
                "application: Rotate token after every use, grace period 30 seconds (the default)",
                RefreshClass::Overlap(Duration::from_secs(30)),
            ),
            ("application: Rotate token after every use, grace period 0", RefreshClass::Family),
        ],
        refresh_hint: "Enable the Refresh Token grant for the application. Keep the persistent token of web applications, \
                       or rotate with a grace period of 30 to 60 seconds.",
        source: "developer.okta.com: refresh tokens",
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
        id: "azure-ad-b2c",
        name: "Azure AD B2C",
        issuer_example: "https://TENANT.b2clogin.com/tfp/TENANT_ID/POLICY/v2.0/",
        consent: ConsentPrompt::Never,
        profile: ProfileMembers { email: &["email", "/emails/0"], ..STANDARD_CLAIMS },
        refresh_hint: "In the user flow set the issuer claim to the form with /tfp, which is where its metadata \
                       lies. To get an access token, add the application's client id to the scope.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; how its refresh tokens behave was not found written down",
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
        id: "cognito",
        name: "Amazon Cognito",
        issuer_example: "https://cognito-idp.REGION.amazonaws.com/POOL_ID",
        scope: "openid profile email",
        class: RefreshClass::Reusable,
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        classes_by_setting: &[
            ("app client: refresh token rotation off (the default)", RefreshClass::Reusable),
            ("app client: rotation on, grace period 60 seconds", RefreshClass::Overlap(Duration::from_secs(60))),
            ("app client: rotation on, grace period 0", RefreshClass::SingleUse),
        ],
        refresh_hint: "Leave refresh token rotation off, or set its grace period to 60 seconds.",
        source: "AWS documentation: RefreshTokenRotationType",
        ..*OIDC
    },
    Preset {
        id: "apple",
        name: "Apple",
        issuer: Some("https://appleid.apple.com"),
        issuer_example: "https://appleid.apple.com",
        scope: "openid",
        class: RefreshClass::Reusable,
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        authentication: ClientAuthenticationMethod::ClientSecretPost,
        refresh_hint: "Nothing to set: a refresh token always comes, once, and is never replaced. The client secret \
                       is a JWT that you sign with your key and replace every six months at the latest. Name and \
                       e-mail address would need an answer by form post, which is not taken: users are known by \
                       their subject.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; appleid.apple.com: generate and validate tokens",
        ..*OIDC
    },
    Preset {
        id: "onelogin",
        name: "OneLogin",
        issuer_example: "https://SUBDOMAIN.onelogin.com/oidc/2",
        consent: ConsentPrompt::Never,
        refresh_hint: "Enable the Refresh Token grant for the application and set how long refresh tokens live.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; how its refresh tokens behave was not found written down",
        ..*OIDC
    },
    Preset {
        id: "ping-id",
        name: "PingOne",
        issuer_example: "https://auth.pingone.com/ENVIRONMENT_ID/as",
        consent: ConsentPrompt::Never,
        refresh_hint: "Enable the Refresh Token grant for the application. Leave rolling refresh tokens off for a \
                       confidential application.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; oauth2-proxy issue 3485",
        ..*OIDC
    },
    Preset {
        id: "descope",
        name: "Descope",
        issuer_example: "https://api.descope.com/PROJECT_ID",
        consent: ConsentPrompt::Never,
        refresh_hint: "Leave refresh token rotation off for a confidential application.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; how its refresh tokens behave was not found written down",
        ..*OIDC
    },
    Preset {
        id: "frontegg",
        name: "Frontegg",
        issuer_example: "https://SUBDOMAIN.frontegg.com",
        scope: "openid profile email",
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        refresh_hint: "Nothing is known to be needed.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; how its refresh tokens behave was not found written down",
        ..*OIDC
    },
    Preset {
        id: "kinde",
        name: "Kinde",
        issuer_example: "https://SUBDOMAIN.kinde.com",
        scope: "openid profile email offline",
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Scope("offline"),
        refresh_hint: "The scope is called offline there; the preset asks for it.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; how its refresh tokens behave was not found written down",
        ..*OIDC
    },
    Preset {
        id: "logto",
        name: "Logto",
        issuer_example: "https://TENANT.logto.app/oidc",
        class: RefreshClass::Family,
        classes_by_setting: &[
            ("application: Rotate refresh token off", RefreshClass::Reusable),
            ("application: Rotate refresh token on", RefreshClass::Family),
        ],
        refresh_hint: "Leave \"Rotate refresh token\" off for a confidential application; without prompt=consent, \
                       which the preset sends, no refresh token comes.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; it is built on node-oidc-provider, whose source was read",
        ..*OIDC
    },
    Preset {
        id: "asgardeo",
        name: "Asgardeo",
        issuer_example: "https://api.asgardeo.io/t/ORGANISATION/oauth2/token",
        scope: "openid profile email",
        class: RefreshClass::Reusable,
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        classes_by_setting: &[
            ("application: Renew refresh token off (the default)", RefreshClass::Reusable),
            (
                "application: Renew refresh token on, graceful rotation with a window of 30 seconds",
                RefreshClass::Overlap(Duration::from_secs(30)),
            ),
            ("application: Renew refresh token on", RefreshClass::SingleUse),
        ],
        refresh_hint: "Enable the Refresh Token grant. Leave \"Renew refresh token\" off, or turn graceful rotation \
                       on with it.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; wso2.com: Asgardeo refresh tokens",
        ..*OIDC
    },
];
