//! The picture as it stands, one per session, and the stream of its changes.
//!
//! Everything in here is dear to nobody: it is lost with the process, and the oldest is forgotten first.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use perennial::record::EndReason;
use perennial::{Renewal, RenewalOutcome, Timestamp};
use tokio::sync::broadcast;

use super::actions::catalogue::EXPERIMENTS;
use super::jar::Jar;
use super::seen::SessionSeen;
use super::view::{ActionView, Bead, Change, Kind, Line, Millis, Progress, ProviderView, SessionView, Snapshot, Tick};
use super::words;

/// Sessions told about at once: more browsers than anyone has open on one machine.
const SESSIONS: usize = 32;
/// Beads kept per session: at the default pace, about three quarters of an hour.
const BEADS: usize = 200;
/// Sentences kept per session, as many as the page shows.
const LINES: usize = 300;
/// Cookies of past generations kept per session, for the experiment with the old cookie.
const COOKIES: usize = 24;
/// Seconds of traffic in the drawing.
const TICKS: usize = 60;
/// Changes a slow page may lag behind before it is sent everything again.
const CHANGES: usize = 1024;

/// Everything the page tells, shared by the gateway's tap, the experiments and the streams.
#[derive(Debug)]
pub(super) struct Story {
    told: Mutex<Told>,
    changes: broadcast::Sender<Addressed>,
}

/// A change and the session whose page it belongs to; without one it is everybody's.
#[derive(Clone, Debug)]
pub(super) struct Addressed {
    pub(super) session: Option<String>,
    pub(super) change: Change,
}

#[derive(Debug, Default)]
struct Told {
    sessions: BTreeMap<String, One>,
    ticks: VecDeque<Tick>,
    next_line: u64,
}

/// One session's picture.
#[derive(Debug, Default)]
struct One {
    view: SessionView,
    beads: VecDeque<Bead>,
    lines: VecDeque<Line>,
    provider: ProviderView,
    actions: BTreeMap<String, ActionView>,
    cookies: BTreeMap<u64, Kept>,
    provider_time: Duration,
    over: bool,
    touched: Millis,
}

/// A cookie as a browser held it at some generation.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) jar: Jar,
    pub(super) expires_at: Millis,
}

impl Story {
    /// A story in which nothing has happened.
    pub(super) fn new() -> Self {
        Self { told: Mutex::default(), changes: broadcast::Sender::new(CHANGES) }
    }

    /// All changes from now on, of all sessions.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Addressed> {
        self.changes.subscribe()
    }

    /// All that a page shows which belongs to `session`.
    pub(super) fn snapshot(&self, session: &str) -> Snapshot {
        let told = self.lock();
        let mut snapshot = Snapshot { now: now(), ticks: told.ticks.iter().copied().collect(), ..Snapshot::default() };
        if let Some(one) = told.sessions.get(session) {
            snapshot.session = Some(one.view.clone());
            snapshot.beads = one.beads.iter().cloned().collect();
            snapshot.lines = one.lines.iter().cloned().collect();
            snapshot.provider = one.provider.clone();
            snapshot.actions = EXPERIMENTS
                .iter()
                .map(|experiment| {
                    one.actions.get(experiment.name).cloned().unwrap_or_else(|| ActionView {
                        name: experiment.name.into(),
                        text: "Not tried yet.".into(),
                        ..ActionView::default()
                    })
                })
                .collect();
        }
        snapshot
    }

    /// Takes note of a session whose cookie has passed, or of a newer cookie of it.
    pub(super) fn session(&self, seen: &SessionSeen) {
        let mut told = self.lock();
        let known = told.sessions.contains_key(&seen.session);
        let Told { sessions, next_line, .. } = &mut *told;
        let one = sessions.entry(seen.session.clone()).or_default();
        one.touched = now();
        if known && seen.generation < one.view.generation {
            return;
        }
        if !one.adopt(seen) {
            return;
        }
        self.tell(&seen.session, Change::Session(Box::new(one.view.clone())));
        if !known {
            let (bead, sentence) = words::signed_in(seen.started_at, seen.generation, &one.view.name);
            self.hang(&seen.session, one, bead);
            let line = line(next_line, seen.started_at, Kind::Session, sentence, "#about-session");
            self.write(&seen.session, one, line);
        }
        forget_the_oldest(&mut told.sessions);
    }

    /// Tells one renewal, whatever became of it.
    pub(super) fn renewal(&self, seen: &Renewal) {
        let (session, (bead, sentence)) = (&seen.session, words::renewal(seen));
        self.with(session, |one, next_line| {
            let about = one.renewed(seen);
            self.tell(session, Change::Session(Box::new(one.view.clone())));
            if let Some(bead) = bead {
                self.hang(session, one, bead);
            }
            if let Some(action) = words::pressed(seen) {
                one.actions.insert(action.name.clone(), action.clone());
                self.tell(session, Change::Action(action));
            }
            let line = line(next_line, seen.at.unix_millis(), Kind::Renewal, sentence, about);
            self.write(session, one, line);
        });
    }

    /// Tells that an old cookie was answered with the newest generation.
    pub(super) fn rescue(&self, session: &str, old: u64, newest: u64) {
        self.with(session, |one, next_line| {
            let key = format!("g{newest}");
            if let Some(bead) = one.beads.iter_mut().find(|bead| bead.key == key) {
                words::rescued(bead);
                self.tell(session, Change::Bead(Box::new(bead.clone())));
            }
            let line = line(next_line, now(), Kind::Rescue, words::rescue(old, newest), "#about-stale");
            self.write(session, one, line);
        });
    }

    /// Tells that the session is over; once is enough.
    pub(super) fn ended(&self, session: &str, reason: EndReason) {
        self.with(session, |one, next_line| {
            if std::mem::replace(&mut one.over, true) {
                return;
            }
            let why = words::end(reason);
            one.view.ended = Some(why.into());
            self.tell(session, Change::Session(Box::new(one.view.clone())));
            let line = line(next_line, now(), Kind::Session, why.into(), "#about-session");
            self.write(session, one, line);
        });
    }

    /// Tells everybody what a person must look at.
    pub(super) fn alarm(&self, message: &str) {
        for session in self.living() {
            self.say(&session, Kind::Session, message, "#about-outage");
        }
    }

    /// Writes a sentence into the log of one session.
    pub(super) fn say(&self, session: &str, kind: Kind, sentence: impl Into<String>, about: &str) {
        self.with(session, |one, next_line| {
            let line = line(next_line, now(), kind, sentence.into(), about);
            self.write(session, one, line);
        });
    }

    /// Shows what the provider knows of a session.
    pub(super) fn provider(&self, session: &str, view: ProviderView) {
        self.with(session, |one, _| {
            one.provider = view.clone();
            self.tell(session, Change::Provider(view));
        });
    }

    /// Shows how an experiment stands; what ended goes into the log, too.
    pub(super) fn action(&self, session: &str, action: ActionView) {
        self.with(session, |one, next_line| {
            let ended = matches!(action.state, Progress::Held | Progress::Lost);
            if let Some(experiment) = EXPERIMENTS.iter().find(|one| one.name == action.name)
                && ended
            {
                let sentence = format!("{}: {}", experiment.title, action.text);
                let line = line(next_line, now(), Kind::Experiment, sentence, experiment.about);
                self.write(session, one, line);
            }
            one.actions.insert(action.name.clone(), action.clone());
            self.tell(session, Change::Action(action));
        });
    }

    /// Adds one second of traffic to everybody's drawing.
    pub(super) fn tick(&self, tick: Tick) {
        let mut told = self.lock();
        told.ticks.push_back(tick);
        while told.ticks.len() > TICKS {
            told.ticks.pop_front();
        }
        let _nobody_looks = self.changes.send(Addressed { session: None, change: Change::Tick(tick) });
    }

    /// Keeps the cookie of a generation, for the day somebody comes back with it.
    pub(super) fn keep(&self, seen: &SessionSeen, jar: Jar) {
        self.with(&seen.session, |one, _| {
            let expires_at = seen.expires_at;
            one.cookies.insert(seen.generation, Kept { jar, expires_at });
            while one.cookies.len() > COOKIES {
                one.cookies.pop_first();
            }
        });
    }

    /// The cookies of earlier generations than the newest, oldest first.
    pub(super) fn old_cookies(&self, session: &str) -> Vec<(u64, Kept)> {
        let told = self.lock();
        let Some(one) = told.sessions.get(session) else {
            return Vec::new();
        };
        let newest = one.view.generation;
        one.cookies.range(..newest).map(|(generation, kept)| (*generation, kept.clone())).collect()
    }

    /// The session as it stands.
    pub(super) fn view(&self, session: &str) -> Option<SessionView> {
        self.lock().sessions.get(session).map(|one| one.view.clone())
    }

    /// How long the provider took over the session's last renewal.
    pub(super) fn last_provider_time(&self, session: &str) -> Duration {
        self.lock().sessions.get(session).map(|one| one.provider_time).unwrap_or_default()
    }

    /// Sessions that are not over.
    fn living(&self) -> Vec<String> {
        let told = self.lock();
        let living = told.sessions.iter().filter(|(_, one)| !one.over);
        living.map(|(session, _)| session.clone()).collect()
    }

    fn with(&self, session: &str, change: impl FnOnce(&mut One, &mut u64)) {
        let mut told = self.lock();
        let Told { sessions, next_line, .. } = &mut *told;
        if let Some(one) = sessions.get_mut(session) {
            change(one, next_line);
        }
    }

    fn hang(&self, session: &str, one: &mut One, bead: Bead) {
        self.tell(session, Change::Bead(Box::new(bead.clone())));
        one.beads.retain(|old| old.key != bead.key);
        one.beads.push_back(bead);
        while one.beads.len() > BEADS {
            one.beads.pop_front();
        }
    }

    fn write(&self, session: &str, one: &mut One, line: Line) {
        self.tell(session, Change::Line(line.clone()));
        one.lines.push_back(line);
        while one.lines.len() > LINES {
            one.lines.pop_front();
        }
    }

    fn tell(&self, session: &str, change: Change) {
        let session = Some(session.to_owned());
        let _nobody_looks = self.changes.send(Addressed { session, change });
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl One {
    /// Takes over what a renewal brought; answers with the explanation that fits.
    fn renewed(&mut self, seen: &Renewal) -> &'static str {
        self.provider_time = seen.provider_time;
        match seen.outcome {
            RenewalOutcome::Renewed => {
                let at = |time: Option<Timestamp>| time.map_or(0, Timestamp::unix_millis);
                self.view.generation = self.view.generation.max(seen.generation.0);
                self.view.renewals += 1;
                self.view.token = seen.access_token_fingerprint.clone().unwrap_or_default();
                self.view.issued_at = at(seen.issued_at);
                self.view.due_at = at(seen.due_at.or(seen.expires_at));
                self.view.expires_at = at(seen.expires_at);
                if seen.waiters > 0 { "#about-waiting" } else { "#about-renewal" }
            }
            RenewalOutcome::Kept { why: "in_doubt" } => "#about-lost",
            RenewalOutcome::Kept { .. } => "#about-outage",
            RenewalOutcome::Refused | RenewalOutcome::Ended => {
                let ended = self.view.ended.get_or_insert_default();
                *ended = format!("The provider refused this session’s refresh token. {}", words::LAST_TOKEN);
                "#about-theft"
            }
        }
    }

    /// Takes over what a cookie tells; answers whether that was news.
    fn adopt(&mut self, seen: &SessionSeen) -> bool {
        let chunks = match seen.chunks {
            1 => "1 chunk".to_owned(),
            n => format!("{n} chunks"),
        };
        let view = SessionView {
            session: seen.session.clone(),
            name: seen.name.clone(),
            email: seen.email.clone(),
            ended: self.view.ended.clone(),
            generation: seen.generation,
            renewals: self.view.renewals,
            token: seen.token.clone(),
            issued_at: seen.issued_at,
            due_at: seen.due_at,
            expires_at: seen.expires_at,
            started_at: seen.started_at,
            idle_until: seen.idle_until,
            absolute_until: seen.absolute_until,
            cookie: format!("{} bytes in {chunks}", seen.cookie_bytes),
        };
        view != std::mem::replace(&mut self.view, view.clone())
    }
}

fn line(next: &mut u64, at: Millis, kind: Kind, text: String, about: &str) -> Line {
    *next += 1;
    Line { id: *next, at, kind, text, about: about.into() }
}

fn forget_the_oldest(sessions: &mut BTreeMap<String, One>) {
    while sessions.len() > SESSIONS {
        let oldest = sessions.iter().min_by_key(|(_, one)| one.touched).map(|(session, _)| session.clone());
        let Some(oldest) = oldest else { return };
        sessions.remove(&oldest);
    }
}

/// The wall clock, as the page shows it.
pub(super) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(session: &str, generation: u64) -> SessionSeen {
        SessionSeen { session: session.into(), name: "Alice".into(), generation, chunks: 1, ..SessionSeen::default() }
    }

    #[test]
    fn an_old_cookie_does_not_turn_the_picture_back() {
        let story = Story::new();
        story.session(&seen("s", 3));
        story.session(&seen("s", 1));
        assert_eq!(story.view("s").map(|view| view.generation), Some(3));
        for generation in 1..=3 {
            story.keep(&seen("s", generation), Jar::default());
        }
        let old: Vec<u64> = story.old_cookies("s").into_iter().map(|(generation, _)| generation).collect();
        assert_eq!(old, [1, 2]);
    }

    #[test]
    fn a_cookie_that_says_nothing_new_is_not_told_again() {
        let story = Story::new();
        let mut changes = story.subscribe();
        story.session(&seen("s", 1));
        let first = std::iter::from_fn(|| changes.try_recv().ok()).count();
        assert_eq!(first, 3, "the session, its bead and its line");
        story.session(&seen("s", 1));
        assert!(changes.try_recv().is_err());
    }

    #[test]
    fn a_session_ends_once_and_sessions_are_bounded() {
        let story = Story::new();
        story.session(&seen("s", 1));
        story.ended("s", EndReason::SignedOut);
        story.ended("s", EndReason::Refused);
        let shown = story.snapshot("s");
        assert_eq!(shown.lines.len(), 2);
        assert_eq!(shown.session.and_then(|view| view.ended).as_deref(), Some(words::end(EndReason::SignedOut)));
        for number in 0..=SESSIONS {
            story.session(&seen(&number.to_string(), 1));
        }
        assert_eq!(story.lock().sessions.len(), SESSIONS);
    }
}
