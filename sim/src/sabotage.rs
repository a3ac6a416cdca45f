//! The protocol with one step done wrong, from outside: each must break a law, or the laws are blind.
//!
//! Every sabotage is a decorator around store, HTTP client or answer, or another setting than the laws are told, so that the
//! engine carries none of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use http::{Request, Response};
use perennial::{HttpClient, SendError, Timestamp};
use perennial_core::outage::PER_SECOND_MAX;
use perennial_core::record::{Doubt, Evidence, Lost, Phase, Record};
use perennial_store::{
    Announcement, Durability, KeyPrefix, News, RecordKey, Removal, SessionStore, StoreError, Swap, Version, Versioned,
};

use crate::book::Presented;
use crate::browser::Answer;
use crate::provider::{ISSUER, parsed};
use crate::scenario::Scenario;
use crate::shelf::StoreLine;
use crate::wire::{Asked, Wire};
use crate::world::World;

/// One step done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sabotage {
    /// A write goes through although the record has changed.
    DropCompareAndSwap,
    /// A request given up is taken to be gone.
    SkipDrain,
    /// A cookie that came back with the newest generation is taken for the last old cookie.
    DropCiphertextAtAcknowledgement,
    /// The lease in the record is shorter than the call.
    ShortLease,
    /// Tokens are validated before they are written down.
    ValidateBeforeCommit,
    /// Who has to wait is told to sign in.
    LoserSignsOut,
    /// A lease that ran out is taken to mean that nobody called.
    ExpiredLeaseIsFree,
    /// A call that failed is made again with another way to authenticate.
    ProbeAuthMethods,
    /// Of two successors of one refresh token each cookie goes on with its own.
    OverlookForks,
    /// Whoever is due calls at once, however many those are.
    Stampede,
}

/// The store as an engine sees it.
pub(crate) fn store(line: StoreLine) -> Arc<dyn SessionStore> {
    match line.world.scenario.sabotage {
        Some(sabotage) => Arc::new(SabotagedStore { line, sabotage }),
        None => Arc::new(line),
    }
}

/// The HTTP client as an engine sees it.
pub(crate) fn wire(wire: Wire) -> Arc<dyn HttpClient> {
    match wire.world.scenario.sabotage {
        Some(sabotage @ (Sabotage::ValidateBeforeCommit | Sabotage::ProbeAuthMethods)) => {
            Arc::new(SabotagedWire { wire, sabotage })
        }
        _ => Arc::new(wire),
    }
}

/// The answer as a browser sees it.
pub(crate) fn answered(world: &World, answer: &mut Answer) {
    if world.scenario.sabotage == Some(Sabotage::LoserSignsOut) && answer.status == 503 {
        answer.status = 401;
    }
}

/// How many refresh requests a process sends in a second at most.
pub(crate) fn pace(scenario: &Scenario) -> u32 {
    match scenario.sabotage {
        Some(Sabotage::Stampede) => PER_SECOND_MAX,
        _ => scenario.per_second,
    }
}

/// These cookies, of a session whose record has this key, have come back.
pub(crate) fn came_back(world: &World, key: [u8; 32], presented: Presented, cookies: &BTreeMap<String, String>) {
    match world.scenario.sabotage {
        Some(Sabotage::DropCiphertextAtAcknowledgement) => drop_ciphertext(world, key, presented),
        Some(Sabotage::OverlookForks) => go_on_with(world, key, presented, cookies),
        _ => {}
    }
}

fn drop_ciphertext(world: &World, key: [u8; 32], presented: Presented) {
    let mut shelf = world.shelf();
    if let (Some(mut record), Some(stored)) = (shelf.record(&key), shelf.stored(&key))
        && record.generation.0 == presented.generation
        && matches!(record.phase, Phase::Idle { .. })
    {
        record.sealed.clear();
        shelf.put(key, &record.encode(), stored.expires, world.now());
    }
}

/// Where the cookie holds a sibling of what the record had at the same generation, the record is given the cookie's.
fn go_on_with(world: &World, key: [u8; 32], presented: Presented, cookies: &BTreeMap<String, String>) {
    let (book, mut shelf) = (world.book(), world.shelf());
    let (Some(record), Some(stored)) = (shelf.record(&key), shelf.stored(&key)) else { return };
    let (family, generation) = (presented.family, presented.generation);
    let theirs = book.sessions.get(&family).and_then(|facts| facts.generations.get(&generation).copied());
    let (Some(state), Some(theirs)) = (book.state_in(cookies), theirs) else { return };
    let access_token = state.tokens.as_ref().and_then(|tokens| parsed("at", tokens.access_token.expose_secret()));
    let Some((_, ours)) = access_token else { return };
    let over = matches!(record.phase, Phase::Ended { .. });
    if !over && ours != theirs && book.are_siblings(family, ours, theirs) {
        let record = Record::following(Some(&record), state.generation, book.seal(&state), Phase::IDLE);
        shelf.put(key, &record.encode(), stored.expires, world.now());
    }
}

struct SabotagedStore {
    line: StoreLine,
    sabotage: Sabotage,
}

impl SabotagedStore {
    /// What the engine reads instead of what is there.
    fn misread(&self, record: &mut Record, now: Timestamp) {
        match (self.sabotage, &record.phase) {
            (Sabotage::ExpiredLeaseIsFree, Phase::Intent(intent)) if intent.lease_until <= now => {
                record.phase = Phase::Idle { failures: intent.failures, not_before: None };
            }
            (Sabotage::SkipDrain, Phase::Intent(intent)) if intent.lease_until <= now => {
                record.phase = Phase::InDoubt(Doubt {
                    first_sent: intent.first_sent,
                    drained_at: intent.first_sent,
                    failures: intent.failures,
                    not_before: now,
                    lost: Lost::Crashed,
                    resend: intent.resend,
                    evidence: Evidence::None,
                });
            }
            (Sabotage::SkipDrain, Phase::InDoubt(doubt)) => {
                record.phase = Phase::InDoubt(Doubt { drained_at: doubt.first_sent, ..doubt.clone() });
            }
            _ => {}
        }
    }

    /// What is written instead of what the engine writes.
    fn miswrite(&self, bytes: Vec<u8>) -> Vec<u8> {
        match (self.sabotage, Record::decode(&bytes)) {
            (Sabotage::ShortLease, Ok(mut record)) => {
                if let Phase::Intent(intent) = &mut record.phase {
                    intent.lease_until = intent.started + Duration::from_secs(2);
                }
                record.encode()
            }
            _ => bytes,
        }
    }
}

impl SessionStore for SabotagedStore {
    fn load(&self, key: RecordKey, now: Timestamp) -> BoxFuture<'_, Result<Option<Versioned>, StoreError>> {
        Box::pin(async move {
            let mut stored = self.line.load(key, now).await?;
            if let Some(stored) = &mut stored
                && let Ok(mut record) = Record::decode(&stored.bytes)
            {
                self.misread(&mut record, now);
                stored.bytes = record.encode().into();
            }
            Ok(stored)
        })
    }

    fn compare_and_swap(
        &self,
        key: RecordKey,
        mut expected: Option<Version>,
        bytes: Vec<u8>,
        expires: Timestamp,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Swap, StoreError>> {
        Box::pin(async move {
            if self.sabotage == Sabotage::DropCompareAndSwap {
                expected = self.line.load(key, now).await?.map(|stored| stored.version);
            }
            self.line.compare_and_swap(key, expected, self.miswrite(bytes), expires, now).await
        })
    }

    fn remove(&self, key: RecordKey, expected: Version) -> BoxFuture<'_, Result<Removal, StoreError>> {
        self.line.remove(key, expected)
    }

    fn changed(&self, key: RecordKey, since: Option<Version>, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        self.line.changed(key, since, now)
    }

    fn find(
        &self,
        prefix: KeyPrefix,
        now: Timestamp,
    ) -> BoxFuture<'_, Result<Vec<(RecordKey, Versioned)>, StoreError>> {
        self.line.find(prefix, now)
    }

    fn announce(&self, announcement: Announcement, now: Timestamp) -> BoxFuture<'_, Result<(), StoreError>> {
        self.line.announce(announcement, now)
    }

    fn announcements(&self, now: Timestamp) -> BoxStream<'static, News> {
        self.line.announcements(now)
    }

    fn sweep(&self, now: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>> {
        self.line.sweep(now)
    }

    fn check(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.line.check()
    }

    fn durability(&self) -> Durability {
        self.line.durability()
    }

    fn shared(&self) -> bool {
        self.line.shared()
    }
}

struct SabotagedWire {
    wire: Wire,
    sabotage: Sabotage,
}

impl SabotagedWire {
    async fn exchange(&self, request: Request<Vec<u8>>, deadline: Duration) -> Result<Response<Bytes>, SendError> {
        if !matches!(Asked::read(&request), Asked::Refresh { .. }) {
            return self.wire.send(request, deadline).await;
        }
        let answer = self.wire.send(request.clone(), deadline).await;
        let good = answer.as_ref().is_ok_and(|answer| answer.status() == 200);
        match self.sabotage {
            Sabotage::ValidateBeforeCommit if good => {
                let keys = Request::get(format!("{ISSUER}/jwks")).body(Vec::new()).expect("a request");
                match self.wire.send(keys, deadline).await {
                    Ok(keys) if keys.status() == 200 => answer,
                    _ => Err(SendError::InDoubt("the ID token could not be verified".into())),
                }
            }
            Sabotage::ProbeAuthMethods if !good => self.wire.send(request, deadline).await,
            _ => answer,
        }
    }
}

impl HttpClient for SabotagedWire {
    fn send(&self, request: Request<Vec<u8>>, deadline: Duration) -> BoxFuture<'_, Result<Response<Bytes>, SendError>> {
        Box::pin(self.exchange(request, deadline))
    }
}
