//! Browsers: who is signed in at the provider itself, and which sign-ins and sign-outs wait for a click.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::authorize::AuthorizationRequest;
use crate::limits::{BROWSERS, TRANSACTION_LIFETIME, TRANSACTIONS};
use crate::random::opaque;

/// Somebody's sign-in at the provider, from which further clients may profit.
#[derive(Clone)]
pub(crate) struct SignIn {
    pub(crate) account: String,
    pub(crate) auth_time: SystemTime,
    pub(crate) sid: String,
}

/// A page that waits for a click; only the browser it was shown in may answer, and once.
pub(crate) struct Waiting {
    browser: String,
    until: SystemTime,
    sequence: u64,
    pub(crate) what: Pending,
}

pub(crate) enum Pending {
    SignIn(Box<AuthorizationRequest>),
    SignOut { location: Option<String> },
}

#[derive(Default)]
pub(crate) struct Visitors {
    signed_in: BTreeMap<String, (u64, SignIn)>,
    waiting: BTreeMap<String, Waiting>,
    sequence: u64,
}

impl Visitors {
    pub(crate) fn sign_in_of(&self, browser: Option<&str>) -> Option<SignIn> {
        self.signed_in.get(browser?).map(|(_, sign_in)| sign_in.clone())
    }

    pub(crate) fn sign_in(&mut self, browser: &str, account: &str, now: SystemTime) -> SignIn {
        let sign_in = SignIn { account: account.to_owned(), auth_time: now, sid: opaque("sid_") };
        self.sequence += 1;
        self.signed_in.insert(browser.to_owned(), (self.sequence, sign_in.clone()));
        drop_oldest(&mut self.signed_in, BROWSERS, |(sequence, _)| *sequence);
        sign_in
    }

    pub(crate) fn sign_out_session(&mut self, sid: &str) {
        self.signed_in.retain(|_, (_, sign_in)| sign_in.sid != sid);
    }

    /// Remembers what waits for a click and returns the name of the waiting page.
    pub(crate) fn wait(&mut self, browser: &str, what: Pending, now: SystemTime) -> String {
        let transaction = opaque("");
        self.sequence += 1;
        let waiting =
            Waiting { browser: browser.to_owned(), until: now + TRANSACTION_LIFETIME, sequence: self.sequence, what };
        self.waiting.insert(transaction.clone(), waiting);
        drop_oldest(&mut self.waiting, TRANSACTIONS, |waiting| waiting.sequence);
        transaction
    }

    /// Takes what waited, if this browser may answer it.
    pub(crate) fn answer(&mut self, transaction: &str, browser: Option<&str>, now: SystemTime) -> Option<Pending> {
        let waiting = self.waiting.get(transaction)?;
        if Some(waiting.browser.as_str()) != browser {
            return None;
        }
        let waiting = self.waiting.remove(transaction)?;
        (now < waiting.until).then_some(waiting.what)
    }
}

fn drop_oldest<T>(map: &mut BTreeMap<String, T>, limit: usize, age: impl Fn(&T) -> u64) {
    while map.len() > limit {
        let oldest = map.iter().min_by_key(|(_, entry)| age(entry)).map(|(key, _)| key.clone());
        let Some(oldest) = oldest else { return };
        map.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_page_is_answered_once_in_time_and_by_its_own_browser() {
        let now = SystemTime::UNIX_EPOCH;
        let mut visitors = Visitors::default();
        let out = || Pending::SignOut { location: None };
        let page = visitors.wait("mine", out(), now);
        assert!(visitors.answer(&page, Some("other"), now).is_none());
        assert!(visitors.answer(&page, None, now).is_none());
        assert!(visitors.answer(&page, Some("mine"), now).is_some());
        assert!(visitors.answer(&page, Some("mine"), now).is_none());
        let page = visitors.wait("mine", out(), now);
        let late = now + TRANSACTION_LIFETIME + Duration::from_secs(1);
        assert!(visitors.answer(&page, Some("mine"), late).is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let mut visitors = Visitors::default();
        for number in 0..BROWSERS + 3 {
            visitors.sign_in(&number.to_string(), "alice", SystemTime::UNIX_EPOCH);
        }
        assert_eq!(visitors.signed_in.len(), BROWSERS);
        assert!(visitors.sign_in_of(Some("0")).is_none());
        assert!(visitors.sign_in_of(Some(&BROWSERS.to_string())).is_some());
    }
}
