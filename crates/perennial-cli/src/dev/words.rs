//! The plain sentences of the page: what was seen, told in the order in which a reader asks.

use std::time::Duration;

use super::seen::{Ending, Reason, RenewalSeen};
use super::view::{Bead, Millis};

/// The bead and the sentence of a sign-in.
pub(super) fn signed_in(at: Millis, generation: u64, name: &str) -> (Bead, String) {
    let story = format!("{name} signed in and got the first pair of tokens.");
    let bead = Bead {
        key: format!("g{generation}"),
        kind: "signed-in".into(),
        number: generation.to_string(),
        at,
        why: "sign-in".into(),
        took: String::new(),
        waited: "none".into(),
        saved: "none".into(),
        badge: String::new(),
        label: format!("Generation {generation}: {story}"),
        story: story.clone(),
        icon: String::new(),
    };
    (bead, story)
}

/// The bead and the sentence of a renewal. An attempt that changed nothing leaves no bead.
pub(super) fn renewal(seen: &RenewalSeen) -> (Option<Bead>, String) {
    let took = time(seen.provider_time);
    match &seen.ending {
        Ending::Renewed(_) => {
            let story = format!(
                "{} The provider took {took}. {}",
                opening(seen.reason, seen.generation),
                waiting(seen.reason, seen.waiters)
            );
            let bead = Bead {
                key: format!("g{}", seen.generation),
                kind: kind(seen.reason).into(),
                number: seen.generation.to_string(),
                at: seen.at,
                why: why(seen.reason).into(),
                took,
                waited: count(seen.waiters),
                saved: "none".into(),
                badge: badge(seen.waiters, 0),
                label: format!("Generation {}: {story}", seen.generation),
                story: story.clone(),
                icon: String::new(),
            };
            (Some(bead), story)
        }
        Ending::Kept(why) => (None, format!("A renewal did not succeed: {why} The session stays.")),
        Ending::Ended(reason) => {
            let story = format!("The refresh token of generation {} is worthless: {reason}", seen.generation);
            let bead = Bead {
                key: format!("x{}", seen.at),
                kind: "broken".into(),
                number: "lost".into(),
                at: seen.at,
                why: why(seen.reason).into(),
                took,
                waited: count(seen.waiters),
                saved: "none".into(),
                badge: String::new(),
                label: format!("Broken: {story}"),
                story: story.clone(),
                icon: String::new(),
            };
            (Some(bead), story)
        }
    }
}

/// Marks on a bead that one more old cookie was answered with its generation.
pub(super) fn rescued(bead: &mut Bead, saved: u32, waited: u32) {
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

/// `1 request`, `50 requests`.
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    match number {
        0 => format!("no {many}"),
        1 => format!("1 {one}"),
        more => format!("{more} {many}"),
    }
}

fn opening(reason: Reason, generation: u64) -> String {
    match reason {
        Reason::AheadOfTime => format!("Renewed ahead of time to generation {generation}."),
        Reason::Manual => format!("Renewed by the button to generation {generation}."),
        Reason::OnDemand => format!("The access token had expired; renewed on demand to generation {generation}."),
        Reason::Unauthorized => format!("The app answered 401; renewed to generation {generation} and asked again."),
    }
}

fn waiting(reason: Reason, waiters: u32) -> String {
    match (waiters, reason) {
        (0, Reason::AheadOfTime) => "Nobody waited.".into(),
        (0, _) => "Nobody else waited.".into(),
        (n, _) => format!("{} waited for this one redemption.", counted(n.into(), "request", "requests")),
    }
}

fn why(reason: Reason) -> &'static str {
    match reason {
        Reason::AheadOfTime => "ahead of time",
        Reason::Manual => "button",
        Reason::OnDemand => "on demand",
        Reason::Unauthorized => "the app said 401",
    }
}

fn kind(reason: Reason) -> &'static str {
    match reason {
        Reason::AheadOfTime => "ahead",
        Reason::Manual => "manual",
        Reason::OnDemand => "demand",
        Reason::Unauthorized => "unauthorized",
    }
}

fn count(number: u32) -> String {
    match number {
        0 => "none".into(),
        n => n.to_string(),
    }
}

fn badge(waiters: u32, saved: u32) -> String {
    match waiters + saved {
        0 => String::new(),
        n => format!("+{n}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev::seen::Minted;

    #[test]
    fn times_keep_the_digits_that_matter() {
        for (micros, words) in [
            (0, "0.0 ms"),
            (840, "0.8 ms"),
            (12_300, "12 ms"),
            (999_400, "999 ms"),
            (2_012_000, "2.01 s"),
        ] {
            assert_eq!(time(Duration::from_micros(micros)), words);
        }
    }

    #[test]
    fn a_renewal_that_changed_nothing_leaves_no_bead() {
        let seen = |ending| RenewalSeen {
            at: 7,
            generation: 3,
            reason: Reason::OnDemand,
            ending,
            provider_time: Duration::from_millis(9),
            waiters: 49,
        };
        let (bead, _) = renewal(&seen(Ending::Kept("the provider answered 503.".into())));
        assert!(bead.is_none());
        let (bead, words) = renewal(&seen(Ending::Renewed(Minted::default())));
        assert_eq!(bead.expect("a renewal has a bead").badge, "+49");
        assert_eq!(
            words,
            "The access token had expired; renewed on demand to generation 3. The provider took 9 ms. 49 requests waited for this one redemption."
        );
        let (bead, _) = renewal(&seen(Ending::Ended("revoked.".into())));
        assert_eq!(bead.expect("damage has a bead").kind, "broken");
    }
}
