//! What every experiment stands on: the house, a copy of the visitor's cookies, and the line under the button.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::dev::house::{Held, House};
use crate::dev::jar::Jar;
use crate::dev::provider::Counts;
use crate::dev::state::now;
use crate::dev::tab::{Tab, Tally};
use crate::dev::view::{ActionView, Millis, Progress, SessionView};

/// How often a countdown is told anew.
const STEP: Duration = Duration::from_millis(250);

/// One run of one experiment.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) house: Arc<House>,
    name: &'static str,
    session: String,
    jar: Jar,
}

/// The line that remains under the button.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    state: Progress,
    text: String,
}

impl Verdict {
    /// All promises were kept when `kept`; otherwise a session was lost.
    pub(super) fn of(kept: bool, text: impl Into<String>) -> Self {
        let state = if kept { Progress::Held } else { Progress::Lost };
        Self { state, text: text.into() }
    }

    /// The experiment itself did not come about.
    pub(super) fn failed(text: impl Into<String>) -> Self {
        Self { state: Progress::Failed, text: text.into() }
    }
}

impl Stage {
    pub(super) fn new(house: Arc<House>, name: &'static str, session: String, jar: Jar) -> Self {
        Self { house, name, session, jar }
    }

    /// The public fingerprint of the session on stage.
    pub(super) fn session(&self) -> &str {
        &self.session
    }

    /// The session as the page knows it now.
    pub(super) fn view(&self) -> SessionView {
        self.house.story().view(&self.session).unwrap_or_default()
    }

    /// What the provider has counted for the session so far.
    pub(super) fn counts(&self) -> Counts {
        self.house.provider().counts(&self.session)
    }

    /// A tab with the cookies that the button's request came with.
    pub(super) fn tab(&self) -> Tab {
        self.house.tab(self.jar.clone())
    }

    /// Says how it goes; `percent` from 0 to 100, or nothing when there is no telling.
    pub(super) fn tell(&self, text: impl Into<String>, percent: Option<u8>) {
        let action = ActionView { name: self.name.into(), state: Progress::Running, text: text.into(), percent };
        self.house.story().action(&self.session, action);
    }

    /// Says how it ended.
    pub(super) fn conclude(&self, verdict: Verdict) {
        let action =
            ActionView { name: self.name.into(), state: verdict.state, text: verdict.text, percent: Some(100) };
        self.house.story().action(&self.session, action);
    }

    /// Waits until the access token has run out; the page's own requests are held back until the guard is dropped.
    pub(super) async fn until_expired(&self) -> Held {
        let held = self.house.hold(&self.session);
        self.until(|view| view.expires_at + 30, "The access token has to run out first:").await;
        held
    }

    /// Waits until the token is `early` short of its renewal window.
    pub(super) async fn until_nearly_due(&self, early: Duration) {
        let early = i64::try_from(early.as_millis()).unwrap_or(0);
        self.until(move |view| view.due_at - early, "Waiting for the next renewal:").await;
    }

    async fn until(&self, moment: impl Fn(&SessionView) -> Millis, sentence: &str) {
        let first = now();
        loop {
            let (at, now) = (moment(&self.view()), now());
            if now >= at {
                return;
            }
            let (left, whole) = (at - now, (at - first).max(1));
            let percent = u8::try_from((whole - left) * 100 / whole).unwrap_or(0);
            self.tell(format!("{sentence} {} s to go.", left / 1000 + 1), Some(percent));
            sleep(STEP.min(Duration::from_millis(left.unsigned_abs()))).await;
        }
    }

    /// Sends an ordinary request every `pace` for as long as `lasting`, telling the count as it grows.
    pub(super) async fn traffic(&self, tab: &mut Tab, pace: Duration, lasting: Duration, sentence: &str) -> Tally {
        let started = Instant::now();
        let mut tally = Tally::default();
        let mut beat = tokio::time::interval(pace);
        while started.elapsed() < lasting {
            beat.tick().await;
            tally.add(tab.ask().await);
            let share = started.elapsed().as_millis() * 100 / lasting.as_millis().max(1);
            let percent = u8::try_from(share.min(100)).unwrap_or(100);
            self.tell(format!("{sentence} {} requests so far: {}.", tally.sent, tally.words()), Some(percent));
        }
        tally
    }
}
