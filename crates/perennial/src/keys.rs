//! The keys that secrets give, and which secret seals while a new one is being rolled out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use perennial_core::Timestamp;
use perennial_core::cookie::{
    Front, KeyRing, KeyRingError, RecordKeys, Sighting, front, misplaced, note_name, note_name_behind,
};
use perennial_core::identity::IdentityKeys;
use perennial_core::secret::CookieSecret;
use perennial_store::{Durability, RecordKey, SessionStore, StoreError, Swap};

use crate::alarm::AlarmCode;
use crate::auth::Auth;
use crate::cookies::CookieNames;
use crate::engine::Inner;
use crate::settings::CookieFormat;

/// The keys of a list of secrets: the first seals, all open.
pub(crate) struct Keys {
    pub(crate) session: KeyRing,
    /// Of session cookies in the format that is read and not written.
    pub(crate) other_session: KeyRing,
    pub(crate) flow: KeyRing,
    pub(crate) record: RecordKeys,
    /// Of the statements about who is there: the first secret signs, the public halves of all are published.
    pub(crate) identity: IdentityKeys,
}

impl Keys {
    fn new(secrets: &[CookieSecret], names: &CookieNames, format: CookieFormat) -> Result<Self, KeyRingError> {
        let session = |format, name: &str| match format {
            CookieFormat::AuthJs5 => KeyRing::new(secrets, name),
            CookieFormat::NextAuth4 => KeyRing::next_auth_v4(secrets),
        };
        Ok(Self {
            session: session(format, &names.session)?,
            other_session: session(format.other(), &names.other_session)?,
            flow: KeyRing::new(secrets, &names.flow_prefix)?,
            record: RecordKeys::new(secrets)?,
            identity: IdentityKeys::new(secrets)?,
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
    /// Whether the store remembers longer than this process lives since when secrets are known.
    noted: bool,
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
        format: CookieFormat,
        store: &dyn SessionStore,
        roll_out: Duration,
    ) -> Result<Self, KeyRingError> {
        let shared = store.shared();
        let rolling = match secrets.as_slice() {
            // Whoever is alone with the store has nobody to wait for.
            [newest, previous, older @ ..] if shared => {
                let secrets: Vec<_> = [previous, newest].into_iter().chain(older).cloned().collect();
                Some(Keys::new(&secrets, names, format)?)
            }
            _ => None,
        };
        Ok(Self {
            configured: Keys::new(&secrets, names, format)?,
            secrets,
            rolling,
            roll_out,
            noted: shared || store.durability() != Durability::Process,
            seen_since: AtomicI64::new(UNKNOWN),
            asking: AtomicBool::new(false),
        })
    }

    fn seen_since(&self) -> Option<Timestamp> {
        let since = self.seen_since.load(Ordering::Relaxed);
        (since != UNKNOWN).then(|| Timestamp::from_unix_millis(since))
    }

    /// The clock is asked only where it matters: a roll-out is rare, and this is asked several times by each request.
    fn in_force(&self, now: impl FnOnce() -> Timestamp) -> &Keys {
        match &self.rolling {
            Some(rolling) if front(self.seen_since(), self.roll_out, now()) == Front::Waits => rolling,
            _ => &self.configured,
        }
    }
}

impl Inner {
    /// The keys in force: what they seal, every replica opens.
    pub(crate) fn keys(&self) -> &Keys {
        self.chest.in_force(|| self.now())
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

    /// Finds out, once, since when the secrets are known to any replica. Nobody waits for it: until the store has said so, the
    /// secret behind the first seals, where replicas share the store.
    pub(crate) fn learn_of_secrets(self: &Arc<Self>) {
        let chest = &self.chest;
        if !chest.noted || chest.seen_since().is_some() || chest.asking.swap(true, Ordering::Relaxed) {
            return;
        }
        let (inner, errand) = (self.clone(), self.errands.begin());
        tokio::spawn(async move {
            match inner.sight_secrets(Unknown::Note).await {
                Ok((since, misplaced)) => {
                    inner.chest.seen_since.store(since.unix_millis(), Ordering::Relaxed);
                    inner.tell_of_misplaced(&misplaced);
                }
                Err(error) => tracing::warn!(%error, "the store does not say since when the secrets are known"),
            }
            inner.chest.asking.store(false, Ordering::Relaxed);
            drop(errand);
        });
    }

    fn tell_of_misplaced(&self, positions: &[usize]) {
        if !positions.is_empty() {
            let positions: Vec<String> = positions.iter().map(usize::to_string).collect();
            let message = format!(
                "Secret {} of {} came after the first and stands behind it: it opens sessions, and seals none.",
                positions.join(" and "),
                self.chest.secrets.len(),
            );
            self.alarm(AlarmCode::SecretMisplaced, &message);
        }
    }

    /// Since when the secret in front is known, and which of those behind it are newer, by the notes in the store.
    async fn sight_secrets(&self, unknown: Unknown) -> Result<(Timestamp, Vec<usize>), StoreError> {
        let now = self.now();
        let Some((front, behind)) = self.chest.secrets.split_first() else { return Ok((now, Vec::new())) };
        // Before that of the first: who dies in between must not make them look as if they had come later.
        let mut sightings = Vec::with_capacity(behind.len());
        for secret in behind {
            sightings.push(match self.first_seen(note_name(secret), Unknown::Leave, now).await? {
                Some(since) => Sighting::InFront(since),
                None => Sighting::Behind(self.first_seen(note_name_behind(secret), unknown, now).await?.unwrap_or(now)),
            });
        }
        let since = self.first_seen(note_name(front), unknown, now).await?.unwrap_or(now);
        Ok((since, misplaced(since, &sightings)))
    }

    /// The moment that the store has noted under `name`.
    async fn first_seen(
        &self,
        name: [u8; 32],
        unknown: Unknown,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let key = RecordKey::from_digest(name);
        let noted = match (self.store.load(key, now).await?, unknown) {
            (None, Unknown::Leave) => return Ok(None),
            (None, Unknown::Note) => {
                let bytes = now.unix_millis().to_string().into_bytes();
                match self.store.compare_and_swap(key, None, bytes, now + NOTE_KEPT, now).await? {
                    Swap::Stored(_) => None,
                    Swap::Conflict(other) => other,
                }
            }
            (noted, _) => noted,
        };
        let moment = noted.and_then(|noted| std::str::from_utf8(&noted.bytes).ok()?.parse().ok());
        Ok(Some(moment.map_or(now, Timestamp::from_unix_millis)))
    }
}

impl Auth {
    /// Which secrets stand behind the first although they are newer, and so seal nothing; positions from 1. The store's notes tell,
    /// and nothing is noted: for a check before anybody depends on it.
    ///
    /// # Errors
    /// The store's own.
    pub async fn misplaced_secrets(&self) -> Result<Vec<usize>, StoreError> {
        match self.inner.secrets() {
            // Nothing to ask about.
            [_] => Ok(Vec::new()),
            _ => Ok(self.inner.sight_secrets(Unknown::Leave).await?.1),
        }
    }
}

/// What becomes of a secret that the store has no note about.
#[derive(Clone, Copy)]
enum Unknown {
    /// This moment is noted.
    Note,
    /// It is asked for alone.
    Leave,
}

const UNKNOWN: i64 = i64::MIN;

/// Longer than the cookies of any session live: a secret whose note is gone would wait anew, which harms nobody.
const NOTE_KEPT: Duration = Duration::from_secs(2 * 400 * 24 * 3600);
