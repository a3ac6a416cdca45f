//! The settings at the top of a file, and the sections it has.

use perennial::secret::{BackendSecret, CookieSecret};
use perennial::{AuthBuilder, ConfigFault};

use super::setting::{Range, Section, Setting};
use super::values::Values;
use super::{admin, forward_auth, pages, providers, renewal, routes, secrets, serving, session, upstreams};

/// The whole table.
pub(super) const TOP: Section = Section::new(
    "",
    "Every setting of the gateway.",
    &[
        Setting::text("listen", "address and port to listen on")
            .default("127.0.0.1:4200")
            .remedy("write address and port, such as \"127.0.0.1:4200\"")
            .shown("", "")
            .at_start(),
        Setting::text(
            "public_url",
            "where browsers reach the gateway, an origin without a path; every URL it makes begins with it. https, or http on a \
             loopback host",
        )
        .falls_back_to("`AUTH_URL`")
        .value("text, URL")
        .shown("https://app.example", ""),
        Setting::text(
            "base_path",
            "where the endpoints lie: a plain path without a slash at its end; `\"/api/auth\"` for next-auth's clients",
        )
        .falls_back_to("the path of `AUTH_URL`, else `\"/auth\"`")
        .sample("/auth", "\"/api/auth\" for the clients of next-auth"),
        Setting::text(
            "store",
            "where sessions are kept: a path, a `file:` URL, `memory:`, or the URL of Redis or PostgreSQL, see [stores](stores.md)",
        )
        .default("perennial.redb")
        .shown("", "or \"memory:\", \"redis://…\", \"postgres://…\": docs/stores.md")
        .secret()
        .at_start(),
        Setting::number(
            "replicas",
            Range::of(1, u32::MAX as u64, "1 or more"),
            "how many processes serve this site. More than one need a store on a server; with another they are refused, because \
             each would redeem the same refresh token",
        )
        .default("1")
        .note("more than one need redis:// or postgres://"),
        Setting::texts("secret_files", "files with one secret each, the first after those of the environment")
            .default("")
            .sample("secrets/cookie", "one secret a file; the first seals, all open")
            .paths(),
        Setting::texts(
            "backend_secret_files",
            "files with one backend secret each, beside `AUTH_BACKEND_SECRET`; all are good, so that they can be exchanged one by \
             one",
        )
        .default("")
        .sample("secrets/backend", "an application's server may ask who its visitor is")
        .paths(),
        Setting::flag("compat_routes", "serve the four `/api` routes of the SvelteKitAuth recipe")
            .note("the four /api routes of the SvelteKitAuth recipe"),
        Setting::texts("return_origins", "other origins that return URLs may lead to: `\"https://www.app.example\"`")
            .default("")
            .sample("https://www.app.example", ""),
        Setting::texts("updatable_claims", "claims that `POST /api/update-user-data` may set")
            .default("name,nickname,picture,locale"),
        Setting::text(
            "replica_name",
            "what this process is called in the [histories](observability.md#why-was-this-user-signed-out) of sessions",
        )
        .value("1 to 32 of `A-Z a-z 0-9 . _ -`")
        .falls_back_to("the end of `HOSTNAME`")
        .sample("gateway-1", "in sessions' histories; the end of HOSTNAME unless set"),
        Setting::flag(
            "reload_on_change",
            "read the configuration anew when its file changes, or one that it names, such as a secret's; SIGHUP does it always. \
             See [Reload](#reload)",
        )
        .default("true")
        .note("SIGHUP reloads always")
        .at_start(),
        Setting::flag(
            "sign_out_at_provider",
            "sign out at the provider as well: a sign-out leads to its end-session endpoint and [back](http.md#signing-out-at-the-provider)",
        )
        .note("signs out there as well; register <public_url>/auth/signout/callback first"),
        Setting::flag("dangerous_allow_http", "accept a plain http public URL on a host other than loopback")
            .note("plain http beyond this machine: cookies travel in clear"),
        serving::WORKERS,
        serving::HTTP2,
        serving::TRUSTED_PROXIES,
        serving::FORWARDED_BY,
        serving::DRAIN_DELAY,
        serving::DRAIN_MAX,
        Setting::table(&serving::TLS),
        Setting::table(&serving::LIMITS),
        Setting::table(&admin::ADMIN),
        Setting::table(&forward_auth::FORWARD_AUTH),
        Setting::table(&session::SESSION),
        Setting::table(&pages::PAGES),
        Setting::table(&pages::THEME),
        Setting::table(&renewal::RENEWAL),
        Setting::tables(&providers::PROVIDERS),
        Setting::tables(&upstreams::UPSTREAMS),
        Setting::tables(&routes::ROUTES),
    ],
);

/// What the engine is told at the top. The store is not among it.
pub(super) fn engine(mut auth: AuthBuilder, top: &Values, faults: &mut Vec<ConfigFault>) -> AuthBuilder {
    for secret in secrets::listed(top, "secret_files", faults) {
        auth = auth.secret(CookieSecret::new(secret));
    }
    for secret in secrets::listed(top, "backend_secret_files", faults) {
        auth = auth.backend_secret(BackendSecret::new(secret));
    }
    if let Some(url) = top.text("public_url") {
        auth = auth.public_url(url);
    }
    if let Some(path) = top.text("base_path") {
        auth = auth.base_path(path);
    }
    if let Some(replicas) = top.number("replicas") {
        auth = auth.replicas(replicas);
    }
    for origin in top.texts("return_origins") {
        auth = auth.return_origin(origin);
    }
    if let Some(name) = top.text("replica_name") {
        auth = auth.replica_name(name);
    }
    if top.flag("dangerous_allow_http") {
        auth = auth.dangerous_allow_http();
    }
    let auth = auth.sign_out_at_provider(top.flag("sign_out_at_provider"));
    auth.compat_routes(top.flag("compat_routes")).updatable_claims(top.texts("updatable_claims"))
}
