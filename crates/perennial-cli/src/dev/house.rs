//! The house that `perennial dev` puts up: provider, gateway, app, story, and the doors between them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use http::{HeaderMap, HeaderValue};
use perennial::secret::CookieSecret;
use perennial::{SecureRandom, SystemRandom};
use perennial_provider::{EventKind, ProviderEvent};
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::actions::Laboratory;
use super::gate::{Gate, GateError};
use super::jar::Jar;
use super::provider::{Loot, Provider};
use super::seen::SessionSeen;
use super::state::{Story, now};
use super::tab::Tab;
use super::view::{Kind, Tick};
use super::words;

/// How often a gateway is begun again before that counts as failed: its predecessor may still be letting go of the file.
const ATTEMPTS: u32 = 100;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(20);
/// For how long the gateway stays away, so that a person can see it.
const AWAY: Duration = Duration::from_millis(700);

/// What does not change while the house stands.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The public port.
    pub(super) listen: SocketAddr,
    /// What the gateway's admin endpoints are served on.
    pub(super) admin: Arc<std::net::TcpListener>,
    /// `localhost:4200`, as browsers name it.
    pub(super) public_host: String,
    pub(super) issuer: String,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    /// Where the app behind the gateway listens.
    pub(super) upstream: SocketAddr,
    /// The file that survives the gateway.
    pub(super) store: PathBuf,
}

impl Plan {
    /// `client_secret_basic`: RFC 6749 §2.3.1. Id and secret are plain letters and digits, so nothing needs encoding first.
    pub(super) fn client_authorization(&self) -> HeaderValue {
        let pair =
            base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", self.client_id, self.client_secret));
        HeaderValue::try_from(format!("Basic {pair}")).expect("base64 fits into a header")
    }
}

/// Everything that outlives the gateway.
#[derive(Debug)]
pub(super) struct House {
    plan: Plan,
    story: Arc<Story>,
    provider: Provider,
    laboratory: Laboratory,
    secrets: Mutex<Vec<CookieSecret>>,
    gate: Mutex<Option<Gate>>,
    held: Arc<Mutex<HashMap<String, usize>>>,
    requests: AtomicU32,
}

impl House {
    /// A house whose gateway has not been opened yet.
    pub(super) fn new(plan: Plan, story: Arc<Story>, provider: Provider) -> Arc<Self> {
        Arc::new(Self {
            plan,
            story,
            provider,
            laboratory: Laboratory::new(Handle::current()),
            secrets: Mutex::new(vec![new_secret()]),
            gate: Mutex::new(None),
            held: Arc::default(),
            requests: AtomicU32::new(0),
        })
    }

    /// What the page tells.
    pub(super) fn story(&self) -> &Story {
        &self.story
    }

    /// The same, to keep.
    pub(super) fn shared_story(&self) -> Arc<Story> {
        Arc::clone(&self.story)
    }

    /// The other side's controls.
    pub(super) fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Where experiments are carried out.
    pub(super) fn laboratory(&self) -> &Laboratory {
        &self.laboratory
    }

    /// What does not change.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The session of a request, looked at without any effect on it.
    pub(super) fn peek(&self, headers: &HeaderMap) -> Option<SessionSeen> {
        let auth = lock(&self.gate).as_ref().map(|gate| gate.auth().clone())?;
        auth.peek(headers).as_ref().map(SessionSeen::of)
    }

    /// Another tab of the browser with these cookies.
    pub(super) fn tab(&self, jar: Jar) -> Tab {
        Tab::new(jar, &self.plan.public_host, self.plan.listen.port())
    }

    /// Takes note of a session whose cookie has passed.
    pub(super) fn note(&self, seen: &SessionSeen) {
        self.story.session(seen);
        if self.provider.introduce(&seen.session, &seen.refresh_token) {
            self.story.provider(&seen.session, self.provider.view(&seen.session));
        }
    }

    /// Takes note of what happened at the provider.
    pub(super) fn provider_said(&self, event: &ProviderEvent) {
        let family = self.provider.note(event);
        if !matches!(event.kind, EventKind::Token | EventKind::Revoke) {
            return;
        }
        for session in self.provider.sessions_of(family) {
            self.story.provider(&session, self.provider.view(&session));
            if let Some((sentence, about)) = words::at_provider(event) {
                self.story.say(&session, Kind::Provider, sentence, about);
            }
        }
    }

    /// Ends the second under way in the drawing.
    pub(super) fn tick(&self) {
        let (app, redeemed) = (self.requests.swap(0, Ordering::Relaxed), self.provider.take_redeemed());
        self.story.tick(Tick { second: now() / 1000, app, redeemed });
    }

    /// Ends everything at the end of the process.
    pub(super) fn close(&self) {
        if let Some(gate) = lock(&self.gate).take() {
            gate.kill();
        }
    }

    /// Opens the gateway. That reads a file and binds a port, and what fails is torn down, which may block, too.
    pub(super) async fn open(self: &Arc<Self>) -> Result<(), GateError> {
        let house = Arc::clone(self);
        let opened = tokio::task::spawn_blocking(move || {
            let secrets = lock(&house.secrets).clone();
            let gate = Gate::open(&house, &secrets)?;
            *lock(&house.gate) = Some(gate);
            Ok(())
        });
        opened.await.unwrap_or_else(|error| Err(GateError::said(error)))
    }

    /// Kills the gateway as hard as one process allows and opens it again on what is left: the file.
    pub(super) async fn restart(self: &Arc<Self>) -> Result<(), String> {
        let house = Arc::clone(self);
        // A task of its own: an experiment stopped half-way must not leave the house without a gateway.
        let restarted = tokio::spawn(async move { house.close_and_open().await });
        restarted.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    async fn close_and_open(self: &Arc<Self>) -> Result<(), String> {
        self.close();
        sleep(AWAY).await;
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.open().await {
                Ok(()) => return Ok(()),
                Err(error) if attempts == ATTEMPTS => return Err(format!("The gateway did not come back: {error}")),
                Err(_) => sleep(BETWEEN_ATTEMPTS).await,
            }
        }
    }

    /// Restarts the gateway with a new secret in front of the old ones; tells how many there are.
    pub(super) async fn rotate_secret(self: &Arc<Self>) -> Result<usize, String> {
        let count = {
            let mut secrets = lock(&self.secrets);
            secrets.insert(0, new_secret());
            secrets.len()
        };
        self.restart().await?;
        Ok(count)
    }

    /// Does what a thief does who has got hold of an old cookie and of the secret.
    pub(super) async fn present_refresh_token_of(&self, jar: &Jar) -> Result<Loot, String> {
        let auth = lock(&self.gate).as_ref().map(|gate| gate.auth().clone());
        let peek = auth.and_then(|auth| auth.peek(&jar.headers()));
        let token = peek.and_then(|peek| peek.session.tokens().and_then(|tokens| tokens.refresh_token.clone()));
        let token = token.ok_or("The old cookie holds no refresh token.")?;
        self.provider.present(&self.plan, &token).await
    }

    /// Holds back the page's own requests of a session until the guard is dropped.
    pub(super) fn hold(&self, session: &str) -> Held {
        *lock(&self.held).entry(session.to_owned()).or_default() += 1;
        Held { held: Arc::clone(&self.held), session: session.to_owned() }
    }

    /// Whether the page's own requests of `session` are held back.
    pub(super) fn is_held(&self, session: &str) -> bool {
        lock(&self.held).contains_key(session)
    }

    /// Counts one request to the app.
    pub(super) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }
}

/// The page's requests of one session stay out until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    held: Arc<Mutex<HashMap<String, usize>>>,
    session: String,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = lock(&self.held);
        if let Some(count) = held.get_mut(&self.session) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.session);
            }
        }
    }
}

fn new_secret() -> CookieSecret {
    CookieSecret::new(random_text())
}

/// 32 random bytes in hex.
pub(super) fn random_text() -> String {
    let mut bytes = [0_u8; 32];
    SystemRandom.fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
