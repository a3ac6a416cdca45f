//! The story of a record, in sentences for people, newest first.

use perennial_core::Timestamp;
use perennial_core::record::{EndReason, Entry, Intent, Loss, Phase, Record, RenewalEntry, RenewalVerdict, What};

use super::words::{length, moment, when};
use super::{is_wanted, newest};

/// Tells how things stand with `record` at `now`, why, and what came before.
pub(super) fn tell(record: &Record, now: Timestamp) -> Vec<String> {
    let mut story = vec![headline(record, now)];
    let entries = || record.history.entries();
    let ended = matches!(record.phase, Phase::Ended { reason, .. } if !is_wanted(reason));
    if !matches!(record.phase, Phase::Idle { failures: 0, .. }) && !ended {
        story.extend(entries().rev().find_map(renewed).map(|at| format!("Last renewed {}.", when(at, now))));
    }
    let stale: u32 = entries().map(|entry| entry.stale_cookies).sum();
    match stale {
        0 => {}
        1 => story.push("A stale cookie was given the newest generation.".into()),
        count => story.push(format!("{count} stale cookies were given the newest generation.")),
    }
    let signed_in = entries().find(|entry| entry.what == What::SignedIn);
    story.extend(signed_in.map(|entry| format!("Signed in {}.", when(entry.at, now))));
    match (record.history.is_empty(), record.history.dropped()) {
        (true, _) => story.push("Nothing was written down: the record is from before histories were kept.".into()),
        (_, 0) => {}
        (_, 1) => story.push("An entry before those below has made room for newer ones.".into()),
        (_, count) => story.push(format!("{count} entries before those below have made room for newer ones.")),
    }
    story
}

fn headline(record: &Record, now: Timestamp) -> String {
    match &record.phase {
        Phase::Ended { at, reason } => ended(record, *at, *reason, now),
        Phase::Refused { at, .. } => {
            format!(
                "Signed in until the access token dies: {}, the provider refused the newest refresh token{}{}.",
                when(*at, now),
                because(record),
                used_until(record, now)
            )
        }
        Phase::InDoubt(doubt) => {
            let lost = lost_answer(record).unwrap_or_else(|| {
                format!("the answer to a refresh token sent at {} was lost", moment(doubt.first_sent))
            });
            format!("Signed in, in doubt: {lost}; the next attempt is not made before {}.", when(doubt.not_before, now))
        }
        Phase::Intent(intent) => renewing(record, intent, now),
        Phase::Idle { failures: 0, .. } => match record.history.entries().rev().find_map(renewed) {
            Some(at) => format!("Signed in, at generation {}, renewed {}.", record.generation.0, when(at, now)),
            None => format!("Signed in, at generation {}.", record.generation.0),
        },
        Phase::Idle { failures, not_before } => format!(
            "Signed in; {} without spending the refresh token{}{}.",
            if *failures == 1 {
                "the last attempt failed".into()
            } else {
                format!("the last {failures} attempts failed")
            },
            newest(&record.history, record.generation, |_| true).map_or_else(String::new, |(_, last)| said(last)),
            not_before.map_or_else(String::new, |at| format!(", the next is not made before {}", when(at, now))),
        ),
    }
}

fn ended(record: &Record, at: Timestamp, reason: EndReason, now: Timestamp) -> String {
    let at = when(at, now);
    match reason {
        EndReason::SignedOut => format!("Signed out {at} by the user."),
        EndReason::Refused => format!(
            "Signed out {at} because the provider refused the newest refresh token{}{}.",
            because(record),
            used_until(record, now)
        ),
        EndReason::IdentityChanged => format!(
            "Signed out {at} because a renewed ID token was about another user, issuer or client; what came with it was revoked."
        ),
        EndReason::Callback => format!("Signed out {at} by the application: its jwt callback returned nothing."),
        EndReason::SecretGone => {
            format!(
                "Signed out {at} because the newest generation lies sealed under a secret that is no longer configured."
            )
        }
        // Replicas hear that of each other and never write it down.
        EndReason::Elsewhere => format!("Signed out {at} by another replica."),
        EndReason::ProviderSignedOut => {
            format!("Signed out {at} by the provider: the user had signed out there, and it said so.")
        }
        EndReason::OperatorEnded => format!("Signed out {at} by an operator."),
        EndReason::TooOld => format!("Signed out {at} because the session had reached its absolute lifetime."),
        EndReason::Unproven => {
            format!(
                "Signed out {at} because the session was of an older epoch and its provider could not vouch for it."
            )
        }
    }
}

/// What the refusal of the newest refresh token came after.
fn because(record: &Record) -> String {
    let refusal = newest(&record.history, record.generation, |renewal| renewal.verdict == RenewalVerdict::Refused);
    let code = refusal.map_or_else(String::new, |(_, renewal)| said(renewal));
    match record.history.loss(EndReason::Refused, record.generation) {
        Some(Loss::RefusedAfterDoubt) => match lost_answer(record) {
            Some(lost) => format!("{code} after {lost}"),
            None => format!("{code} after an earlier answer about it was lost"),
        },
        _ if record.history.is_empty() => code,
        _ => format!("{code}, although no answer about it was lost: the provider itself has ended the grant"),
    }
}

/// `an answer was lost at … during a renewal by replica b (expired)`.
fn lost_answer(record: &Record) -> Option<String> {
    let (entry, lost) = newest(&record.history, record.generation, |renewal| renewal.verdict.leaves_doubt())?;
    let first = lost.repeated.map_or(entry.at, |repeated| repeated.since);
    let at = moment(first);
    let by = lost.replica.as_ref().map_or_else(String::new, |name| format!(" by replica {name}"));
    Some(match lost.verdict {
        RenewalVerdict::Begun => format!("nothing was heard again of a renewal{by} that was begun at {at}"),
        _ => format!("an answer was lost at {at} during a renewal{by}{}", said(lost)),
    })
}

fn renewing(record: &Record, intent: &Intent, now: Timestamp) -> String {
    let ours = newest(&record.history, record.generation, |renewal| renewal.attempt == intent.attempt.short());
    let replica = ours.and_then(|(_, renewal)| renewal.replica.as_ref());
    let by = replica.map_or_else(String::new, |name| format!(" by replica {name}"));
    let began = when(intent.started, now);
    if now < intent.lease_until {
        format!("Signed in, being renewed{by} since {began}.")
    } else {
        format!("Signed in, in doubt: a renewal{by} was begun {began} and nothing was heard of it again.")
    }
}

/// Until when the newest access token was or is good.
fn used_until(record: &Record, now: Timestamp) -> String {
    let of_newest = |entry: &&Entry| entry.generation == record.generation;
    let expires = record.history.entries().rev().filter(of_newest).find_map(|entry| entry.expires_at);
    match expires {
        Some(at) if at <= now => format!("; the access token was used up until {}", moment(at)),
        Some(at) => format!("; the access token is good until {}", when(at, now)),
        None => String::new(),
    }
}

/// What the provider said, in parentheses.
fn said(renewal: &RenewalEntry) -> String {
    let took = || length(std::time::Duration::from_millis(renewal.provider_millis.into()));
    match (&renewal.error, renewal.status) {
        (Some(error), _) => format!(" ({error})"),
        (None, Some(status)) => format!(" (HTTP {status})"),
        (None, None) if renewal.verdict == RenewalVerdict::InDoubt => format!(" (no answer for {})", took()),
        (None, None) if renewal.verdict == RenewalVerdict::NotSent => " (the provider could not be reached)".into(),
        (None, None) => String::new(),
    }
}

fn renewed(entry: &Entry) -> Option<Timestamp> {
    let renewed = |renewal: &RenewalEntry| renewal.verdict == RenewalVerdict::Renewed;
    matches!(&entry.what, What::Renewal(renewal) if renewed(renewal)).then_some(entry.at)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use perennial_core::record::{Attempt, Doubt, Evidence, Lost, RenewalReason};
    use perennial_core::session::Generation;

    use super::super::Explanation;
    use super::*;
    use crate::SystemRandom;

    fn at(seconds: i64) -> Timestamp {
        // 2026-11-27 14:00:00 UTC and so many seconds.
        Timestamp::from_unix_seconds(1_795_788_000 + seconds)
    }

    fn entry(seconds: i64, what: What) -> Entry {
        Entry {
            at: at(seconds),
            generation: Generation(7),
            expires_at: Some(at(3_300)),
            stale_cookies: 0,
            fork: None,
            what,
        }
    }

    fn renewal(seconds: i64, verdict: RenewalVerdict, replica: &str) -> Entry {
        let intent = Intent {
            attempt: Attempt::new(&SystemRandom),
            fence: 1,
            started: at(seconds),
            lease_until: at(seconds + 15),
            first_sent: at(seconds),
            drained_at: None,
            failures: 0,
            resend: None,
        };
        let begun = RenewalEntry::begun(&intent, RenewalReason::AheadOfTime, Some(replica));
        let error = (verdict == RenewalVerdict::Refused).then(|| "invalid_grant".to_owned());
        let took = Duration::from_millis(10_000);
        let what = What::Renewal(RenewalEntry { verdict, error, ..begun.with_provider_time(took) });
        entry(seconds, what)
    }

    fn told(phase: Phase, entries: impl IntoIterator<Item = Entry>, now: i64) -> Explanation {
        let record = Record::following(None, Generation(7), Vec::new(), phase);
        let record = entries.into_iter().fold(record, Record::noting);
        Explanation::of("c2Vzc2lvbg12", &record, at(now))
    }

    #[test]
    fn how_things_stand_and_why() {
        use RenewalVerdict::*;
        let ended = |reason| Phase::Ended { at: at(3_600), reason };
        let refused = || Phase::Refused { at: at(1_000), claims: None };
        let idle = |failures, not_before: Option<i64>| Phase::Idle { failures, not_before: not_before.map(at) };
        let doubt = Phase::InDoubt(Doubt {
            first_sent: at(131),
            drained_at: at(170),
            failures: 1,
            not_before: at(140),
            lost: Lost::TimedOut,
            resend: None,
            evidence: Evidence::None,
        });
        let three_hours_later = 3_600 * 4;
        for (phase, entries, now, expected, docs) in [
            (
                ended(EndReason::Refused),
                vec![renewal(131, InDoubt, "b"), renewal(3_310, Refused, "a")],
                three_hours_later,
                "Signed out 3 h ago (2026-11-27 15:00:00 UTC) because the provider refused the newest refresh token \
                 (invalid_grant) after an answer was lost at 2026-11-27 14:02:11 UTC during a renewal by replica b \
                 (no answer for 10 s); the access token was used up until 2026-11-27 14:55:00 UTC.",
                Some("docs/renewal.md#settings-at-the-provider"),
            ),
            (
                ended(EndReason::Refused),
                vec![renewal(131, Begun, "b"), renewal(3_310, Refused, "a")],
                three_hours_later,
                "Signed out 3 h ago (2026-11-27 15:00:00 UTC) because the provider refused the newest refresh token \
                 (invalid_grant) after nothing was heard again of a renewal by replica b that was begun at 2026-11-27 \
                 14:02:11 UTC; the access token was used up until 2026-11-27 14:55:00 UTC.",
                Some("docs/renewal.md#settings-at-the-provider"),
            ),
            (
                refused(),
                vec![renewal(0, Renewed, "a"), renewal(1_000, Refused, "a")],
                1_060,
                "Signed in until the access token dies: 1 min ago (2026-11-27 14:16:40 UTC), the provider refused the \
                 newest refresh token (invalid_grant), although no answer about it was lost: the provider itself has ended \
                 the grant; the access token is good until in 37 min (2026-11-27 14:55:00 UTC).",
                Some("docs/renewal.md#what-cannot-be-saved"),
            ),
            (
                ended(EndReason::SignedOut),
                vec![],
                3_600,
                "Signed out just now (2026-11-27 15:00:00 UTC) by the user.",
                None,
            ),
            (
                ended(EndReason::ProviderSignedOut),
                vec![],
                3_600,
                "Signed out just now (2026-11-27 15:00:00 UTC) by the provider: the user had signed out there, and it said so.",
                None,
            ),
            (
                ended(EndReason::OperatorEnded),
                vec![],
                3_600,
                "Signed out just now (2026-11-27 15:00:00 UTC) by an operator.",
                None,
            ),
            (
                ended(EndReason::SecretGone),
                vec![],
                3_605,
                "Signed out 5 s ago (2026-11-27 15:00:00 UTC) because the newest generation lies sealed under a secret that \
                 is no longer configured.",
                Some("docs/configuration.md#several-secrets"),
            ),
            (
                doubt,
                vec![renewal(131, InDoubt, "b")],
                132,
                "Signed in, in doubt: an answer was lost at 2026-11-27 14:02:11 UTC during a renewal by replica b (no answer \
                 for 10 s); the next attempt is not made before in 8 s (2026-11-27 14:02:20 UTC).",
                Some("docs/renewal.md#classes-of-providers"),
            ),
            (
                idle(3, Some(90)),
                vec![renewal(10, NotSent, "a"), renewal(20, NotSent, "a"), renewal(60, NotSent, "a")],
                60,
                "Signed in; the last 3 attempts failed without spending the refresh token (the provider could not be \
                 reached), the next is not made before in 30 s (2026-11-27 14:01:30 UTC).",
                Some("docs/renewal.md#when-things-fail"),
            ),
            (
                idle(0, None),
                vec![renewal(0, Renewed, "a")],
                120,
                "Signed in, at generation 7, renewed 2 min ago (2026-11-27 14:00:00 UTC).",
                None,
            ),
        ] {
            let told = told(phase, entries, now);
            assert_eq!(told.story[0], expected);
            assert_eq!(told.advice.map(|advice| advice.docs).as_deref(), docs, "{expected}");
        }
    }

    #[test]
    fn what_came_before_follows() {
        let mut stale = renewal(100, RenewalVerdict::Renewed, "a");
        stale.stale_cookies = 3;
        let ended = Phase::Ended { at: at(3_600), reason: EndReason::SignedOut };
        let mut entries = vec![entry(0, What::SignedIn)];
        entries.extend((1..40).map(|n| renewal(n, RenewalVerdict::Renewed, "a")));
        entries.push(stale);
        let told = told(ended, entries, 3_600);
        assert_eq!(told.story[1], "Last renewed 58 min ago (2026-11-27 14:01:40 UTC).");
        assert_eq!(told.story[2], "3 stale cookies were given the newest generation.");
        assert_eq!(told.story[3], "Signed in 1 h ago (2026-11-27 14:00:00 UTC).");
        assert!(
            told.story[4].ends_with("entries before those below have made room for newer ones."),
            "{:?}",
            told.story
        );
        assert_eq!(told.entries.first().map(|entry| entry.stale_cookies), Some(3), "newest first");
        assert_eq!(told.entries.last().map(|entry| entry.what.as_str()), Some("signed_in"));
    }

    #[test]
    fn an_explanation_survives_its_json() {
        let told = told(Phase::Refused { at: at(1), claims: None }, vec![renewal(1, RenewalVerdict::Refused, "a")], 2);
        let json = serde_json::to_string(&told).expect("JSON");
        assert_eq!(serde_json::from_str::<Explanation>(&json).expect("the same"), told);
    }
}
