//! A refresh token that may be spent: what is known about it, what can be asked, and when it may be sent again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::provider::{DoubtRules, Introspection, LastResort, Probe, RefreshClass};
use crate::time::Timestamp;

use super::{Circumstances, Intent, later};

/// What is known of a refresh token that may be spent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Doubt {
    /// When the refresh token of this generation was first sent: the earliest it can have been spent.
    pub first_sent: Timestamp,
    /// Until then a lost request may still reach the provider.
    pub drained_at: Timestamp,
    /// Attempts so far.
    pub failures: u32,
    /// The earliest next attempt.
    pub not_before: Timestamp,
    /// How the answer to the last attempt got lost.
    #[serde(default)]
    pub lost: Lost,
    /// Why the last attempt sent the token again; `None` when it was the first to send it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resend: Option<ResendReason>,
    /// What the provider told about the token since that attempt.
    #[serde(default, skip_serializing_if = "Evidence::is_none")]
    pub evidence: Evidence,
}

/// How an answer got lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lost {
    /// There was an answer, and it said nothing about the token: 500, or tokens nobody can read.
    Answered,
    /// The connection broke.
    Broken,
    /// Our process died.
    Crashed,
    /// Time ran out: the provider is slow, or something between us holds the request back.
    #[default]
    TimedOut,
}

/// Why a refresh token that may be spent was sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResendReason {
    /// The provider takes the same token again.
    Harmless,
    /// Inside the provider's overlap or idempotent window.
    Window,
    /// Nothing is known of the provider: once, soon after a crash or a broken connection, as if it had an overlap.
    EarlyRetry,
    /// The provider says that the token is unspent.
    Introspection,
    /// The access token is alive at a provider where a renewal kills it.
    Probe,
    /// Nothing is left to lose.
    LastResort,
}

/// What the provider told about the refresh token in doubt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Nothing yet.
    #[default]
    None,
    /// That it is spent. Providers err here, so that this ends no session by itself.
    Spent,
}

/// What can be asked about a refresh token without spending it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// RFC 7662: is the refresh token active?
    Introspection(Introspection),
    /// Does UserInfo take the access token that came with it?
    Probe,
}

/// The answer to a [`Question`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Told {
    /// The refresh token is unspent.
    Unspent,
    /// It is spent.
    Spent,
    /// The question got no answer that says either.
    Nothing,
}

/// What is to be done about a doubt.
pub(super) enum Resolved {
    SendAgain(ResendReason),
    NotBefore(Timestamp),
    Ask(Question),
    /// Keep what was learnt, then look again.
    Note(Doubt),
    Reauthenticate,
}

impl Doubt {
    /// The doubt that an intent leaves behind whose writer is gone.
    pub(super) fn of_crash(lost: &Intent, drain: Duration) -> Self {
        Self {
            first_sent: lost.first_sent,
            drained_at: later(lost.drained_at, lost.lease_until + drain),
            failures: lost.failures,
            not_before: lost.started,
            lost: Lost::Crashed,
            resend: lost.resend,
            evidence: Evidence::None,
        }
    }
}

impl ResendReason {
    /// Its stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Harmless => "harmless",
            Self::Window => "window",
            Self::EarlyRetry => "early_retry",
            Self::Introspection => "introspection",
            Self::Probe => "probe",
            Self::LastResort => "last_resort",
        }
    }
}

impl Evidence {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl Question {
    /// Why a token is sent again when this was answered with [`Told::Unspent`].
    fn vindicates(self) -> ResendReason {
        match self {
            Self::Introspection(_) => ResendReason::Introspection,
            Self::Probe => ResendReason::Probe,
        }
    }
}

/// Whether a refresh token that may be spent may be presented again.
///
/// At once where the class makes it harmless. Else nothing is sent before a lost request can no longer arrive: it would
/// arrive as a reuse. Then the provider is asked, if it can be, and believed when it says that the token is unspent.
/// When it cannot be asked, or says that the token is spent, the access token is used up first, and then comes the last
/// resort.
pub(super) fn resolve(at: &Circumstances, doubt: &Doubt) -> Resolved {
    if let Some(reason) = harmless(at, doubt) {
        return Resolved::SendAgain(reason);
    }
    let dead = at.access_token_expires_at.is_some_and(|dies| at.now >= dies);
    let askable = |asked| next_question(&at.rules, doubt, dead, asked);
    let drained_at = doubt.drained_at + at.replicas.clock_skew();
    if at.now < drained_at {
        let nothing_to_ask = askable(None).is_none();
        let dies = at.access_token_expires_at.filter(|_| nothing_to_ask);
        return Resolved::NotBefore(later(dies, drained_at));
    }
    let retries = at.rules.last_resort == LastResort::Retry;
    match at.told {
        Some((question, Told::Unspent)) => return Resolved::SendAgain(question.vindicates()),
        Some((_, Told::Spent)) => return Resolved::Note(Doubt { evidence: Evidence::Spent, ..doubt.clone() }),
        Some((question, Told::Nothing)) => match askable(Some(question)) {
            Some(next) => return Resolved::Ask(next),
            None if !dead => return Resolved::Note(Doubt { not_before: at.now + QUESTION_PAUSE, ..doubt.clone() }),
            None => {}
        },
        // Of a dead access token nothing is lost by the last try, whatever the provider would say.
        None if dead && retries => {}
        None => {
            if let Some(first) = askable(None) {
                return Resolved::Ask(first);
            }
        }
    }
    match at.access_token_expires_at {
        Some(dies) if at.now < dies => Resolved::NotBefore(dies),
        _ if retries => Resolved::SendAgain(ResendReason::LastResort),
        _ => Resolved::Reauthenticate,
    }
}

/// Why the token may be sent again at once, whatever a request that got lost may still do.
fn harmless(at: &Circumstances, doubt: &Doubt) -> Option<ResendReason> {
    // A quarter of a short window at most: beyond it, a session that could have been saved is the likelier loss.
    let skew = |window: Duration| at.replicas.clock_skew().min(window / 4);
    let open = |window| at.now + skew(window) + WINDOW_MARGIN < doubt.first_sent + window;
    match at.rules.class {
        RefreshClass::Reusable | RefreshClass::Acknowledged => Some(ResendReason::Harmless),
        RefreshClass::Overlap(window) | RefreshClass::Idempotent(window) => {
            open(window).then_some(ResendReason::Window)
        }
        // Most providers nobody has described have an overlap of some kind, and it is short. A timeout says that the
        // provider is slow: then a second request would only meet the first.
        RefreshClass::Unknown => {
            let first = doubt.resend.is_none() && matches!(doubt.lost, Lost::Broken | Lost::Crashed);
            (first && open(EARLY_RETRY)).then_some(ResendReason::EarlyRetry)
        }
        RefreshClass::SingleUse | RefreshClass::Family => None,
    }
}

/// What to ask after `asked` came to nothing: introspection, which asks about the refresh token itself, then the probe,
/// which a dead access token cannot answer.
fn next_question(rules: &DoubtRules, doubt: &Doubt, dead: bool, asked: Option<Question>) -> Option<Question> {
    if doubt.evidence == Evidence::Spent {
        return None;
    }
    let probe = (rules.probe == Probe::UserInfo && !dead).then_some(Question::Probe);
    match (asked, rules.introspection) {
        (Some(Question::Probe), _) => None,
        (Some(Question::Introspection(_)), _) | (None, Introspection::None) => probe,
        (None, how) => Some(Question::Introspection(how)),
    }
}

/// Kept back from a window for the way to the provider.
const WINDOW_MARGIN: Duration = Duration::from_millis(500);

/// The overlap an unknown provider is credited with, once.
pub(super) const EARLY_RETRY: Duration = Duration::from_secs(10);

/// A question that got no answer is not asked again for this long: whoever cannot renew may well be unable to answer.
const QUESTION_PAUSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::super::fixtures::*;
    use super::super::{Phase, Plan, Replicas, plan};
    use super::*;

    const TEN: Duration = Duration::from_secs(10);

    /// First sent at 100, drained at 140.
    fn doubt() -> Doubt {
        Doubt {
            first_sent: at(100),
            drained_at: at(140),
            failures: 1,
            not_before: at(100),
            lost: Lost::TimedOut,
            resend: None,
            evidence: Evidence::None,
        }
    }

    fn rules(class: RefreshClass) -> DoubtRules {
        DoubtRules::of_class(class)
    }

    fn asking() -> DoubtRules {
        DoubtRules { introspection: Introspection::WithHint, probe: Probe::UserInfo, ..rules(RefreshClass::Family) }
    }

    const INTROSPECT: Question = Question::Introspection(Introspection::WithHint);

    fn planned(rules: DoubtRules, doubt: &Doubt, now: i64, told: Option<(Question, Told)>) -> Plan {
        let circumstances = Circumstances {
            now: at(now),
            rules,
            access_token_expires_at: Some(at(300)),
            lease: Duration::from_secs(25),
            replicas: Replicas::One,
            told,
        };
        plan(Some(&Phase::InDoubt(doubt.clone())), name(9), &circumstances)
    }

    /// What a plan comes to, without the parts that are alike in all rows.
    fn gist(plan: Plan) -> String {
        match plan {
            Plan::Call(intent) => format!("send: {:?}", intent.resend.expect("a re-send says why")),
            Plan::Hold(until) => format!("hold until {}", until.unix_seconds()),
            Plan::Ask(question) => format!("ask: {question:?}"),
            Plan::Note(Phase::InDoubt(doubt)) if doubt.evidence == Evidence::Spent => "note: spent".into(),
            Plan::Note(Phase::InDoubt(doubt)) => format!("note: not before {}", doubt.not_before.unix_seconds()),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn every_row_of_the_resolver() {
        use LastResort::Reauthenticate;
        let introspecting = DoubtRules { probe: Probe::None, ..asking() };
        let probing = DoubtRules { introspection: Introspection::None, ..asking() };
        let unhinted = DoubtRules { introspection: Introspection::WithoutHint, ..introspecting };
        let stern = DoubtRules { last_resort: Reauthenticate, ..asking() };
        let stern_and_mute = DoubtRules { last_resort: Reauthenticate, ..rules(RefreshClass::Family) };
        let spent = Doubt { evidence: Evidence::Spent, ..doubt() };
        let broken = Doubt { lost: Lost::Broken, ..doubt() };
        let resent = Doubt { resend: Some(ResendReason::EarlyRetry), ..broken.clone() };
        let answered = Doubt { lost: Lost::Answered, drained_at: at(100), ..doubt() };
        let windowed = DoubtRules { class: RefreshClass::Overlap(TEN), ..asking() };
        for (row, rules, doubt, now, told, expected) in [
            ("harmless", rules(RefreshClass::Reusable), doubt(), 101, None, "send: Harmless"),
            ("acknowledged", rules(RefreshClass::Acknowledged), doubt(), 101, None, "send: Harmless"),
            ("window", rules(RefreshClass::Overlap(TEN)), doubt(), 109, None, "send: Window"),
            ("idempotent", rules(RefreshClass::Idempotent(TEN)), doubt(), 109, None, "send: Window"),
            ("window, before any question", windowed, doubt(), 109, None, "send: Window"),
            ("window over, then the questions", windowed, doubt(), 110, None, "hold until 140"),
            ("window over and drained", windowed, doubt(), 140, None, "ask: Introspection(WithHint)"),
            // Nothing is known of the provider.
            ("unknown, reset", rules(RefreshClass::Unknown), broken.clone(), 105, None, "send: EarlyRetry"),
            ("unknown, only once", rules(RefreshClass::Unknown), resent, 105, None, "hold until 300"),
            ("unknown, too late", rules(RefreshClass::Unknown), broken.clone(), 110, None, "hold until 300"),
            ("unknown, slow", rules(RefreshClass::Unknown), doubt(), 105, None, "hold until 300"),
            ("unknown, 500", rules(RefreshClass::Unknown), answered, 105, None, "hold until 300"),
            ("strict, reset", rules(RefreshClass::SingleUse), broken, 105, None, "hold until 300"),
            // Nothing is asked, and nothing sent, before a lost request has had its time.
            ("introspection, draining", introspecting, doubt(), 139, None, "hold until 140"),
            ("introspection", introspecting, doubt(), 140, None, "ask: Introspection(WithHint)"),
            ("no hint", unhinted, doubt(), 140, None, "ask: Introspection(WithoutHint)"),
            ("active", introspecting, doubt(), 141, Some((INTROSPECT, Told::Unspent)), "send: Introspection"),
            ("active, draining", introspecting, doubt(), 139, Some((INTROSPECT, Told::Unspent)), "hold until 140"),
            ("not active", introspecting, doubt(), 141, Some((INTROSPECT, Told::Spent)), "note: spent"),
            ("silence", introspecting, doubt(), 141, Some((INTROSPECT, Told::Nothing)), "note: not before 146"),
            ("silence, then the probe", asking(), doubt(), 141, Some((INTROSPECT, Told::Nothing)), "ask: Probe"),
            ("probe", probing, doubt(), 141, None, "ask: Probe"),
            ("alive", probing, doubt(), 141, Some((Question::Probe, Told::Unspent)), "send: Probe"),
            ("killed", probing, doubt(), 141, Some((Question::Probe, Told::Spent)), "note: spent"),
            ("both silent", asking(), doubt(), 141, Some((Question::Probe, Told::Nothing)), "note: not before 146"),
            ("spent: not asked again", asking(), spent.clone(), 141, None, "hold until 300"),
            // The access token has died.
            ("last resort", rules(RefreshClass::Family), doubt(), 300, None, "send: LastResort"),
            ("weak evidence", asking(), spent.clone(), 300, None, "send: LastResort"),
            ("dead, no question matters", asking(), doubt(), 300, None, "send: LastResort"),
            ("stern, alive", stern_and_mute, doubt(), 299, None, "hold until 300"),
            ("stern", stern_and_mute, doubt(), 300, None, "Reauthenticate"),
            ("stern, but asks first", stern, doubt(), 300, None, "ask: Introspection(WithHint)"),
            ("stern, active", stern, doubt(), 300, Some((INTROSPECT, Told::Unspent)), "send: Introspection"),
            ("stern, silence", stern, doubt(), 300, Some((INTROSPECT, Told::Nothing)), "Reauthenticate"),
            ("stern, spent", stern, spent, 300, None, "Reauthenticate"),
        ] {
            assert_eq!(gist(planned(rules, &doubt, now, told)), expected, "{row}");
        }
    }

    #[test]
    fn a_request_lost_late_is_drained_before_the_last_resort_too() {
        let late = Doubt { drained_at: at(330), ..doubt() };
        for last_resort in [LastResort::Retry, LastResort::Reauthenticate] {
            let rules = DoubtRules { last_resort, ..rules(RefreshClass::Family) };
            assert_eq!(gist(planned(rules, &late, 310, None)), "hold until 330", "{last_resort:?}");
        }
    }

    #[test]
    fn an_access_token_without_expiry_may_be_alive_and_is_asked_about_first() {
        let circumstances = |told| Circumstances {
            now: at(140),
            rules: asking(),
            access_token_expires_at: None,
            lease: TEN,
            replicas: Replicas::One,
            told,
        };
        let phase = Phase::InDoubt(doubt());
        assert_eq!(plan(Some(&phase), name(9), &circumstances(None)), Plan::Ask(INTROSPECT));
        let spent = Phase::InDoubt(Doubt { evidence: Evidence::Spent, ..doubt() });
        assert_eq!(gist(plan(Some(&spent), name(9), &circumstances(None))), "send: LastResort");
    }

    #[test]
    fn doubts_written_before_they_said_how_they_came_about_are_the_strictest() {
        let old = br#"{"first_sent":1,"drained_at":2,"failures":3,"not_before":4}"#;
        let read: Doubt = serde_json::from_slice(old).expect("as it was written");
        assert_eq!((read.lost, read.resend, read.evidence), (Lost::TimedOut, None, Evidence::None));
    }
}
