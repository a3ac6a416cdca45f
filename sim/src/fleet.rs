//! The replicas: engines behind a small application, which are started, stopped, killed and given other secrets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::routing::get;
use axum::{Json, Router};
use perennial::provider::ConsentPrompt;
use perennial::secret::{ClientSecret, CookieSecret};
use perennial::{Auth, BearerToken, Event, HttpClient, Provider, RenewalPolicy, Session};
use serde_json::{Value, json};

use crate::dice::{Dice, EngineDice};
use crate::provider::ISSUER;
use crate::sabotage;
use crate::shelf::StoreLine;
use crate::wire::Wire;
use crate::world::{Life, ReplicaClock, World, lock};

/// All replicas behind one name.
pub(crate) struct Fleet {
    world: Arc<World>,
    replicas: Vec<Mutex<Replica>>,
}

#[derive(Default)]
struct Replica {
    running: Option<Arc<Engine>>,
    /// One is draining: the next starts when it is gone, as whoever has a store for itself must.
    stopping: bool,
    lives: usize,
}

/// One running engine.
pub(crate) struct Engine {
    pub(crate) life: Arc<Life>,
    pub(crate) auth: Auth,
    pub(crate) app: Router,
}

impl Fleet {
    pub(crate) fn start(world: &Arc<World>) -> Arc<Self> {
        let replicas = world.scenario.clocks.iter().map(|_| Mutex::default()).collect::<Vec<_>>();
        let fleet = Arc::new(Self { world: world.clone(), replicas });
        for replica in 0..fleet.len() {
            fleet.boot(replica);
        }
        fleet
    }

    pub(crate) fn len(&self) -> usize {
        self.replicas.len()
    }

    pub(crate) fn running(&self, replica: usize) -> Option<Arc<Engine>> {
        lock(&self.replicas[replica]).running.clone()
    }

    /// Starts a replica that is down, with an empty memory.
    pub(crate) fn boot(&self, replica: usize) {
        let lives = {
            let mut place = lock(&self.replicas[replica]);
            if place.running.is_some() || place.stopping {
                return;
            }
            place.lives += 1;
            place.lives
        };
        let life = Life::new(replica, replica * LIVES + lives);
        self.world.note(format_args!("{life} starts"));
        // A new secret is being rolled out: whoever starts once more has it in front.
        let secrets = if lives > 1 { &[NEW_SECRET, OLD_SECRET][..] } else { &[OLD_SECRET] };
        let engine = Arc::new(Engine::start(&self.world, life, secrets));
        lock(&self.replicas[replica]).running = Some(engine);
    }

    /// Kills a replica where it stands.
    pub(crate) fn kill(&self, replica: usize) {
        if let Some(engine) = lock(&self.replicas[replica]).running.take() {
            self.world.note(format_args!("{} dies", engine.life));
            engine.life.die(self.world.now());
            self.world.book().tally.crashes += 1;
        }
    }

    /// Stops a replica as an operator does: no new requests, renewals come to their end, then it goes.
    pub(crate) async fn stop(&self, replica: usize) {
        let engine = {
            let mut place = lock(&self.replicas[replica]);
            let Some(engine) = place.running.take() else { return };
            place.stopping = true;
            engine
        };
        self.world.note(format_args!("{} drains", engine.life));
        let drained = tokio::time::timeout(DRAIN, engine.auth.drain()).await;
        if drained.is_ok() {
            self.world.judge_drained(&engine.life);
        }
        self.world.note(format_args!("{} is gone", engine.life));
        engine.life.die(self.world.now());
        lock(&self.replicas[replica]).stopping = false;
    }
}

impl Engine {
    fn start(world: &Arc<World>, life: Arc<Life>, secrets: &[&str]) -> Self {
        let scenario = &world.scenario;
        let provider = Provider::preset("oidc")
            .expect("a preset")
            .issuer(ISSUER)
            .client_id("app")
            .client_secret(ClientSecret::new("planted-client-secret"))
            .consent(ConsentPrompt::Never)
            .class(scenario.believed())
            .at_kill(scenario.at_kill);
        let policy = RenewalPolicy {
            min_interval: Duration::from_millis(scenario.min_interval),
            max_per_second: sabotage::pace(scenario),
            ..RenewalPolicy::default()
        };
        let dice = Dice::new(scenario.seed, &format!("engine {}", life.number));
        let store = StoreLine { world: world.clone(), life: life.clone() };
        let wire = Wire { world: world.clone(), life: life.clone() };
        let (watching, watched) = (world.clone(), life.clone());
        let builder = secrets.iter().fold(Auth::builder(), |auth, secret| auth.secret(CookieSecret::new(*secret)));
        let auth = builder
            .public_url(APP)
            .provider(provider)
            .renewal(policy)
            .secret_roll_out(ROLL_OUT)
            .store(sabotage::store(store))
            .clock(ReplicaClock { world: world.clone(), replica: life.replica })
            .random(EngineDice::new(dice))
            .http_client(Line(sabotage::wire(wire)))
            .on_event(move |event| watching.happened(&watched, event))
            .build()
            .expect("the configuration is right");
        let app = Router::new().route("/data", get(data)).merge(auth.router()).layer(auth.layer());
        Self { life, auth, app }
    }
}

/// Stands for a call to an upstream: tells which token would go there, and whose session it is.
async fn data(session: Session, BearerToken(token): BearerToken) -> Json<Value> {
    Json(json!({
        "bearer": token.expose_secret(),
        "generation": session.generation().0,
        "sub": session.claims().get("sub"),
    }))
}

/// A client that may have been tampered with.
struct Line(Arc<dyn HttpClient>);

impl HttpClient for Line {
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
        deadline: Duration,
    ) -> futures_util::future::BoxFuture<'_, Result<http::Response<bytes::Bytes>, perennial::SendError>> {
        self.0.send(request, deadline)
    }
}

impl World {
    fn happened(&self, life: &Life, event: &Event) {
        if life.is_dead() {
            return;
        }
        let shown = match event {
            Event::StaleCookieSaved { presented, newest, .. } => {
                self.book().tally.stale_saved += 1;
                format!("saves a stale cookie of generation {} with {}", presented.0, newest.0)
            }
            Event::Ended { reason, .. } => format!("ends a session: {reason:?}"),
            Event::Alarm { code, .. } => format!("alarm {code}"),
            Event::Renewal(renewal) => format!("renewal, {:?}: {:?}", renewal.reason, renewal.outcome),
            _ => return,
        };
        self.note(format_args!("{life} {shown}"));
    }
}

/// Where browsers reach the fleet.
pub(crate) const APP: &str = "https://app.example";

/// The provider's id.
pub(crate) const PROVIDER_ID: &str = "oidc";

/// The secret in force and its successor.
pub(crate) const SECRETS: [&str; 2] = [OLD_SECRET, NEW_SECRET];

const OLD_SECRET: &str = "planted-cookie-secret-of-32-bytes";
const NEW_SECRET: &str = "another-cookie-secret-of-32-bytes";

/// Longer than a run: nobody can say when the last replica will have started anew.
const ROLL_OUT: Duration = Duration::from_secs(3600);

/// The session cookie's name.
pub(crate) const SESSION_COOKIE: &str = "__Secure-authjs.session-token";

/// How long a shutdown waits for renewals.
const DRAIN: Duration = Duration::from_secs(30);

/// Lives of one replica have numbers of their own.
const LIVES: usize = 1_000;
