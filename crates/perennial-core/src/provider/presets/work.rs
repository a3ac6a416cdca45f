//! Services whose accounts people have for their work.

use std::time::Duration;

use super::{OIDC, Preset, PresetEndpoints, SERVICE};
use crate::provider::{
    ClientAuthenticationMethod, ConsentPrompt, FailureMeaning, FailurePattern, Probe, ProfileMembers, ProviderKind,
    RefreshClass, RefreshTokenBy,
};

pub(super) const ROWS: &[Preset] = &[
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
        id: "bitbucket",
        name: "Bitbucket",
        endpoints: PresetEndpoints::at(
            "https://bitbucket.org/site/oauth2/authorize",
            "https://bitbucket.org/site/oauth2/access_token",
            "https://api.bitbucket.org/2.0/user",
        ),
        scope: "account",
        profile: ProfileMembers {
            id: &["account_id"],
            name: &["display_name", "username"],
            email: &["email"],
            image: &["/links/avatar/href"],
        },
        refresh_hint: "Nothing to set: a refresh token always comes. Bitbucket keeps the permissions at the consumer.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; how its refresh tokens behave was not found written down",
        ..*SERVICE
    },
    Preset {
        id: "atlassian",
        name: "Atlassian",
        endpoints: PresetEndpoints::at(
            "https://auth.atlassian.com/authorize",
            "https://auth.atlassian.com/oauth/token",
            "https://api.atlassian.com/me",
        ),
        authentication: ClientAuthenticationMethod::ClientSecretPost,
        scope: "read:me offline_access",
        authorization_params: &[("audience", "api.atlassian.com"), ("prompt", "consent")],
        class: RefreshClass::Overlap(Duration::from_secs(600)),
        refresh_token_by: RefreshTokenBy::Scope("offline_access"),
        // What it says to a wrong client secret.
        failures: &[FailurePattern::new(FailureMeaning::Misconfigured).error("access_denied")],
        profile: ProfileMembers { id: &["account_id"], name: &["name"], email: &["email"], image: &["picture"] },
        refresh_hint: "Add offline_access to the permissions of the app. Old and new tokens are both good for ten \
                       minutes after a renewal.",
        verified_on: "2026-08-01",
        source: "developer.atlassian.com: refresh tokens; Atlassian community 83103",
        ..*SERVICE
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
    Preset {
        id: "linkedin",
        name: "LinkedIn",
        // Not OpenID Connect: its ID tokens carry no nonce, so users are whom UserInfo says.
        endpoints: PresetEndpoints::at(
            "https://www.linkedin.com/oauth/v2/authorization",
            "https://www.linkedin.com/oauth/v2/accessToken",
            "https://api.linkedin.com/v2/userinfo",
        ),
        authentication: ClientAuthenticationMethod::ClientSecretPost,
        scope: "openid profile email",
        class: RefreshClass::Reusable,
        refresh_hint: "Refresh tokens are for approved partners alone; without them a session lasts as long as the \
                       access token, 60 days. They end after 365 days and are not extended.",
        verified_on: "2026-08-01",
        source: "learn.microsoft.com: LinkedIn programmatic refresh tokens",
        ..*SERVICE
    },
    Preset {
        id: "salesforce",
        name: "Salesforce",
        issuer: Some("https://login.salesforce.com"),
        issuer_example: "https://MYDOMAIN.my.salesforce.com",
        scope: "openid profile email refresh_token",
        class: RefreshClass::Reusable,
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Scope("refresh_token"),
        // It never says how long: this is the shortest session timeout that an organisation can set.
        default_token_lifetime: Some(Duration::from_secs(900)),
        // An older wording of two requests that met.
        failures: &[FailurePattern::new(FailureMeaning::Transient)
            .error("invalid_grant")
            .description("expired authorization code")],
        classes_by_setting: &[
            ("connected app: Refresh Token Rotation off (the default)", RefreshClass::Reusable),
            ("connected app: Refresh Token Rotation on", RefreshClass::Family),
        ],
        refresh_hint: "Select the scopes openid and refresh_token for the connected app and \"Refresh token is valid \
                       until revoked\". Leave refresh token rotation off. Five approvals per user and app are kept; \
                       the sixth ends the oldest.",
        verified_on: "2026-08-01",
        source: "Salesforce documentation: refresh token rotation",
        ..*OIDC
    },
    Preset {
        id: "xero",
        name: "Xero",
        issuer: Some("https://identity.xero.com"),
        issuer_example: "https://identity.xero.com",
        class: RefreshClass::Overlap(Duration::from_secs(1800)),
        consent: ConsentPrompt::Never,
        refresh_hint: "Nothing to set. A refresh token that is not used for 60 days ends.",
        verified_on: "2026-08-01",
        source: "Xero community, staff answer 105714701",
        ..*OIDC
    },
    Preset {
        id: "quickbooks",
        name: "QuickBooks",
        endpoints: PresetEndpoints::at(
            "https://appcenter.intuit.com/connect/oauth2",
            "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer",
            "https://accounts.platform.intuit.com/v1/openid_connect/userinfo",
        )
        .revoked_at("https://developer.api.intuit.com/v2/oauth2/tokens/revoke"),
        scope: "openid profile email com.intuit.quickbooks.accounting",
        profile: ProfileMembers {
            id: &["sub"],
            name: &["{givenName} {familyName}", "email"],
            email: &["email"],
            image: &[],
        },
        refresh_hint: "Nothing to set: a refresh token always comes, changes about once a day, and ends after five \
                       years at the latest.",
        verified_on: "2026-08-01",
        source: "Intuit developer blog 2025-11-12",
        ..*SERVICE
    },
    Preset {
        id: "zoom",
        name: "Zoom",
        endpoints: PresetEndpoints::at(
            "https://zoom.us/oauth/authorize",
            "https://zoom.us/oauth/token",
            "https://api.zoom.us/v2/users/me",
        )
        .revoked_at("https://zoom.us/oauth/revoke"),
        scope: "",
        class: RefreshClass::SingleUse,
        failures: &[FailurePattern::new(FailureMeaning::Rejected).description("invalid token")],
        profile: ProfileMembers {
            id: &["id"],
            name: &["display_name", "{first_name} {last_name}"],
            email: &["email"],
            image: &["pic_url"],
        },
        refresh_hint: "Nothing to set: a refresh token always comes. Each new sign-in of a user ends the tokens of \
                       the one before.",
        verified_on: "2026-08-01",
        source: "Zoom developer forum; next-auth issue 5924",
        ..*SERVICE
    },
    Preset {
        id: "box",
        name: "Box",
        endpoints: PresetEndpoints::at(
            "https://account.box.com/api/oauth2/authorize",
            "https://api.box.com/oauth2/token",
            "https://api.box.com/2.0/users/me",
        )
        .revoked_at("https://api.box.com/oauth2/revoke"),
        authentication: ClientAuthenticationMethod::ClientSecretPost,
        scope: "",
        class: RefreshClass::SingleUse,
        profile: ProfileMembers { id: &["id"], name: &["name"], email: &["login"], image: &["avatar_url"] },
        refresh_hint: "Nothing to set: a refresh token always comes, for one use within 60 days.",
        verified_on: "2026-11-27",
        source: "developer.box.com: token and URL expiration",
        ..*SERVICE
    },
    Preset {
        id: "zoho",
        name: "Zoho",
        endpoints: PresetEndpoints::at(
            "https://accounts.zoho.com/oauth/v2/auth",
            "https://accounts.zoho.com/oauth/v2/token",
            "https://accounts.zoho.com/oauth/user/info",
        ),
        authentication: ClientAuthenticationMethod::ClientSecretPost,
        scope: "AaaServer.profile.Read",
        authorization_params: &[("access_type", "offline"), ("prompt", "consent")],
        refresh_token_by: RefreshTokenBy::Parameter("access_type", "offline"),
        failures: &[FailurePattern::new(FailureMeaning::Rejected).error("invalid_code")],
        profile: ProfileMembers {
            id: &["ZUID"],
            name: &["{First_Name} {Last_Name}", "Display_Name"],
            email: &["Email"],
            image: &[],
        },
        refresh_hint: "Use the endpoints of your users' data centre (accounts.zoho.eu, .in and so on). Twenty \
                       refresh tokens per user are kept.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; how its refresh tokens behave was not found written down",
        ..*SERVICE
    },
    Preset {
        id: "asana",
        name: "Asana",
        endpoints: PresetEndpoints::at(
            "https://app.asana.com/-/oauth_authorize",
            "https://app.asana.com/-/oauth_token",
            "https://app.asana.com/api/1.0/users/me",
        )
        .revoked_at("https://app.asana.com/-/oauth_revoke"),
        authentication: ClientAuthenticationMethod::ClientSecretPost,
        scope: "default",
        profile: ProfileMembers {
            id: &["/data/gid"],
            name: &["/data/name"],
            email: &["/data/email"],
            image: &["/data/photo/image_128x128"],
        },
        refresh_hint: "Nothing to set: a refresh token always comes.",
        verified_on: "2026-11-27",
        source: "developers.asana.com: OAuth, from memory; how its refresh tokens behave was not found written down",
        ..*SERVICE
    },
    Preset {
        id: "webex",
        name: "Webex",
        endpoints: PresetEndpoints::at(
            "https://webexapis.com/v1/authorize",
            "https://webexapis.com/v1/access_token",
            "https://webexapis.com/v1/people/me",
        ),
        authentication: ClientAuthenticationMethod::ClientSecretPost,
        scope: "spark:kms spark:people_read",
        profile: ProfileMembers { id: &["id"], name: &["displayName"], email: &["/emails/0"], image: &["avatar"] },
        refresh_hint: "Nothing to set: a refresh token always comes.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; how its refresh tokens behave was not found written down",
        ..*SERVICE
    },
    Preset {
        id: "pipedrive",
        name: "Pipedrive",
        endpoints: PresetEndpoints::at(
            "https://oauth.pipedrive.com/oauth/authorize",
            "https://oauth.pipedrive.com/oauth/token",
            "https://api.pipedrive.com/users/me",
        ),
        scope: "",
        profile: ProfileMembers {
            id: &["/data/id"],
            name: &["/data/name"],
            email: &["/data/email"],
            image: &["/data/icon_url"],
        },
        refresh_hint: "Nothing to set: a refresh token always comes.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; how its refresh tokens behave was not found written down",
        ..*SERVICE
    },
    Preset {
        id: "freshbooks",
        name: "FreshBooks",
        endpoints: PresetEndpoints::at(
            "https://auth.freshbooks.com/service/auth/oauth/authorize",
            "https://api.freshbooks.com/auth/oauth/token",
            "https://api.freshbooks.com/auth/api/v1/users/me",
        ),
        authentication: ClientAuthenticationMethod::ClientSecretPost,
        scope: "",
        class: RefreshClass::SingleUse,
        profile: ProfileMembers {
            id: &["/response/id"],
            name: &["/response/first_name"],
            email: &["/response/email"],
            image: &[],
        },
        refresh_hint: "Nothing to set: a refresh token always comes, for one use.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; freshbooks.com/api, from memory",
        ..*SERVICE
    },
];
