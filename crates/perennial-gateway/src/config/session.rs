//! `[session]`: where sessions lie and how long they last.

use perennial::{AuthBuilder, CookieFormat, IdleFedBy, SessionStrategy};

use super::setting::{DAY, MINUTE, Range, Section, Setting};
use super::values::Values;

pub(super) const SESSION: Section = Section::new(
    "session",
    "Where sessions lie and how long they last.",
    &[
        Setting::choice(
            "strategy",
            &["jwt", "database"],
            "where sessions lie: whole in their cookies, or in the store with a small handle in the cookie. \
             [stores.md](stores.md#where-sessions-lie) compares them. A change signs nobody out: each session moves at its next \
             visit",
        )
        .default("jwt")
        .note("or \"database\": in the store, with a handle in the cookie"),
        Setting::time(
            "max_age",
            Range::of_millis(MINUTE, 400 * DAY, "1 minute to 400 days"),
            "how long a session lasts without a visit",
        )
        .default("30d")
        .shown("", "without a visit; 1 minute to 400 days"),
        Setting::time(
            "update_age",
            Range::ANY_TIME,
            "how old the last note of a visit gets before a visit is noted and the cookie set anew; a session may end that much \
             early",
        )
        .default("1d")
        .value("less than `max_age`")
        .shown("", "a visit sets an older cookie anew"),
        Setting::choice(
            "idle_fed_by",
            &["interactive", "any"],
            "which requests count as a visit; see [the two clocks](renewal.md#two-clocks)",
        )
        .default("interactive")
        .note("or \"any\": polling counts as a visit, too"),
        Setting::time("absolute_max_age", Range::ANY_TIME, "how long a session lasts at all, from sign-in")
            .falls_back_to("none")
            .shown("180d", "from sign-in; no end unless set"),
        Setting::number(
            "epoch",
            Range::ANY_NUMBER,
            "raise it by one after the store was [restored from a backup](stores.md#after-a-restore-raise-the-epoch)",
        )
        .default("0")
        .note("raise it after the store was restored from a backup"),
        Setting::time(
            "secret_roll_out",
            Range::ANY_TIME,
            "how long replicas that share a store may take until all of them know a new secret; see [below](#several-secrets)",
        )
        .default("10m")
        .note("until all replicas know a new secret"),
        Setting::choice(
            "cookie_format",
            &["authjs-5", "next-auth-4"],
            "whose session cookie is written, by name and encryption; both are read ([Auth.js](authjs.md#cookies))",
        )
        .default("authjs-5")
        .note("or \"next-auth-4\"; both are read"),
        Setting::texts(
            "keep_claims",
            "claims that a session keeps of what its provider tells at sign-in, for [rules](routing.md#which-claims-there-are): those \
             that UserInfo alone has. What is in the ID token is known without",
        )
        .default("")
        .sample("groups", "of UserInfo, for rules; those of the ID token are known without"),
    ],
);

/// What the engine is told of them.
pub(super) fn engine(mut auth: AuthBuilder, session: &Values) -> AuthBuilder {
    if let Some(age) = session.time("max_age") {
        auth = auth.max_age(age);
    }
    if let Some(age) = session.time("update_age") {
        auth = auth.update_age(age);
    }
    if let Some(age) = session.time("absolute_max_age") {
        auth = auth.absolute_max_age(age);
    }
    if let Some(time) = session.time("secret_roll_out") {
        auth = auth.secret_roll_out(time);
    }
    auth = auth.kept_claims(session.texts("keep_claims"));
    let strategies = [("jwt", SessionStrategy::Jwt), ("database", SessionStrategy::Database)];
    if let Some(strategy) = session.choice("strategy", &strategies) {
        auth = auth.strategy(strategy);
    }
    let feeders = [("interactive", IdleFedBy::Interactive), ("any", IdleFedBy::Any)];
    if let Some(which) = session.choice("idle_fed_by", &feeders) {
        auth = auth.idle_fed_by(which);
    }
    if let Some(epoch) = session.number("epoch") {
        auth = auth.epoch(epoch);
    }
    let formats = [("authjs-5", CookieFormat::AuthJs5), ("next-auth-4", CookieFormat::NextAuth4)];
    if let Some(format) = session.choice("cookie_format", &formats) {
        auth = auth.cookie_format(format);
    }
    auth
}
