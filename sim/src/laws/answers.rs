//! Laws about what browsers and upstreams are given: S3, S4, S5, S7, S9, S10, S12.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::book::{Book, Presented};
use crate::browser::{Answer, Wish};
use crate::fleet::SESSION_COOKIE;
use crate::provider::parsed;
use crate::scenario::Millis;
use crate::world::{Life, World};

/// A request whose answer is judged.
pub(crate) struct Asking<'a> {
    pub(crate) life: &'a Arc<Life>,
    pub(crate) wish: Wish,
    pub(crate) presented: Presented,
    pub(crate) began: Millis,
    /// The generation of the record when the request began.
    pub(crate) newest: Option<u64>,
}

impl World {
    /// What a browser with a session's cookie was answered.
    pub(crate) fn judge_answer(&self, asking: &Asking<'_>, answer: &Answer) {
        let Asking { life, presented, .. } = asking;
        let family = presented.family;
        let unfinished = asking.wish == Wish::SignOut && answer.body["error"] == "sign_out_unfinished";
        if unfinished && !life.store_failed_between(asking.began, self.now()) {
            self.book().accuse("S7", format!("{life} did not finish signing s{family} out, with a store that works"));
        }
        if answer.status == 503 && !unfinished {
            self.book().tally.suspended += 1;
            if answer.retry_after.is_none_or(|seconds| seconds == 0) {
                self.book().accuse("S7", format!("s{family} got 503 without Retry-After from {life}"));
            }
        }
        let over = match asking.wish {
            Wish::Session => answer.status == 200 && answer.body.is_null(),
            Wish::SignOut => false,
            Wish::Data | Wish::Refresh | Wish::Unauthorized(_) => answer.status == 401,
        };
        if over {
            self.told_over(family, &format!("{} from {life}", answer.status));
        } else if answer.clears() && asking.wish != Wish::SignOut {
            self.told_over(family, &format!("its cookie cleared by {life}"));
        }
        let expected: &[u16] = match asking.wish {
            Wish::Session => &[200],
            Wish::Data | Wish::Refresh | Wish::Unauthorized(_) => &[200, 401, 503],
            // It is written down later: there is nothing to be repeated.
            Wish::SignOut if unfinished => &[503],
            Wish::SignOut => &[200, 302],
        };
        if !expected.contains(&answer.status) {
            let sentence = format!("{life} answered s{family} {} to {:?}", answer.status, asking.wish);
            self.book().accuse("S7", sentence);
        }
        self.judge_cookies(asking, &answer.set);
        if let Some(bearer) = answer.body["bearer"].as_str() {
            self.judge_bearer(asking, answer, bearer);
        }
    }

    /// A session cookie that is set belongs to the session that came, and goes forward.
    fn judge_cookies(&self, asking: &Asking<'_>, set: &BTreeMap<String, String>) {
        if !set.keys().any(|name| name.starts_with(SESSION_COOKIE)) {
            return;
        }
        let mut book = self.book();
        let Some(given) = book.presented(set) else { return };
        let Presented { family, generation } = asking.presented;
        if given.family != family {
            book.accuse("S4", format!("a browser of s{family} was given the cookie of s{}", given.family));
        } else if given.generation < generation {
            let sentence = format!("a cookie of s{family} went back from {generation} to {}", given.generation);
            book.accuse("S3", sentence);
        }
    }

    fn judge_bearer(&self, asking: &Asking<'_>, answer: &Answer, bearer: &str) {
        let now = self.now();
        let Presented { family, generation: brought } = asking.presented;
        let (of, access) = parsed("at", bearer).unwrap_or((usize::MAX, 0));
        let generation = answer.body["generation"].as_u64().unwrap_or(0);
        let expires = self.provider().families.get(of).and_then(|books| Some(books.access.get(access)?.expires));
        let late = now > expires.unwrap_or(0) + self.scenario.skew() + 1_000;
        let paused = asking.life.paused_between(asking.began, now);
        let mut book = self.book();
        if of != family || answer.body["sub"] != format!("user-{family}").as_str() {
            let sentence = format!("a request of s{family} got {bearer} of {}", answer.body["sub"]);
            return book.accuse("S4", sentence);
        }
        if generation < brought {
            book.accuse("S3", format!("s{family} came with generation {brought} and was served {generation}"));
        }
        if late && !paused {
            book.accuse("S10", format!("{} handed out access token {access} of s{family}, long dead", asking.life));
        }
        let unkept = !book.unrecorded(family).is_empty() || book.tail_lost;
        let recorded = book.sessions.get(&family).and_then(|facts| facts.generations.get(&generation).copied());
        let other = recorded.filter(|recorded| *recorded != access && !book.are_siblings(family, *recorded, access));
        if other.is_some() && !unkept && !self.was_unkept(&book, family, access) {
            let sentence = format!(
                "generation {generation} of s{family} was handed out as access token {access}, and is {recorded:?}"
            );
            book.accuse("S4", sentence);
        }
        let healthy = !asking.life.store_failed_between(asking.began.saturating_sub(1_000), now) && !paused;
        let quick = now < asking.began + QUICK;
        if self.scenario.at_kill && healthy && quick && asking.newest.is_some_and(|newest| generation < newest) {
            let sentence =
                format!("{} handed out generation {generation} of s{family}, whose access token was dead", asking.life);
            book.accuse("S3", sentence);
        }
        let signed_out = book.sessions.get(&family).and_then(|facts| facts.sign_outs.iter().map(|(_, at)| *at).min());
        let bought = book.redemptions.iter().find(|one| one.family == family && one.access == access);
        if let (Some(signed_out), Some(bought)) = (signed_out, bought)
            && bought.at > signed_out
            && !book.tail_lost
        {
            book.accuse("S5", format!("access token {access} of s{family} was handed out after its sign-out"));
        }
    }

    /// Whether this access token never came into the record, so that another took its generation there.
    fn was_unkept(&self, book: &Book, family: usize, access: usize) -> bool {
        book.sessions.get(&family).is_some_and(|facts| !facts.recorded.contains(&access))
    }

    /// A process that has drained leaves no call behind.
    pub(crate) fn judge_drained(&self, life: &Arc<Life>) {
        let mut book = self.book();
        let behind = book.calls.iter().find(|call| Arc::ptr_eq(&call.life, life) && call.ended.is_none());
        if let Some(family) = behind.map(|call| call.family) {
            book.accuse("drain", format!("{life} was drained with a call for s{family} under way"));
        }
    }
}

/// Faster than any patience ends.
const QUICK: Millis = 900;
