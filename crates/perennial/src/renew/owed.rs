//! RFC 7009 §2: what is owed to a provider outlives the process that owes it.
//!
//! The refresh token of a session that is about to end is written down, and announced, before the record says that the session
//! is over. Once the provider has taken note, it goes. What a process leaves, because it dies or gives up, others take up: they
//! hear its name as they hear of ends, and look when the claim of whoever was at it has run out. Two at once would do no harm,
//! because a revocation may be repeated.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join;
use futures_util::stream::{self, StreamExt};
use perennial_core::Timestamp;
use perennial_core::record::{OwedRevocation, OwedRevocations, Phase, Record};
use perennial_core::secret::RefreshToken;
use perennial_core::session::SessionState;
use perennial_store::{Announcement, RecordKey, Removal, StoreError, StoreErrorKind, Swap};

use crate::engine::Inner;
use crate::issuer::IssuerClient;
use crate::ledger::record_key;

/// The names of what sessions owe, as far as this process has heard of them and does not know them to be settled.
#[derive(Default)]
pub(crate) struct Debts {
    names: Mutex<BTreeSet<RecordKey>>,
}

/// What is to become of what a session owes.
enum Change {
    Write(OwedRevocations),
    Remove,
    Leave,
}

/// What a session owes after a change.
enum Rest {
    Owed,
    Nothing,
}

impl Debts {
    /// Notes that something is owed under `name`, to be looked at by and by.
    pub(crate) fn hear(&self, name: RecordKey) {
        let mut names = self.names();
        if names.len() < DEBTS_MAX {
            names.insert(name);
        } else if !names.contains(&name) {
            tracing::warn!("more revocations are owed than one process remembers; the next that starts looks at them");
        }
    }

    fn forget(&self, name: RecordKey) {
        self.names().remove(&name);
    }

    fn take(&self) -> BTreeSet<RecordKey> {
        std::mem::take(&mut *self.names())
    }

    fn names(&self) -> MutexGuard<'_, BTreeSet<RecordKey>> {
        // Names come and go in one step, so that a panic elsewhere leaves the set whole.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Writes down that the refresh token of `state` is to be revoked, and tells every process of it. A store that does not take
    /// it leaves the debt to this process alone.
    pub(crate) async fn owe(&self, state: &SessionState) {
        let Some(refresh_token) = state.tokens.as_ref().and_then(|tokens| tokens.refresh_token.clone()) else { return };
        let (session, now) = (record_key(state), self.now());
        let owed = OwedRevocation { provider: state.provider.clone(), refresh_token };
        let name = name_of(session);
        self.debts.hear(name);
        let announcement = Announcement { key: name, until: now + self.debts_kept() };
        let written = self.change_debt(session, |known| {
            let known = known.unwrap_or_else(|| OwedRevocations::of(session.as_bytes(), now));
            let claimed_until = known.claimed_until().max(now + CLAIM);
            let keys = self.keys();
            Change::Write(known.claimed(claimed_until).with(&owed, &keys.record, self.random()))
        });
        let (told, written) = join(self.store.announce(announcement, now), written).await;
        if let Err(error) = told.and(written.map(drop)) {
            let session = state.id.fingerprint();
            tracing::error!(%error, session, "a revocation that is owed was not written down: it ends with this process");
        }
    }

    /// The same, and then has the provider revoke it: for tokens that arrive when their session is over.
    pub(super) async fn owe_and_revoke(self: &Arc<Self>, issuer: &IssuerClient, state: &SessionState) {
        self.owe(state).await;
        self.revoke(issuer, state).await;
    }

    /// Notes that the provider has revoked `refresh_token`, or never will.
    pub(super) async fn owe_no_more(&self, session: RecordKey, refresh_token: &RefreshToken) {
        let without = |owing: OwedRevocations| match owing.without(refresh_token, &self.keys().record) {
            Some(rest) if rest == owing => Change::Leave,
            Some(rest) => Change::Write(rest),
            None => Change::Remove,
        };
        match self.change_debt(session, |known| known.map_or(Change::Leave, without)).await {
            Ok(Rest::Owed) => {}
            Ok(Rest::Nothing) => self.debts.forget(name_of(session)),
            Err(error) => {
                tracing::warn!(%error, "a revocation is still noted as owed, and will be repeated, which does no harm");
            }
        }
    }

    /// Keeps others from what `session` owes until `until`; lets them at it, if that is now.
    pub(super) async fn claim_debt(&self, session: RecordKey, until: Timestamp) {
        let claimed = self.change_debt(session, |known| match known {
            Some(owing) => Change::Write(owing.claimed(until)),
            None => Change::Leave,
        });
        if let Err(error) = claimed.await {
            tracing::warn!(%error, "the claim on a revocation was not prolonged: another process may repeat it");
        }
    }

    /// Has revoked what was heard to be owed and nobody is at any more. Nobody waits for it, not even a shutdown: what is cut
    /// off stays owed.
    pub(crate) fn take_up_debts(self: &Arc<Self>) {
        let names = self.debts.take();
        if names.is_empty() {
            return;
        }
        let inner = self.clone();
        tokio::spawn(async move {
            let each = stream::iter(names).for_each_concurrent(TAKEN_UP_AT_ONCE, |name| inner.take_up(name));
            each.await;
        });
    }

    async fn take_up(self: &Arc<Self>, name: RecordKey) {
        match self.claimed_debt(name).await {
            Ok(None) => {}
            Ok(Some((session, owed))) => {
                // Looked at once more if this process gives up, too.
                self.debts.hear(name);
                for owed in owed {
                    let Some(issuer) = self.issuer(&owed.provider) else { continue };
                    tracing::info!(provider = owed.provider.as_str(), "a revocation that was left owing is taken up");
                    self.revoke_token(issuer, &owed.refresh_token, Some(session)).await;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "what is owed under a name could not be read; it is looked at again");
                self.debts.hear(name);
            }
        }
    }

    /// What is owed under `name`, now claimed by this process, and by which session; `None` if it is not this process's to pay.
    async fn claimed_debt(&self, name: RecordKey) -> Result<Option<(RecordKey, Vec<OwedRevocation>)>, StoreError> {
        let Some(stored) = self.read(name).await? else { return Ok(None) };
        // What a later version wrote, its own processes take up.
        let Some(owing) = OwedRevocations::decode(&stored.bytes) else { return Ok(None) };
        let Some(session) = owing.session().map(RecordKey::from_digest) else { return Ok(None) };
        let now = self.now();
        if owing.claimed_until() > now {
            self.debts.hear(name);
            return Ok(None);
        }
        let record = self.read(session).await?;
        let record = self.readable(record.as_ref())?;
        if !record.is_some_and(|Record { phase, .. }| matches!(phase, Phase::Ended { .. })) {
            // Whoever was about to end the session died before it had.
            let _whoever_else_saw_it = self.store.remove(name, stored.version).await?;
            return Ok(None);
        }
        let (owed, sealed): (Vec<_>, Vec<_>) = owing.open(&self.keys().record).partition(Result::is_ok);
        if !sealed.is_empty() {
            let message = "a refresh token is not revoked: the secret that sealed it was taken out; it lives at the \
                           provider until it expires";
            tracing::error!(tokens = sealed.len(), message);
        }
        if owed.is_empty() {
            return Ok(None);
        }
        let claimed = owing.claimed(now + CLAIM).encode();
        match self.store.compare_and_swap(name, Some(stored.version), claimed, stored.expires, now).await? {
            Swap::Stored(_) => Ok(Some((session, owed.into_iter().flatten().collect()))),
            Swap::Conflict(_) => {
                self.debts.hear(name);
                Ok(None)
            }
        }
    }

    /// Changes what `session` owes, whatever others write meanwhile; answers with what is left.
    async fn change_debt(
        &self,
        session: RecordKey,
        change: impl Fn(Option<OwedRevocations>) -> Change,
    ) -> Result<Rest, StoreError> {
        let name = name_of(session);
        for _ in 0..SWAPS_MAX {
            let now = self.now();
            let stored = self.read(name).await?;
            let known = stored.as_ref().and_then(|stored| OwedRevocations::decode(&stored.bytes));
            if stored.is_some() && known.is_none() {
                // A later version's, which is not to be written over.
                return Ok(Rest::Owed);
            }
            let version = stored.as_ref().map(|stored| stored.version);
            let expires = stored.map_or(now + self.debts_kept(), |stored| stored.expires);
            match (change(known), version) {
                (Change::Write(owing), _) => {
                    let swapped = self.store.compare_and_swap(name, version, owing.encode(), expires, now).await?;
                    if let Swap::Stored(_) = swapped {
                        return Ok(Rest::Owed);
                    }
                }
                (Change::Remove, Some(version)) => {
                    if self.store.remove(name, version).await? == Removal::Removed {
                        return Ok(Rest::Nothing);
                    }
                }
                (Change::Leave, Some(_)) => return Ok(Rest::Owed),
                (Change::Remove | Change::Leave, None) => return Ok(Rest::Nothing),
            }
        }
        Err(StoreError::new(StoreErrorKind::Unavailable, "what a session owes was written by too many at once"))
    }

    /// No longer than the record lives that says that the session is over.
    fn debts_kept(&self) -> Duration {
        DEBTS_KEPT.min(self.settings.max_age + Duration::from_secs(3600))
    }
}

fn name_of(session: RecordKey) -> RecordKey {
    RecordKey::from_digest(OwedRevocations::name(session.as_bytes()))
}

/// How long nobody else touches what a process is about to pay: longer than any call takes with all that goes before it.
pub(super) const CLAIM: Duration = Duration::from_secs(120);

/// How long a revocation stays owed. Meanwhile the secrets open it without a cookie, so no longer than most outages of a provider last.
const DEBTS_KEPT: Duration = Duration::from_secs(4 * 3600);

/// Names that one process remembers: some 100 bytes each.
const DEBTS_MAX: usize = 10_000;

/// Revocations that are taken up at a time, so that a provider which is back is not overrun.
const TAKEN_UP_AT_ONCE: usize = 8;

/// Writes lost to others before giving up: a session ends once.
const SWAPS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> RecordKey {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_be_bytes());
        RecordKey::from_digest(digest)
    }

    #[test]
    fn so_many_names_are_remembered_and_no_more_and_a_settled_one_makes_room() {
        let debts = Debts::default();
        (0..=DEBTS_MAX).for_each(|number| debts.hear(name(number)));
        debts.hear(name(0));
        debts.forget(name(1));
        debts.hear(name(DEBTS_MAX + 1));
        let names = debts.take();
        assert_eq!(names.len(), DEBTS_MAX);
        for (number, expected) in [(0, true), (1, false), (DEBTS_MAX, false), (DEBTS_MAX + 1, true)] {
            assert_eq!(names.contains(&name(number)), expected, "{number}");
        }
        assert!(debts.take().is_empty());
    }
}
