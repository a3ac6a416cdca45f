//! The keys that secrets give, and which secret seals while a new one is being rolled out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::cookie::{Front, KeyRing, KeyRingError, RecordKeys, front, note_name};
use perennial_core::secret::CookieSecret;
use perennial_store::{RecordKey, StoreError, Swap};

use crate::cookies::CookieNames;
use crate::engine::Inner;

/// The keys of a list of secrets: the first seals, all open.
pub(crate) struct Keys {
    pub(crate) session: KeyRing,
    pub(crate) flow: KeyRing,
    pub(crate) record: RecordKeys,
}

impl Keys {
    fn new(secrets: &[CookieSecret], names: &CookieNames) -> Result<Self, KeyRingError> {
        Ok(Self {
            session: KeyRing::new(secrets, &names.session)?,
            flow: KeyRing::new(secrets, &names.flow_prefix)?,
            record: RecordKeys::new(secrets)?,
        })
    }
}

/// The keys as configured, and beside them, where replicas share a store, those of a roll-out under way.
pub(crate) struct KeyChest {
    secrets: Vec<CookieSecret>,
    configured: Keys,
    /// The same secrets, with the one in front behind its predecessor.
    rolling: Option<Keys>,
    roll_out: Duration,
    /// When the secret in front was first seen by any replica; [`UNKNOWN`] until the store has said so.
    seen_since: AtomicI64,
    asking: AtomicBool,
}

impl KeyChest {
    /// # Errors
    /// What is wrong with the list of secrets.
    pub(crate) fn new(
        secrets: Vec<CookieSecret>,
        names: &CookieNames,
        shared: bool,
        roll_out: Duration,
    ) -> Result<Self, KeyRingError> {
        let rolling = match secrets.as_slice() {
            // Whoever is alone with the store has nobody to wait for.
            [newest, previous, older @ ..] if shared => {
                let secrets: Vec<_> = [previous, newest].into_iter().chain(older).cloned().collect();
                Some(Keys::new(&secrets, names)?)
            }
            _ => None,
        };
        Ok(Self {
            configured: Keys::new(&secrets, names)?,
            secrets,
            rolling,
            roll_out,
            seen_since: AtomicI64::new(UNKNOWN),
            asking: AtomicBool::new(false),
        })
    }

    fn seen_since(&self) -> Option<Timestamp> {
        let since = self.seen_since.load(Ordering::Relaxed);
        (since != UNKNOWN).then(|| Timestamp::from_unix_millis(since))
    }

    fn in_force(&self, now: Timestamp) -> &Keys {
        match &self.rolling {
            Some(rolling) if front(self.seen_since(), self.roll_out, now) == Front::Waits => rolling,
            _ => &self.configured,
        }
    }
}

impl Inner {
    /// The keys in force: what they seal, every replica opens.
    pub(crate) fn keys(&self) -> &Keys {
        self.chest.in_force(self.now())
    }

    /// Whether what an older secret sealed is to be sealed anew: not while replicas may differ about which is the newest,
    /// or they would seal each other's cookies back and forth.
    pub(crate) fn reseals(&self) -> bool {
        std::ptr::eq(self.keys(), &self.chest.configured)
    }

    /// Every secret that proves something.
    pub(crate) fn secrets(&self) -> &[CookieSecret] {
        &self.chest.secrets
    }

    /// The secrets by which a proof is to be made: those that every replica knows.
    pub(crate) fn proving_secrets(&self) -> &[CookieSecret] {
        match self.secrets() {
            [_, known @ ..] if !self.reseals() => known,
            all => all,
        }
    }

    /// Finds out, once, since when the secret in front is known to any replica. Nobody waits for it: until the store has
    /// said so, the secret behind it seals.
    pub(crate) fn learn_of_secrets(self: &Arc<Self>) {
        let chest = &self.chest;
        if chest.rolling.is_none() || chest.seen_since().is_some() || chest.asking.swap(true, Ordering::Relaxed) {
            return;
        }
        let inner = self.clone();
        tokio::spawn(async move {
            match inner.first_seen().await {
                Ok(since) => inner.chest.seen_since.store(since.unix_millis(), Ordering::Relaxed),
                Err(error) => tracing::warn!(%error, "the store does not say since when the newest secret is known"),
            }
            inner.chest.asking.store(false, Ordering::Relaxed);
        });
    }

    /// The moment in the store's note about the secret in front; notes this moment if there is none.
    async fn first_seen(&self) -> Result<Timestamp, StoreError> {
        let Some(newest) = self.chest.secrets.first() else { return Ok(self.now()) };
        let (key, now) = (RecordKey::from_digest(note_name(newest)), self.now());
        let noted = match self.store.load(key, now).await? {
            Some(noted) => Some(noted),
            None => {
                let bytes = now.unix_millis().to_string().into_bytes();
                match self.store.compare_and_swap(key, None, bytes, now + NOTE_KEPT, now).await? {
                    Swap::Stored(_) => None,
                    Swap::Conflict(other) => other,
                }
            }
        };
        let moment = noted.and_then(|noted| std::str::from_utf8(&noted.bytes).ok()?.parse().ok());
        Ok(moment.map_or(now, Timestamp::from_unix_millis))
    }
}

const UNKNOWN: i64 = i64::MIN;

/// Longer than the cookies of any session live: a secret whose note is gone would wait anew, which harms nobody.
const NOTE_KEPT: Duration = Duration::from_secs(2 * 400 * 24 * 3600);
