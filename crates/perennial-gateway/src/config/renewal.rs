//! `[renewal]`: when and how sessions renew.

use std::time::Duration;

use perennial::RenewalPolicy;

use super::setting::{MINUTE, Range, Section, Setting};
use super::values::Values;

pub(super) const RENEWAL: Section = Section::new(
    "renewal",
    "When and how sessions renew: docs/renewal.md.",
    &[
        Setting::time(
            "renew_before",
            Range { least: Duration::from_nanos(1), most: Duration::MAX, words: "more than zero" },
            "renew this long before the access token expires; never more than a third of its life is used",
        )
        .default("60s")
        .shown("", "before expiry; never more than a third of the token's life"),
        Setting::time(
            "renew_after",
            Range::ANY_TIME,
            "renew once the access token is this old, even if it lives longer; the earlier rule decides",
        )
        .falls_back_to("none")
        .sample("30m", "also once the access token is this old"),
        Setting::time(
            "default_lifetime",
            Range::ANY_TIME,
            "how long an access token without `expires_in` is taken to live; without it only demand and `renew_after` renew such \
             a token",
        )
        .falls_back_to("none")
        .sample("1h", "of access tokens that do not say how long they live"),
        Setting::time(
            "call_deadline",
            Range::of_millis(100, MINUTE, "100 ms to 60 s"),
            "the longest a call to a provider may take; a third of it for name lookup, TCP and TLS together. The lease is this \
             and 10 s: five for what comes before the call, five for clocks that differ",
        )
        .default("10s")
        .shown("", "100 ms to 60 s"),
        Setting::time("wait_max", Range::ANY_TIME, "the longest a request with a dead access token waits")
            .default("15s")
            .shown("", "how long a request with a dead access token waits"),
        Setting::time(
            "patience",
            Range::ANY_TIME,
            "the longest the request that starts a renewal ahead of time waits for it",
        )
        .default("1s")
        .shown("", "how long the one that renews ahead of time waits"),
        Setting::time("min_interval", Range::ANY_TIME, "the shortest age of an access token that is renewed on demand")
            .default("1s")
            .shown("", "between renewals on demand"),
        Setting::number(
            "max_per_second",
            Range::of(1, 10_000, "from 1 to 10000"),
            "refresh requests that this process sends to one provider in a second at most; the stated peak rate, also after an \
             outage. 100 renew 360,000 sessions with tokens of an hour, 30,000 with tokens of five minutes",
        )
        .default("100")
        .note("refresh requests to one provider, from this process"),
        Setting::number(
            "max_at_once",
            Range::of(1, 1024, "from 1 to 1024"),
            "refresh requests of this process that one provider has to deal with at a time; others queue",
        )
        .default("64"),
    ],
);

pub(super) fn policy(renewal: &Values) -> RenewalPolicy {
    let mut policy = RenewalPolicy::default();
    for (key, setting) in [
        ("renew_before", &mut policy.renew_before),
        ("call_deadline", &mut policy.call_deadline),
        ("wait_max", &mut policy.wait_max),
        ("patience", &mut policy.patience),
        ("min_interval", &mut policy.min_interval),
    ] {
        *setting = renewal.time(key).unwrap_or(*setting);
    }
    policy.max_per_second = renewal.number("max_per_second").unwrap_or(policy.max_per_second);
    policy.max_at_once = renewal.number("max_at_once").unwrap_or(policy.max_at_once);
    policy.renew_after = renewal.time("renew_after");
    policy.default_lifetime = renewal.time("default_lifetime");
    policy
}
