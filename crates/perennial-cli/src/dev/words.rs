//! The plain sentences of the page: what was seen, told in the order in which a reader asks.

use std::time::Duration;

use perennial::record::EndReason;
use perennial::{Renewal, RenewalOutcome, RenewalReason};
use perennial_provider::{Outcome, ProviderEvent};

use super::view::{ActionView, Bead, Millis, Progress};

/// The kinds of beads, each with its meaning.
pub(super) const MARKS: [(&str, &str); 6] = [
    ("signed-in", "sign-in"),
    ("ahead", "ahead of time"),
    ("manual", "button"),
    ("demand", "on demand, after expiry"),
    ("unauthorized", "the app said 401"),
    ("broken", "refresh token lost"),
];

/// The bead and the sentence of a sign-in.
pub(super) fn signed_in(at: Millis, generation: u64, name: &str) -> (Bead, String) {
    let story = format!("{name} signed in and got the first pair of tokens.");
    let bead = Bead {
        key: format!("g{generation}"),
        kind: "signed-in".into(),
        number: generation.to_string(),
        at,
        why: "sign-in".into(),
        label: format!("Generation {generation}: {story}"),
        story: story.clone(),
        ..Bead::blank()
    };
    (bead, story)
}

/// The bead and the sentence of a renewal. An attempt that changed nothing leaves no bead.
pub(super) fn renewal(seen: &Renewal) -> (Option<Bead>, String) {
    let generation = seen.generation.0;
    let bead = Bead {
        at: seen.at.unix_millis(),
        why: why(seen.reason).into(),
        took: time(seen.provider_time),
        waited: count(seen.waiters),
        badge: badge(seen.waiters, 0),
        ..Bead::blank()
    };
    match &seen.outcome {
        RenewalOutcome::Renewed => {
            let story = format!(
                "{} The provider took {}. {}",
                opening(seen.reason, generation),
                bead.took,
                waiting(seen.reason, seen.waiters)
            );
            let bead = Bead {
                key: format!("g{generation}"),
                kind: kind(seen.reason).into(),
                number: generation.to_string(),
                label: format!("Generation {generation}: {story}"),
                story: story.clone(),
                ..bead
            };
            (Some(bead), story)
        }
        RenewalOutcome::Kept { why } => (None, format!("No new tokens this time: {} The session stays.", kept(why))),
        RenewalOutcome::Refused | RenewalOutcome::Ended => {
            let story = format!("The provider refused the refresh token of generation {generation}. {LAST_TOKEN}");
            let bead = Bead {
                key: format!("x{generation}"),
                kind: "broken".into(),
                number: "lost".into(),
                label: format!("Broken: {story}"),
                story: story.clone(),
                ..bead
            };
            (Some(bead), story)
        }
    }
}

/// What the provider did, and where it is explained. What the engine tells of itself is left out.
pub(super) fn at_provider(event: &ProviderEvent) -> Option<(String, &'static str)> {
    let (sentence, about) = match event.outcome {
        Some(Outcome::Issued | Outcome::Rotated) => return None,
        Some(Outcome::FaultedStatus) => ("It answered an error on purpose; nothing was spent.", "#about-outage"),
        Some(Outcome::Dropped) => ("It hung up on purpose before it had decided anything.", "#about-outage"),
        Some(Outcome::ReplyLost) => {
            ("It rotated, then lost its answer on purpose: nobody has the new token.", "#about-lost")
        }
        Some(Outcome::ReusedOk(_)) => ("It was asked again with the same token, and answered again.", "#about-lost"),
        Some(Outcome::RejectedRevoked) => ("It refused a refresh token whose family is revoked.", "#about-theft"),
        Some(Outcome::ReuseDetectedFamilyRevoked) => {
            ("A spent refresh token was presented. It revoked the whole family.", "#about-theft")
        }
        _ => return Some((format!("At the provider: {}", event.text), "#about-session")),
    };
    Some((format!("At the provider: {sentence}"), about))
}

/// The line under the Refresh Token button when the tab had an old cookie and was given a generation that was there.
pub(super) fn given(old: u64, newest: u64) -> ActionView {
    ActionView {
        name: "refresh".into(),
        state: Progress::Held,
        text: format!(
            "No redemption: this tab held a cookie of generation {old} and was given generation {newest}, which was there already. Press again for a new one."
        ),
        percent: Some(100),
    }
}

/// The line under the Refresh Token button, if this was its doing.
pub(super) fn pressed(seen: &Renewal) -> Option<ActionView> {
    let generation = seen.generation.0;
    let (state, text) = match (seen.reason, &seen.outcome) {
        (RenewalReason::OnDemand, RenewalOutcome::Renewed) => {
            let took = time(seen.provider_time);
            (Progress::Held, format!("1 redemption, generation {generation}, {took} at the provider."))
        }
        (RenewalReason::OnDemand, RenewalOutcome::Kept { why }) => {
            (Progress::Failed, format!("No new tokens this time: {} The session stays.", kept(why)))
        }
        (RenewalReason::OnDemand, _) => (Progress::Lost, format!("The provider refused. {LAST_TOKEN}")),
        _ => return None,
    };
    Some(ActionView { name: "refresh".into(), state, text, percent: Some(100) })
}

/// What a refusal means for the user.
pub(super) const LAST_TOKEN: &str = "What is left is the access token; when it has run out you sign in again.";

/// The sentence of a session's end.
pub(super) fn end(reason: EndReason) -> &'static str {
    match reason {
        EndReason::SignedOut => "Signed out. The session is over on every tab, and its refresh token is revoked.",
        EndReason::Refused => {
            "The provider refused the refresh token and the access token has run out. Please sign in again."
        }
        EndReason::IdentityChanged => {
            "The provider answered a renewal with somebody else’s tokens. Please sign in again."
        }
        EndReason::Callback => "The app ended the session. Please sign in again.",
        EndReason::SecretGone => "The session lies under a secret that is gone. Please sign in again.",
        EndReason::Elsewhere => "The session was ended at another replica. Please sign in again.",
        EndReason::ProviderSignedOut => "Signed out at the provider, which said so. Please sign in again.",
        EndReason::OperatorEnded => "An operator ended the session. Please sign in again.",
        EndReason::TooOld => "The session has reached its absolute age. Please sign in again.",
        EndReason::Unproven => "The session could not be proven at the provider. Please sign in again.",
    }
}

/// Marks on a bead that one more old cookie was answered with its generation.
pub(super) fn rescued(bead: &mut Bead) {
    let number = |text: &str| text.parse::<usize>().unwrap_or(0);
    let (saved, waited) = (number(&bead.saved) + 1, number(&bead.waited));
    bead.saved = count(saved);
    bead.badge = badge(waited, saved);
}

/// The sentence about an old cookie that came back.
pub(super) fn rescue(old: u64, newest: u64) -> String {
    format!(
        "A cookie of generation {old} came back with a spent refresh token. It was not sent; the request went on with generation {newest}."
    )
}

/// `0.8 ms`, `12 ms`, `2.01 s`.
pub(super) fn time(duration: Duration) -> String {
    let micros = duration.as_micros();
    match micros {
        0..950 => format!("0.{} ms", (micros + 50) / 100),
        950..999_500 => format!("{} ms", (micros + 500) / 1000),
        _ => format!("{:.2} s", duration.as_secs_f64()),
    }
}

/// `no requests`, `1 request`, `50 requests`.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    match number {
        0 => format!("no {many}"),
        1 => format!("1 {one}"),
        more => format!("{more} {many}"),
    }
}

fn opening(reason: RenewalReason, generation: u64) -> String {
    match reason {
        RenewalReason::AheadOfTime => format!("Renewed ahead of time to generation {generation}."),
        RenewalReason::Expired => {
            format!("The access token had expired; renewed on demand to generation {generation}.")
        }
        RenewalReason::OnDemand => format!("Renewed by the button to generation {generation}."),
        RenewalReason::Doubt => format!("A lost answer was asked for once more; renewed to generation {generation}."),
        RenewalReason::Audience => format!("A token for another audience was fetched with generation {generation}."),
        RenewalReason::Unauthorized => {
            format!("The app answered 401; renewed to generation {generation} and asked again.")
        }
        RenewalReason::Epoch => format!("Proven at the provider in a new epoch: generation {generation}."),
    }
}

fn waiting(reason: RenewalReason, waiters: usize) -> String {
    match (waiters, reason) {
        (0, RenewalReason::AheadOfTime) => "Nobody waited.".into(),
        (0, _) => "Nobody else waited.".into(),
        (n, _) => format!("{} waited for this one redemption.", counted(n as u64, "request", "requests")),
    }
}

fn why(reason: RenewalReason) -> &'static str {
    match reason {
        RenewalReason::AheadOfTime => "ahead of time",
        RenewalReason::Expired => "on demand",
        RenewalReason::OnDemand => "button",
        RenewalReason::Audience => "another audience",
        RenewalReason::Doubt => "a lost answer",
        RenewalReason::Unauthorized => "the app said 401",
        RenewalReason::Epoch => "a new epoch",
    }
}

fn kind(reason: RenewalReason) -> &'static str {
    match reason {
        RenewalReason::AheadOfTime => "ahead",
        RenewalReason::Expired | RenewalReason::Audience | RenewalReason::Doubt => "demand",
        RenewalReason::OnDemand => "manual",
        RenewalReason::Unauthorized => "unauthorized",
        RenewalReason::Epoch => "demand",
    }
}

fn kept(code: &str) -> &'static str {
    match code {
        "not_sent" => "the provider could not be reached, so nothing was spent.",
        "not_processed" => "the provider answered that it cannot serve just now, so nothing was spent.",
        "misconfigured" => "the provider refuses our client.",
        "in_doubt" => "the answer was lost on the way; the token is asked for again where the provider allows it.",
        "store_unavailable" => "the store does not answer.",
        "audience_refused" => "the provider gives no token for this audience.",
        "superseded" => "another request had renewed already.",
        _ => "it is too early for another attempt.",
    }
}

fn count(number: usize) -> String {
    match number {
        0 => "none".into(),
        n => n.to_string(),
    }
}

fn badge(waiters: usize, saved: usize) -> String {
    match waiters + saved {
        0 => String::new(),
        n => format!("+{n}"),
    }
}

#[cfg(test)]
mod tests {
    use perennial::Timestamp;

    use super::*;

    #[test]
    fn times_keep_the_digits_that_matter() {
        for (micros, words) in
            [(0, "0.0 ms"), (840, "0.8 ms"), (12_300, "12 ms"), (999_400, "999 ms"), (2_012_000, "2.01 s")]
        {
            assert_eq!(time(Duration::from_micros(micros)), words);
        }
    }

    fn seen(outcome: RenewalOutcome) -> Renewal {
        Renewal {
            provider: "dev".into(),
            attempt: "a1b2c3".into(),
            at: Timestamp::from_unix_millis(7),
            session: "s".into(),
            generation: serde_json::from_str("3").expect("a generation is a number"),
            reason: RenewalReason::Expired,
            resend: None,
            provider_time: Duration::from_millis(9),
            waiters: 49,
            outcome,
            condition: perennial::Condition::Fresh,
            access_token_fingerprint: None,
            issued_at: None,
            expires_at: None,
            due_at: None,
        }
    }

    #[test]
    fn a_renewal_that_changed_nothing_leaves_no_bead_and_damage_a_broken_one() {
        let (bead, _) = renewal(&seen(RenewalOutcome::Kept { why: "not_processed" }));
        assert!(bead.is_none());
        let (bead, words) = renewal(&seen(RenewalOutcome::Renewed));
        assert_eq!(bead.expect("a renewal has a bead").badge, "+49");
        assert!(words.ends_with("The provider took 9 ms. 49 requests waited for this one redemption."), "{words}");
        let (bead, _) = renewal(&seen(RenewalOutcome::Refused));
        assert_eq!(bead.expect("damage has a bead").kind, "broken");
    }

    #[test]
    fn a_rescue_adds_to_those_who_waited() {
        let (bead, _) = renewal(&seen(RenewalOutcome::Renewed));
        let mut bead = bead.expect("a renewal has a bead");
        rescued(&mut bead);
        rescued(&mut bead);
        assert_eq!((bead.saved.as_str(), bead.badge.as_str()), ("2", "+51"));
    }
}
