//! What happened to a session, kept in its record, so that "why was this user signed out?" has an answer.
//!
//! The entries lie in clear beside the sealed state and survive in the tombstone. They hold times, verdicts and stable codes:
//! never a token, a claim or a provider's free text. They are written within the compare-and-swaps that renewal, sign-in and
//! end make anyway, so that a history costs no write of its own.

use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::session::Generation;

use super::{Attempt, EndReason};

mod entry;
mod lines;

use lines::{Line, Lines};

pub use entry::{Entry, RenewalEntry, RenewalReason, RenewalVerdict, Repeated, What};

/// The last things that happened to a session, oldest first: at most [`HISTORY_ENTRIES`](crate::limits::HISTORY_ENTRIES), in at most
/// [`HISTORY_BYTES`](crate::limits::HISTORY_BYTES).
///
/// Kept as the text that lies in the record and read when somebody asks: a renewal reads and writes its record more than once, and adds
/// an entry without looking at most of the others. What another version of Perennial wrote there is kept as it is, and never makes
/// a record unreadable.
#[derive(Clone, Default)]
pub struct History {
    /// None as long as nothing was noted.
    text: Option<Box<RawValue>>,
    read: OnceLock<Read>,
}

/// What of the text can be understood.
#[derive(Clone, Default)]
struct Read {
    dropped: u32,
    entries: Vec<Entry>,
}

/// How a session was lost whose user did not ask for its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// The refresh token was refused after the answer to an earlier attempt with it was lost.
    RefusedAfterDoubt,
    /// The refresh token was refused although every earlier attempt was answered: the provider ended the grant.
    Refused,
    /// A renewed ID token was about somebody else.
    IdentityChanged,
    /// The newest generation lies sealed under a secret that is no longer configured.
    SecretGone,
}

impl History {
    /// The entries that can be read, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.read().entries.iter()
    }

    /// How many entries had to go for newer ones.
    pub fn dropped(&self) -> u32 {
        self.read().dropped
    }

    /// Whether nothing was ever noted that can be read.
    pub fn is_empty(&self) -> bool {
        self.dropped() == 0 && self.read().entries.is_empty()
    }

    /// Adds `entry`. The outcome of an attempt takes the place of its beginning; failures alike become one entry.
    pub fn note(&mut self, entry: Entry) {
        let mut lines = Lines::of(self.text.as_deref());
        lines.note(entry);
        *self = Self { text: lines.written(), read: OnceLock::new() };
    }

    /// Whether the record has to say nothing of it.
    pub(super) fn is_untold(&self) -> bool {
        self.text.is_none()
    }

    fn read(&self) -> &Read {
        self.read.get_or_init(|| {
            let lines = Lines::of(self.text.as_deref());
            let entries = lines.log.iter().filter_map(Line::entry).collect();
            Read { dropped: lines.gone, entries }
        })
    }

    /// How a session was lost that ends for `reason` at `generation`; `None` where somebody wanted its end.
    pub fn loss(&self, reason: EndReason, generation: Generation) -> Option<Loss> {
        match reason {
            EndReason::Refused if self.doubted(generation) => Some(Loss::RefusedAfterDoubt),
            EndReason::Refused => Some(Loss::Refused),
            EndReason::IdentityChanged => Some(Loss::IdentityChanged),
            EndReason::SecretGone => Some(Loss::SecretGone),
            _ => None,
        }
    }

    /// Whether an answer about the refresh token of `generation` was ever lost.
    pub fn doubted(&self, generation: Generation) -> bool {
        self.entries().filter(|entry| entry.generation == generation).any(|entry| match &entry.what {
            What::Renewal(renewal) => renewal.resend.is_some() || renewal.verdict.leaves_doubt(),
            What::SignedIn | What::Ended(_) => false,
        })
    }

    /// Whether the attempt before `attempt` on the refresh token of `generation` was refused without saying why, too.
    pub fn was_ambiguous_before(&self, attempt: &Attempt, generation: Generation) -> bool {
        let renewals = self.entries().rev().filter(|entry| entry.generation == generation);
        let mut verdicts = renewals.filter_map(|entry| match &entry.what {
            What::Renewal(renewal) if renewal.attempt != attempt.short() => Some(renewal.verdict),
            _ => None,
        });
        verdicts.next() == Some(RenewalVerdict::Ambiguous)
    }
}

impl PartialEq for History {
    fn eq(&self, other: &Self) -> bool {
        self.text.as_deref().map(RawValue::get) == other.text.as_deref().map(RawValue::get)
    }
}

impl Eq for History {}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.as_deref().map_or("History()", RawValue::get))
    }
}

impl Serialize for History {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.text.serialize(serializer)
    }
}

/// Whatever stands there, a record stays readable: what cannot be understood is as good as no history.
impl<'de> Deserialize<'de> for History {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { text: Some(Box::deserialize(deserializer)?), read: OnceLock::new() })
    }
}

impl Loss {
    /// Its stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::RefusedAfterDoubt => "refused_after_doubt",
            Self::Refused => "refused",
            Self::IdentityChanged => "identity_changed",
            Self::SecretGone => "secret_gone",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::*;
    use super::super::{Phase, Record, ResendReason};
    use super::lines::plain;
    use super::*;
    use crate::limits::{HISTORY_BYTES, HISTORY_ENTRIES, HISTORY_WORD_CHARS};

    fn attempt(byte: u8, seconds: i64, generation: u64, verdict: RenewalVerdict) -> Entry {
        let renewal =
            RenewalEntry::begun(&intent(byte, seconds, seconds, 0), RenewalReason::Expired, Some("replica-a"));
        let what = What::Renewal(RenewalEntry { verdict, ..renewal });
        Entry {
            at: at(seconds),
            generation: Generation(generation),
            expires_at: None,
            stale_cookies: 0,
            fork: None,
            what,
        }
    }

    fn signed_in() -> Entry {
        let what = What::SignedIn;
        Entry { at: at(0), generation: Generation(0), expires_at: Some(at(300)), stale_cookies: 0, fork: None, what }
    }

    fn verdicts(history: &History) -> Vec<&'static str> {
        let told = |entry: &Entry| match &entry.what {
            What::SignedIn => "signed_in",
            What::Renewal(renewal) => renewal.verdict.code(),
            What::Ended(_) => "ended",
        };
        history.entries().map(told).collect()
    }

    fn of(entries: impl IntoIterator<Item = Entry>) -> History {
        let mut history = History::default();
        entries.into_iter().for_each(|entry| history.note(entry));
        history
    }

    #[test]
    fn an_outcome_takes_the_place_of_its_beginning_and_a_lost_beginning_stays() {
        use RenewalVerdict::*;
        let history = of([
            signed_in(),
            Entry { stale_cookies: 2, ..attempt(1, 10, 0, Begun) },
            Entry { stale_cookies: 1, ..attempt(1, 11, 1, Renewed) },
            attempt(2, 20, 1, Begun),
            attempt(3, 50, 1, Begun),
            attempt(3, 51, 1, Refused),
        ]);
        assert_eq!(verdicts(&history), ["signed_in", "renewed", "begun", "refused"]);
        assert_eq!(history.entries().nth(1).map(|entry| entry.stale_cookies), Some(3));
        assert!(history.doubted(Generation(1)) && !history.doubted(Generation(0)));
    }

    #[test]
    fn an_outage_is_one_entry_and_does_not_crowd_out_the_rest() {
        use RenewalVerdict::*;
        let outage = (1..=100).flat_map(|n| [attempt(n, i64::from(n), 0, Begun), attempt(n, i64::from(n), 0, NotSent)]);
        let history = of([signed_in()].into_iter().chain(outage));
        assert_eq!(verdicts(&history), ["signed_in", "not_sent"]);
        let What::Renewal(told) = &history.entries().last().expect("two").what else { panic!("a renewal") };
        assert_eq!(told.repeated, Some(Repeated { since: at(1), times: 100 }));
        assert_eq!(told.attempt, name(100).short());
        // Renewals that went well, another generation and another failure are told apart.
        let apart = of([
            attempt(1, 1, 0, NotSent),
            attempt(2, 2, 0, InDoubt),
            attempt(3, 3, 1, Renewed),
            attempt(4, 4, 2, Renewed),
            attempt(5, 5, 2, NotSent),
            attempt(6, 6, 3, NotSent),
        ]);
        assert_eq!(verdicts(&apart), ["not_sent", "in_doubt", "renewed", "renewed", "not_sent", "not_sent"]);
    }

    #[test]
    fn a_second_refusal_without_a_reason_is_one_that_follows_the_first() {
        use RenewalVerdict::*;
        for (case, before, expected) in [
            ("the first", vec![signed_in()], false),
            ("after an outage", vec![attempt(1, 1, 0, NotSent), attempt(2, 2, 0, InDoubt)], false),
            ("the second", vec![attempt(1, 1, 0, Ambiguous)], true),
            ("with an outage between", vec![attempt(1, 1, 0, Ambiguous), attempt(2, 2, 0, NotSent)], false),
            ("of another generation", vec![attempt(1, 1, 0, Ambiguous), attempt(2, 2, 1, Renewed)], false),
        ] {
            let generation = before.last().map_or(Generation(0), |entry| entry.generation);
            let history = of(before.into_iter().chain([attempt(9, 9, generation.0, Begun)]));
            assert_eq!(history.was_ambiguous_before(&name(9), generation), expected, "{case}");
        }
    }

    #[test]
    fn the_oldest_goes_and_the_sign_in_stays() {
        let renewed = |n: u64| attempt(n as u8, n as i64, n, RenewalVerdict::Renewed);
        let history = of([signed_in()].into_iter().chain((1..=200).map(renewed)));
        let generations: Vec<u64> = history.entries().map(|entry| entry.generation.0).collect();
        assert_eq!((history.entries().count(), history.dropped()), (HISTORY_ENTRIES, 185));
        assert_eq!((generations[0], generations[1], generations[15]), (0, 186, 200));
    }

    #[test]
    fn the_longest_entries_stay_within_their_bytes() {
        let long = "x".repeat(5_000);
        let wordy = |n: u64| {
            let mut entry = attempt(n as u8, i64::MAX / 1_000, n + u64::MAX / 2, RenewalVerdict::NotProcessed);
            entry.expires_at = Some(entry.at);
            entry.stale_cookies = u32::MAX;
            let What::Renewal(renewal) = &mut entry.what else { panic!("a renewal") };
            (renewal.error, renewal.replica) = (Some(long.clone()), Some(long.clone()));
            renewal.resend = Some(ResendReason::Introspection);
            (renewal.status, renewal.waiters, renewal.provider_millis) = (Some(599), u32::MAX, u32::MAX);
            entry
        };
        let history = of((0..40).map(wordy));
        let bytes = serde_json::to_vec(&history).expect("JSON").len();
        assert!(
            bytes <= HISTORY_BYTES && history.entries().count() >= 5,
            "{bytes} bytes, {}",
            history.entries().count()
        );
        assert_eq!(history.entries().count() as u32 + history.dropped(), 40);
    }

    #[test]
    fn words_from_outside_are_cut_to_plain_ones() {
        for (given, kept) in [
            ("invalid_grant", "invalid_grant"),
            ("two words \"and\" a quote\n", "twowordsandaquote"),
            ("ünïcode\u{202e}", "ncode"),
        ] {
            assert_eq!(plain(given), kept);
        }
        assert_eq!(plain(&"y".repeat(100)).len(), HISTORY_WORD_CHARS);
    }

    /// A replica of a later version writes a verdict that this one has never heard of. The record must open all the same, and
    /// what the other wrote must still be there when this one has written.
    #[test]
    fn an_entry_of_another_version_makes_no_record_unreadable_and_is_not_lost() {
        let mut record = record(3, Phase::IDLE);
        record.history = of([signed_in(), attempt(1, 10, 1, RenewalVerdict::Renewed)]);
        let foreign = String::from_utf8(record.encode()).expect("JSON").replace("\"renewed\"", "\"reborn\"");
        let mut read = Record::decode(foreign.as_bytes()).expect("readable");
        assert_eq!(verdicts(&read.history), ["signed_in"]);
        read.history.note(attempt(2, 20, 2, RenewalVerdict::Renewed));
        let written = String::from_utf8(read.encode()).expect("JSON");
        assert!(written.contains("\"reborn\"") && written.contains("\"renewed\""), "{written}");
        for junk in ["null", "7", "[]", "{\"log\":7,\"gone\":-1}", "{\"log\":[1,null,\"x\"]}"] {
            let text = format!(r#"{{"v":1,"generation":3,"sealed":"","phase":"idle","history":{junk}}}"#);
            let text = text.replace("\"idle\"", r#"{"idle":{"failures":0,"not_before":null}}"#);
            let read = Record::decode(text.as_bytes()).expect("readable");
            assert_eq!(read.history.entries().count(), 0, "{junk}");
        }
    }

    #[test]
    fn a_record_without_a_history_is_read_and_written_as_before() {
        let bytes = record(1, Phase::Refused { at: at(1), claims: None }).encode();
        assert!(!String::from_utf8_lossy(&bytes).contains("history"));
        assert!(Record::decode(&bytes).expect("readable").history.is_empty());
    }

    #[test]
    fn a_loss_is_an_end_nobody_asked_for() {
        use RenewalVerdict::*;
        let answered = of([attempt(1, 1, 4, NotSent), attempt(2, 2, 4, Refused)]);
        let lost = of([attempt(1, 1, 4, InDoubt), attempt(2, 2, 4, Refused)]);
        let crashed = of([attempt(1, 1, 4, Begun), attempt(2, 2, 4, Refused)]);
        let earlier = of([attempt(1, 1, 3, InDoubt), attempt(2, 2, 4, Renewed), attempt(3, 3, 4, Refused)]);
        let mut again = attempt(1, 1, 4, Refused);
        let What::Renewal(renewal) = &mut again.what else { panic!("a renewal") };
        renewal.resend = Some(ResendReason::Window);
        for (case, history, reason, expected) in [
            ("answered", &answered, EndReason::Refused, Some(Loss::Refused)),
            ("lost", &lost, EndReason::Refused, Some(Loss::RefusedAfterDoubt)),
            ("crashed", &crashed, EndReason::Refused, Some(Loss::RefusedAfterDoubt)),
            ("a doubt about an earlier one", &earlier, EndReason::Refused, Some(Loss::Refused)),
            ("sent again", &of([again]), EndReason::Refused, Some(Loss::RefusedAfterDoubt)),
            ("nothing known", &History::default(), EndReason::Refused, Some(Loss::Refused)),
            ("another identity", &lost, EndReason::IdentityChanged, Some(Loss::IdentityChanged)),
            ("secret gone", &lost, EndReason::SecretGone, Some(Loss::SecretGone)),
            ("signed out", &lost, EndReason::SignedOut, None),
            ("by the callback", &lost, EndReason::Callback, None),
            ("old", &lost, EndReason::TooOld, None),
        ] {
            assert_eq!(history.loss(reason, Generation(4)), expected, "{case}");
        }
    }
}
