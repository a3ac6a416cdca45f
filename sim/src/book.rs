//! What was seen: calls to the provider, redemptions, records, and what browsers were told. The laws are judged from it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use perennial::secret::CookieSecret;
use perennial::{Timestamp, cookie};
use perennial_core::cookie::{KeyRing, RecordKeys};
use perennial_core::names::ProviderId;
use perennial_core::record::{Intent, Record, open_state, seal_state};
use perennial_core::session::{Handle, KeyShare, SessionId, SessionState};

use crate::dice::{Dice, EngineDice};
use crate::fleet::{PROVIDER_ID, SECRETS, SESSION_COOKIE};
use crate::provider::{Delivery, parsed};
use crate::scenario::{Millis, Scenario};
use crate::tally::Tally;
use crate::world::{EPOCH, Life, lock};

/// The book of a run.
pub(crate) struct Book {
    pub(crate) breach: Option<Breach>,
    pub(crate) calls: Vec<Call>,
    pub(crate) redemptions: Vec<Redemption>,
    /// The sessions that a browser holds or held, by the provider's family.
    pub(crate) sessions: BTreeMap<usize, SessionFacts>,
    keys: BTreeMap<[u8; 32], usize>,
    ring: KeyRing,
    record_keys: RecordKeys,
    random: EngineDice,
    presented: BTreeMap<String, Option<Presented>>,
    /// The store has lost what it acknowledged.
    pub(crate) tail_lost: bool,
    /// From when to when the lost writes were made, for each loss.
    pub(crate) losses: Vec<RangeInclusive<Millis>>,
    pub(crate) tally: Tally,
    log: Arc<Mutex<Vec<String>>>,
}

/// A law was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) law: &'static str,
    pub(crate) sentence: String,
}

/// One request that carried a refresh token.
pub(crate) struct Call {
    pub(crate) life: Arc<Life>,
    pub(crate) family: usize,
    pub(crate) refresh: usize,
    pub(crate) sent: Millis,
    pub(crate) ended: Option<Millis>,
    pub(crate) ending: Ending,
    /// Arrivals at the provider that are still to come.
    pub(crate) on_their_way: u32,
    pub(crate) intent: Option<IntentFacts>,
}

/// What the caller of the provider learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing yet, or nothing ever because it died.
    UnderWay,
    /// That nothing was done: the refresh token is as good as before.
    Unprocessed,
    /// The tokens of the redemption with this access token.
    Tokens(usize),
    /// That the refresh token is refused.
    Refused,
    /// Nothing certain.
    InDoubt,
}

/// The provider redeemed a refresh token.
pub(crate) struct Redemption {
    pub(crate) family: usize,
    pub(crate) refresh: usize,
    pub(crate) access: usize,
    pub(crate) at: Millis,
    pub(crate) by: Delivery,
    /// When the caller had the answer, if it ever did.
    pub(crate) delivered: Option<Millis>,
}

/// The intent a call was made under, as it was written.
#[derive(Clone)]
pub(crate) struct IntentFacts {
    pub(crate) life: usize,
    pub(crate) written: Millis,
    pub(crate) refresh: Option<usize>,
    pub(crate) generation: u64,
    /// When the access token of the same generation dies.
    pub(crate) dies: Option<Timestamp>,
    pub(crate) intent: Intent,
}

/// What is known of one session.
pub(crate) struct SessionFacts {
    pub(crate) id: SessionId,
    share: KeyShare,
    pub(crate) key: [u8; 32],
    /// Access tokens that were in the record at some time.
    pub(crate) recorded: BTreeSet<usize>,
    /// The access token of each generation, as the record has it.
    pub(crate) generations: BTreeMap<u64, usize>,
    /// Refresh tokens that the provider refused, and whose sender learned it.
    pub(crate) refused: BTreeSet<usize>,
    pub(crate) intent: Option<IntentFacts>,
    /// When a browser first asked to be signed out.
    pub(crate) sign_out_asked: Option<Millis>,
    /// Which lives said it was done, and when.
    pub(crate) sign_outs: Vec<(Arc<Life>, Millis)>,
    /// Revocations that were sent, by life.
    pub(crate) revocations: Vec<usize>,
    /// A call outlived its lease because its process stood still.
    pub(crate) outlived: bool,
    /// Requests of this session that reached a replica while nothing was the matter with store and provider.
    pub(crate) chances: Vec<Millis>,
    /// The session was lost, and why nothing could save it.
    pub(crate) lost: Option<&'static str>,
}

/// A session cookie as a request brings it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Presented {
    pub(crate) family: usize,
    pub(crate) generation: u64,
}

impl Book {
    pub(crate) fn new(scenario: &Scenario, log: Arc<Mutex<Vec<String>>>) -> Self {
        let secrets = SECRETS.map(CookieSecret::new);
        Self {
            breach: None,
            calls: Vec::new(),
            redemptions: Vec::new(),
            sessions: BTreeMap::new(),
            keys: BTreeMap::new(),
            ring: KeyRing::new(&secrets, SESSION_COOKIE).expect("two secrets"),
            record_keys: RecordKeys::new(&secrets).expect("two secrets"),
            random: EngineDice::new(Dice::new(scenario.seed, "book")),
            presented: BTreeMap::new(),
            tail_lost: false,
            losses: Vec::new(),
            tally: Tally::of(scenario),
            log,
        }
    }

    /// Whether both access tokens were bought with one refresh token: two successors at one generation.
    pub(crate) fn are_siblings(&self, family: usize, one: usize, other: usize) -> bool {
        let bought = |access| {
            let of = |redemption: &&Redemption| redemption.family == family && redemption.access == access;
            self.redemptions.iter().find(of).map(|redemption| redemption.refresh)
        };
        bought(one).is_some_and(|parent| bought(other) == Some(parent))
    }

    /// Notes a broken law; the first one counts.
    pub(crate) fn accuse(&mut self, law: &'static str, sentence: String) {
        if self.breach.is_none() {
            lock(&self.log).push(format!("BROKEN {law}: {sentence}"));
            self.breach = Some(Breach { law, sentence });
        }
    }

    /// The session of a `Cookie` header, if one opens. A session seen for the first time is entered.
    pub(crate) fn presented(&mut self, cookies: &BTreeMap<String, String>) -> Option<Presented> {
        let chunks: Vec<(&str, &str)> = cookies.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let sealed: String =
            chunks.iter().filter(|(name, _)| name.starts_with(SESSION_COOKIE)).map(|one| one.1).collect();
        if let Some(known) = self.presented.get(&sealed) {
            return *known;
        }
        let state = self.opened(&chunks);
        let presented = state.as_ref().and_then(|state| {
            let access = state.tokens.as_ref()?.access_token.expose_secret();
            Some(Presented { family: parsed("at", access)?.0, generation: state.generation.0 })
        });
        if let (Some(state), Some(presented)) = (&state, presented) {
            self.enter(presented.family, state);
        }
        self.presented.insert(sealed, presented);
        presented
    }

    fn opened(&self, cookies: &[(&str, &str)]) -> Option<SessionState> {
        let joined = cookie::join(SESSION_COOKIE, cookies.iter().copied())?;
        let opened = joined.open(&self.ring, Timestamp::from_unix_millis(EPOCH)).ok()?;
        SessionState::from_claims(opened.claims, &ProviderId::new(PROVIDER_ID)).ok()
    }

    fn enter(&mut self, family: usize, state: &SessionState) {
        let key = state.id.record_key();
        if self.keys.insert(key, family).is_some() {
            return;
        }
        self.tally.sessions += 1;
        let facts = SessionFacts {
            id: state.id,
            share: state.share.clone(),
            key,
            // The sign-in's own tokens are in the cookie, whatever became of the first record.
            recorded: BTreeSet::from([0]),
            generations: BTreeMap::new(),
            refused: BTreeSet::new(),
            intent: None,
            sign_out_asked: None,
            sign_outs: Vec::new(),
            revocations: Vec::new(),
            outlived: false,
            chances: Vec::new(),
            lost: None,
        };
        self.sessions.insert(family, facts);
    }

    /// The session that these cookies hold, if they open.
    pub(crate) fn state_in(&self, cookies: &BTreeMap<String, String>) -> Option<SessionState> {
        let chunks: Vec<(&str, &str)> = cookies.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.opened(&chunks)
    }

    /// A generation as a record keeps it.
    pub(crate) fn seal(&self, state: &SessionState) -> Vec<u8> {
        seal_state(&self.record_keys, state, &self.random)
    }

    pub(crate) fn family_of(&self, key: &[u8; 32]) -> Option<usize> {
        self.keys.get(key).copied()
    }

    /// What a record holds, opened with what the session's cookie knows.
    pub(crate) fn state_of(&self, family: usize, record: &Record) -> Option<SessionState> {
        let facts = self.sessions.get(&family)?;
        open_state(&self.record_keys, record, &Handle { id: facts.id, share: facts.share.clone() }).ok()
    }

    /// Redemptions of refresh tokens of which no successor is known to have reached the record.
    pub(crate) fn unrecorded(&self, family: usize) -> Vec<&Redemption> {
        let Some(facts) = self.sessions.get(&family) else { return Vec::new() };
        let of_family = || self.redemptions.iter().filter(|one| one.family == family);
        of_family()
            .filter(|one| {
                let healed =
                    of_family().any(|other| other.refresh == one.refresh && facts.recorded.contains(&other.access));
                !healed
            })
            .collect()
    }

    /// What kept the tokens of a redemption from the record: the line, the store, or the death of who had them.
    pub(crate) fn hindrance(&self, redemption: &Redemption) -> Option<&'static str> {
        let Some(delivered) = redemption.delivered else { return Some("the answer was lost") };
        let life = &self.calls[redemption.by.call].life;
        if life.died_at().is_some_and(|at| at <= delivered + GRACE) {
            Some("the process died with the answer in its hands")
        } else if life.store_failed_between(delivered, delivered + GRACE) {
            Some("the store would not take them")
        } else if life.paused_between(redemption.at, delivered + GRACE) {
            Some("the process stood still")
        } else {
            None
        }
    }
}

/// How long writing received tokens down may take when nothing stands in the way.
pub(crate) const GRACE: Millis = 5_000;
