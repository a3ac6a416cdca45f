//! Services whose accounts people have for themselves.

use super::{OIDC, Preset, PresetEndpoints, SERVICE, STANDARD_CLAIMS};
use crate::provider::{
    ClientAuthenticationMethod, ConsentPrompt, FailureMeaning, FailurePattern, ProfileMembers, ProviderKind,
    RefreshClass, RefreshTokenBy,
};

pub(super) const ROWS: &[Preset] = &[
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
        refresh_hint: "Nothing to set: a refresh token always comes. It ends 6 months after consent and is not \
                       extended.",
        source: "developer.spotify.com blog 2026-06-18",
        ..*OIDC
    },
    Preset {
        id: "twitch",
        name: "Twitch",
        issuer: Some("https://id.twitch.tv/oauth2"),
        issuer_example: "https://id.twitch.tv/oauth2",
        scope: "openid user:read:email",
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        authentication: ClientAuthenticationMethod::ClientSecretPost,
        failures: &[FailurePattern::new(FailureMeaning::Rejected).description("invalid refresh token")],
        profile: ProfileMembers { name: &["preferred_username"], ..STANDARD_CLAIMS },
        refresh_hint: "Nothing to set: a refresh token always comes. Register the application as confidential.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; dev.twitch.tv: refreshing access tokens",
        ..*OIDC
    },
    Preset {
        id: "twitter",
        name: "X",
        endpoints: PresetEndpoints::at(
            "https://x.com/i/oauth2/authorize",
            "https://api.x.com/2/oauth2/token",
            "https://api.x.com/2/users/me?user.fields=profile_image_url",
        )
        .revoked_at("https://api.x.com/2/oauth2/revoke"),
        scope: "users.read tweet.read offline.access",
        class: RefreshClass::SingleUse,
        refresh_token_by: RefreshTokenBy::Scope("offline.access"),
        failures: &[FailurePattern::new(FailureMeaning::Rejected)
            .error("invalid_request")
            .description("token was invalid")],
        profile: ProfileMembers {
            id: &["/data/id"],
            name: &["/data/name"],
            email: &["/data/email"],
            image: &["/data/profile_image_url"],
        },
        refresh_hint: "The scope is called offline.access there; the preset asks for it.",
        verified_on: "2026-08-01",
        source: "npm @auth/core 0.41.3; reports of X developers",
        ..*SERVICE
    },
    Preset {
        id: "reddit",
        name: "Reddit",
        endpoints: PresetEndpoints::at(
            "https://www.reddit.com/api/v1/authorize",
            "https://www.reddit.com/api/v1/access_token",
            "https://oauth.reddit.com/api/v1/me",
        ),
        scope: "identity",
        authorization_params: &[("duration", "permanent")],
        refresh_token_by: RefreshTokenBy::Parameter("duration", "permanent"),
        profile: ProfileMembers { id: &["id"], name: &["name"], email: &[], image: &["snoovatar_img"] },
        refresh_hint: "Register a web app. The preset asks for duration=permanent, without which no refresh token \
                       comes.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; how its refresh tokens behave was not found written down",
        ..*SERVICE
    },
    Preset {
        id: "strava",
        name: "Strava",
        endpoints: PresetEndpoints::at(
            "https://www.strava.com/api/v3/oauth/authorize",
            "https://www.strava.com/api/v3/oauth/token",
            "https://www.strava.com/api/v3/athlete",
        ),
        authentication: ClientAuthenticationMethod::ClientSecretPost,
        scope: "read",
        authorization_params: &[("approval_prompt", "auto")],
        class: RefreshClass::SingleUse,
        profile: ProfileMembers {
            id: &["id"],
            name: &["{firstname} {lastname}", "username"],
            email: &[],
            image: &["profile"],
        },
        refresh_hint: "Nothing to set: a refresh token always comes. Access tokens live six hours.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; developers.strava.com: OAuth updates",
        ..*SERVICE
    },
    Preset {
        id: "kakao",
        name: "Kakao",
        endpoints: PresetEndpoints::at(
            "https://kauth.kakao.com/oauth/authorize",
            "https://kauth.kakao.com/oauth/token",
            "https://kapi.kakao.com/v2/user/me",
        ),
        authentication: ClientAuthenticationMethod::ClientSecretPost,
        scope: "",
        // Replaced in its last month alone; then the old one is dead, and a second try is merely refused.
        class: RefreshClass::Reusable,
        profile: ProfileMembers {
            id: &["id"],
            name: &["/kakao_account/profile/nickname"],
            email: &["/kakao_account/email"],
            image: &["/kakao_account/profile/profile_image_url"],
        },
        refresh_hint: "Nothing to set: a refresh token always comes. It lives 60 days, and is replaced in its last 30.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; devtalk.kakao.com 126899",
        ..*SERVICE
    },
    Preset {
        id: "naver",
        name: "Naver",
        endpoints: PresetEndpoints::at(
            "https://nid.naver.com/oauth2.0/authorize",
            "https://nid.naver.com/oauth2.0/token",
            "https://openapi.naver.com/v1/nid/me",
        ),
        scope: "",
        profile: ProfileMembers {
            id: &["/response/id"],
            name: &["/response/nickname", "/response/name"],
            email: &["/response/email"],
            image: &["/response/profile_image"],
        },
        refresh_hint: "Nothing to set: a refresh token always comes.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; how its refresh tokens behave was not found written down",
        ..*SERVICE
    },
    Preset {
        id: "yandex",
        name: "Yandex",
        endpoints: PresetEndpoints::at(
            "https://oauth.yandex.ru/authorize",
            "https://oauth.yandex.ru/token",
            "https://login.yandex.ru/info?format=json",
        ),
        scope: "login:info login:email login:avatar",
        profile: ProfileMembers {
            id: &["id"],
            name: &["display_name", "real_name", "first_name"],
            email: &["default_email", "/emails/0"],
            image: &[],
        },
        refresh_hint: "Nothing to set: a refresh token always comes.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; how its refresh tokens behave was not found written down",
        ..*SERVICE
    },
    Preset {
        id: "mailru",
        name: "Mail.ru",
        endpoints: PresetEndpoints::at(
            "https://oauth.mail.ru/login",
            "https://oauth.mail.ru/token",
            "https://oauth.mail.ru/userinfo",
        ),
        scope: "userinfo",
        profile: ProfileMembers { id: &["id"], name: &["name", "nickname"], email: &["email"], image: &["image"] },
        refresh_hint: "Nothing to set: a refresh token always comes.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; how its refresh tokens behave was not found written down",
        ..*SERVICE
    },
    Preset {
        id: "coinbase",
        name: "Coinbase",
        endpoints: PresetEndpoints::at(
            "https://login.coinbase.com/oauth2/auth",
            "https://login.coinbase.com/oauth2/token",
            "https://api.coinbase.com/v2/user",
        ),
        authentication: ClientAuthenticationMethod::ClientSecretPost,
        scope: "wallet:user:email wallet:user:read offline_access",
        class: RefreshClass::SingleUse,
        refresh_token_by: RefreshTokenBy::Scope("offline_access"),
        profile: ProfileMembers {
            id: &["/data/id"],
            name: &["/data/name"],
            email: &["/data/email"],
            image: &["/data/avatar_url"],
        },
        refresh_hint: "The preset asks for offline_access, without which no refresh token comes.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; docs.cdp.coinbase.com, from memory",
        ..*SERVICE
    },
    Preset {
        id: "patreon",
        name: "Patreon",
        endpoints: PresetEndpoints::at(
            "https://www.patreon.com/oauth2/authorize",
            "https://www.patreon.com/api/oauth2/token",
            "https://www.patreon.com/api/oauth2/api/current_user",
        ),
        authentication: ClientAuthenticationMethod::ClientSecretPost,
        scope: "identity identity[email]",
        profile: ProfileMembers {
            id: &["/data/id"],
            name: &["/data/attributes/full_name"],
            email: &["/data/attributes/email"],
            image: &["/data/attributes/image_url"],
        },
        refresh_hint: "Nothing to set: a refresh token always comes.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; how its refresh tokens behave was not found written down",
        ..*SERVICE
    },
    Preset {
        id: "osu",
        name: "osu!",
        endpoints: PresetEndpoints::at(
            "https://osu.ppy.sh/oauth/authorize",
            "https://osu.ppy.sh/oauth/token",
            "https://osu.ppy.sh/api/v2/me",
        ),
        authentication: ClientAuthenticationMethod::ClientSecretPost,
        scope: "identify",
        class: RefreshClass::SingleUse,
        at_kill: true,
        profile: ProfileMembers { id: &["id"], name: &["username"], email: &[], image: &["avatar_url"] },
        refresh_hint: "Nothing to set: a refresh token always comes. A renewal ends the previous access token at once.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; it is built on Laravel Passport, which revokes both old tokens",
        ..*SERVICE
    },
    Preset {
        id: "roblox",
        name: "Roblox",
        issuer: Some("https://apis.roblox.com/oauth/"),
        issuer_example: "https://apis.roblox.com/oauth/",
        scope: "openid profile",
        class: RefreshClass::SingleUse,
        consent: ConsentPrompt::Never,
        refresh_token_by: RefreshTokenBy::Provider,
        refresh_hint: "Nothing to set: a refresh token always comes, for one use within 90 days.",
        verified_on: "2026-11-27",
        source: "npm @auth/core 0.41.3; create.roblox.com: OAuth 2.0, from memory",
        ..*OIDC
    },
];
