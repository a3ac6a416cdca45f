//! The provider in the hands of a test or a demo in the same process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, MutexGuard};

use tokio::sync::broadcast;

use crate::backchannel;
use crate::behaviour::{Behaviour, BehaviourError, RefreshClass};
use crate::event::{EventKind, Outcome, ProviderEvent};
use crate::faults::Faults;
use crate::keys::KeyError;
use crate::ledger::{Family, Ledger, RevocationReason};
use crate::provider::{News, State};
use crate::script::Script;
use crate::tally::{Counters, Tally};
use crate::thief;
use crate::visitors::Visitors;

/// A handle on a running provider; clones act on the same one.
///
/// ```
/// use perennial_provider::{DevProvider, Faults, RefreshClass};
///
/// let control = DevProvider::builder().build()?.control();
/// control.set_class(RefreshClass::SingleUse);
/// control.set_faults(Faults { lose_reply: 1.into(), ..Faults::default() });
/// assert_eq!(control.behaviour().class, RefreshClass::SingleUse);
/// control.reset();
/// assert_eq!(control.faults(), Faults::default());
/// # Ok::<(), perennial_provider::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Control {
    state: Arc<State>,
}

impl Control {
    pub(crate) fn new(state: Arc<State>) -> Self {
        Self { state }
    }

    /// The issuer of this provider.
    pub fn issuer(&self) -> &str {
        &self.state.settings.issuer
    }

    /// How everyone is treated who has no behaviour of their own; counts are those left.
    pub fn behaviour(&self) -> Behaviour {
        self.settled().of(None).clone()
    }

    /// Sets how everyone is treated who has no behaviour of their own.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        self.set(None, behaviour);
    }

    /// How one client is treated.
    pub fn client_behaviour(&self, client: &str) -> Behaviour {
        self.settled().of(Some(client)).clone()
    }

    /// The clients that have a behaviour of their own.
    pub fn client_behaviours(&self) -> BTreeMap<String, Behaviour> {
        self.settled().of_clients()
    }

    /// Gives a client a behaviour of its own, or with `None` lets it be treated as everyone.
    pub fn set_client_behaviour(&self, client: &str, behaviour: Option<Behaviour>) {
        match behaviour {
            Some(behaviour) => self.set(Some(client), behaviour),
            None => self.state.script().unset(client),
        }
    }

    /// The faults of everyone; counts are those left.
    pub fn faults(&self) -> Faults {
        self.behaviour().faults
    }

    /// Replaces the faults of everyone; the class stays.
    pub fn set_faults(&self, faults: Faults) {
        let class = self.behaviour();
        self.set(None, Behaviour { faults, ..class });
    }

    /// Replaces the faults of one client; its class stays.
    pub fn set_client_faults(&self, client: &str, faults: Faults) {
        let class = self.client_behaviour(client);
        self.set(Some(client), Behaviour { faults, ..class });
    }

    /// Changes some faults of everyone and leaves the others as they are, counts included.
    pub fn update_faults(&self, change: impl FnOnce(&mut Faults)) {
        self.update(None, |behaviour| change(&mut behaviour.faults));
    }

    /// Takes all faults away, from everyone and every client.
    pub fn clear_faults(&self) {
        self.set_faults(Faults::default());
        for client in self.client_behaviours().keys() {
            self.set_client_faults(client, Faults::default());
        }
    }

    /// Sets the class of refresh of everyone; the faults stay.
    pub fn set_class(&self, class: RefreshClass) {
        self.update(None, |behaviour| behaviour.class = class);
    }

    /// Applies a script such as `class=overlap:10,lose_reply=1` to everyone's behaviour.
    ///
    /// # Errors
    /// When a name is unknown or a value does not fit; nothing is changed then.
    pub fn script(&self, script: &str) -> Result<(), BehaviourError> {
        let behaviour = self.behaviour().scripted(script)?;
        self.set_behaviour(behaviour);
        Ok(())
    }

    /// Everything counted since the start or the last reset.
    pub fn counters(&self) -> Counters {
        self.state.tally().snapshot(self.state.now())
    }

    /// All remembered families, oldest first.
    pub fn families(&self) -> Vec<Family> {
        self.state.ledger().families(self.state.now())
    }

    /// Events from now on; a listener that lags by more than 1024 misses the oldest.
    pub fn subscribe(&self) -> broadcast::Receiver<ProviderEvent> {
        self.state.subscribe()
    }

    /// Makes a new signing key; the last three former ones stay in the key set. Returns the new key's id.
    ///
    /// # Errors
    /// When no key could be generated; the old one stays in use then.
    pub fn rotate_keys(&self) -> Result<String, KeyError> {
        let kid = self.state.keys().rotate()?.to_owned();
        self.state.tell(News::new(EventKind::Keys, format!("The signing key is now {kid}.")));
        Ok(kid)
    }

    /// A logout token for `client` (OIDC Back-Channel Logout 1.0 §2.4) about a user, a session, or both: what the provider posts
    /// to a client's `backchannel_logout_uri` when somebody signs out.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn logout_token(&self, client: &str, sub: Option<&str>, sid: Option<&str>) -> Result<String, KeyError> {
        backchannel::logout_token(&self.state, client, backchannel::Whom { sub, sid })
    }

    /// Revokes a family as an operator would; tells whether it was alive.
    pub fn revoke_family(&self, family: u64) -> bool {
        let revoked = self.state.ledger().revoke_family(family, RevocationReason::Operator, self.state.now());
        if revoked {
            self.state.tell(News {
                family: Some(family),
                ..News::new(EventKind::Revoke, format!("An operator revoked family {family}."))
            });
        }
        revoked
    }

    /// Presents a refresh token of a family as a thief would who has the client's credentials as well: the one with this serial, or else
    /// the last that was spent. No fault strikes; what it yields is thrown away. `None` when there is no such token.
    pub fn replay(&self, family: u64, serial: Option<u64>) -> Option<Outcome> {
        thief::replay(&self.state, family, serial)
    }

    /// Forgets all counters.
    pub fn reset_counters(&self) {
        *self.state.tally() = Tally::default();
        self.state.tell(News::new(EventKind::Reset, "The counters were reset."));
    }

    /// As after a restart: forgets codes, tokens, sign-ins and counters, and takes up the builder's behaviour. The keys stay.
    pub fn reset(&self) {
        self.state.script().reset(self.state.now());
        *self.state.ledger() = Ledger::default();
        *self.state.visitors() = Visitors::default();
        *self.state.tally() = Tally::default();
        self.state.tell(News::new(EventKind::Reset, "Everything was reset."));
    }

    pub(crate) fn set(&self, client: Option<&str>, behaviour: Behaviour) {
        self.state.script().set(client, behaviour, self.state.now());
        self.tell_behaviour(client);
    }

    fn update(&self, client: Option<&str>, change: impl FnOnce(&mut Behaviour)) {
        self.state.script().adjust(client, change, self.state.now());
        self.tell_behaviour(client);
    }

    fn settled(&self) -> MutexGuard<'_, Script> {
        let mut script = self.state.script();
        script.settle(self.state.now());
        script
    }

    fn tell_behaviour(&self, client: Option<&str>) {
        let behaviour = self.state.script().of(client).clone();
        let faults = if behaviour.faults.any() { "with faults" } else { "without faults" };
        self.state.tell(News {
            client,
            ..News::new(EventKind::Behaviour, format!("The provider is now {}, {faults}.", behaviour.class))
        });
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("issuer", &self.issuer()).finish_non_exhaustive()
    }
}
