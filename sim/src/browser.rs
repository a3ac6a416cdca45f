//! A browser: a jar of cookies that several tabs share, and requests with it, whose answers may get lost or arrive late.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::header::{ACCEPT, COOKIE, LOCATION, ORIGIN, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::BodyExt;
use perennial::{Door, Generation};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::dice::Dice;
use crate::fleet::{APP, Engine, Fleet, SESSION_COOKIE};
use crate::laws::Asking;
use crate::sabotage;
use crate::scenario::Millis;
use crate::world::{World, lock, sleep};

/// A jar and those who use it.
pub(crate) struct Browser {
    pub(crate) name: String,
    world: Arc<World>,
    fleet: Arc<Fleet>,
    jar: Arc<Mutex<BTreeMap<String, String>>>,
    signing_in: AtomicBool,
}

/// What a tab wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A page that calls an upstream.
    Data,
    /// To know who is signed in.
    Session,
    /// To renew now.
    Refresh,
    /// To be served again, because an upstream refused the access token of this generation.
    Unauthorized(u64),
    SignOut,
}

/// An answer as far as anybody looks at it.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: String,
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Value,
    /// Cookies to keep, and cookies to forget.
    pub(crate) set: BTreeMap<String, String>,
    pub(crate) forget: Vec<String>,
}

impl Answer {
    async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut answer = Self {
            status: parts.status.as_u16(),
            location: text(LOCATION).to_owned(),
            retry_after: text(RETRY_AFTER).parse().ok(),
            body: serde_json::from_slice(&body).unwrap_or(Value::Bool(false)),
            ..Self::default()
        };
        answer.read_cookies(parts.headers.get_all(SET_COOKIE).iter());
        answer
    }

    fn read_cookies<'a>(&mut self, lines: impl Iterator<Item = &'a HeaderValue>) {
        for line in lines.filter_map(|line| line.to_str().ok()) {
            let Some((name, value)) = line.split(';').next().and_then(|pair| pair.split_once('=')) else { continue };
            match line.contains("Max-Age=0") {
                true => self.forget.push(name.to_owned()),
                false => {
                    self.set.insert(name.to_owned(), value.to_owned());
                }
            }
        }
    }

    /// Whether it takes the session away.
    pub(crate) fn clears(&self) -> bool {
        let of_session = |name: &String| name.starts_with(SESSION_COOKIE);
        self.forget.iter().any(of_session) && !self.set.keys().any(of_session)
    }
}

impl Browser {
    pub(crate) fn new(name: String, world: &Arc<World>, fleet: &Arc<Fleet>) -> Self {
        Self {
            name,
            world: world.clone(),
            fleet: fleet.clone(),
            jar: Arc::default(),
            signing_in: AtomicBool::new(false),
        }
    }

    /// Takes over a copy of another's cookies, which grow old from here on.
    pub(crate) fn copy_from(&self, other: &Self) {
        let cookies = lock(&other.jar).clone();
        *lock(&self.jar) = cookies;
    }

    pub(crate) fn has_session(&self) -> bool {
        lock(&self.jar).keys().any(|name| name.starts_with(SESSION_COOKIE))
    }

    /// One request and its answer; `None` if there was none.
    pub(crate) async fn ask(&self, wish: Wish, dice: &mut Dice) -> Option<Answer> {
        let (world, began) = (&self.world, self.world.now());
        let engine = self.some_engine(dice)?;
        let life = &engine.life;
        let headers = self.headers();
        let presented = world.book().presented(&lock(&self.jar));
        let newest = presented.and_then(|presented| self.note_asking(wish, &engine, presented));
        let (hangs_up, late) = self.fate(dice);
        if dice.chance(30) {
            self.compare_due(&headers);
        }
        world.book().tally.requests += 1;
        let mut answer = tokio::select! {
            biased;
            answer = serve(&engine, wish, headers) => answer,
            () = life.death() => return None,
            () = sleep(hangs_up.unwrap_or(PATIENCE)) => {
                if hangs_up.is_none() {
                    world.book().accuse("L1", format!("{life} has not answered {} for {PATIENCE} ms", self.name));
                }
                return None;
            }
        };
        tokio::select! {
            biased;
            () = life.gate(world) => {}
            () = life.death() => return None,
        }
        sabotage::answered(world, &mut answer);
        world.note(format_args!("{} gets {} to {wish:?} from {life}", self.name, answer.status));
        if wish == Wish::SignOut
            && let Some(presented) = presented
        {
            world.signed_out(life, presented.family);
        }
        if let Some(presented) = presented {
            world.judge_answer(&Asking { life, wish, presented, began, newest }, &answer);
        }
        self.keep(&answer, late);
        Some(answer)
    }

    /// Enters a request into books and log; answers with the newest generation in the record.
    fn note_asking(&self, wish: Wish, engine: &Engine, presented: crate::book::Presented) -> Option<u64> {
        let (world, life, now) = (&self.world, &engine.life, self.world.now());
        let family = presented.family;
        world.note(format_args!(
            "{} asks {life} for {wish:?} with s{family} generation {}",
            self.name, presented.generation
        ));
        let up = now >= world.weather().down_until && !life.is_partitioned(now);
        let mut book = world.book();
        let facts = book.sessions.get_mut(&family)?;
        if up {
            facts.chances.push(now);
        }
        if wish == Wish::SignOut {
            facts.sign_out_asked.get_or_insert(now);
        }
        let key = facts.key;
        drop(book);
        sabotage::came_back(world, key, presented, &lock(&self.jar));
        world.shelf().record(&key).map(|record| record.generation.0)
    }

    fn some_engine(&self, dice: &mut Dice) -> Option<Arc<Engine>> {
        self.fleet.running(dice.below(self.fleet.len() as u64) as usize)
    }

    /// Whether the caller hangs up in mid-call, and after how long its cookies arrive; `None` for never.
    fn fate(&self, dice: &mut Dice) -> (Option<Millis>, Option<Millis>) {
        let rate = if self.world.calm() { 0 } else { self.world.scenario.rates.browser };
        let hangs_up = dice.chance(rate).then(|| dice.between(1, 3_000));
        let late = match dice.chance(rate * 3) {
            false => Some(0),
            true if dice.chance(300) => None,
            true => Some(dice.between(1, 20_000)),
        };
        (hangs_up, late)
    }

    /// S12: all replicas say alike when a session is due.
    fn compare_due(&self, headers: &HeaderMap) {
        let engines = (0..self.fleet.len()).filter_map(|replica| self.fleet.running(replica));
        let due: Vec<_> = engines.filter_map(|engine| engine.auth.peek(headers)).map(|peek| peek.due_at).collect();
        if due.windows(2).any(|pair| pair[0] != pair[1]) {
            self.world.book().accuse("S12", format!("replicas differ on when {} is due: {due:?}", self.name));
        }
    }

    fn headers(&self) -> HeaderMap {
        let cookies: Vec<String> = lock(&self.jar).iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut headers = HeaderMap::from_iter([
            (ORIGIN, HeaderValue::from_static(APP)),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        if !cookies.is_empty() {
            headers.insert(COOKIE, HeaderValue::from_str(&cookies.join("; ")).expect("cookies are ASCII"));
        }
        headers
    }

    fn keep(&self, answer: &Answer, late: Option<Millis>) {
        let Some(late) = late else { return };
        if answer.set.is_empty() && answer.forget.is_empty() {
            return;
        }
        let (jar, set, forget) = (self.jar.clone(), answer.set.clone(), answer.forget.clone());
        let apply = move || {
            let mut jar = lock(&jar);
            jar.retain(|name, _| !forget.contains(name));
            jar.extend(set);
        };
        if late == 0 {
            return apply();
        }
        tokio::spawn(async move {
            sleep(late).await;
            apply();
        });
    }

    /// Signs somebody in who was never here before, unless another tab is at it.
    pub(crate) async fn sign_in(&self, dice: &mut Dice) {
        if self.signing_in.swap(true, Ordering::Relaxed) {
            return;
        }
        let signed_in = self.try_sign_in(dice).await;
        self.signing_in.store(false, Ordering::Relaxed);
        self.world.note(format_args!("{} signs in: {signed_in:?}", self.name));
        // Enters the session into the books.
        self.world.book().presented(&lock(&self.jar));
    }

    async fn try_sign_in(&self, dice: &mut Dice) -> Option<usize> {
        let begun = self.navigate("POST", "/auth/signin/oidc", dice).await?;
        let url: url::Url = begun.location.parse().ok()?;
        let parameter =
            |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        let (state, nonce) = (parameter("state")?, parameter("nonce").unwrap_or_default());
        let (family, code) = self.world.provider().authorize(&nonce, self.world.now());
        sleep(dice.between(100, 2_000)).await;
        self.navigate("GET", &format!("/auth/callback/oidc?code={code}&state={state}"), dice).await?;
        self.has_session().then_some(family)
    }

    /// A request outside the laws: the way through a sign-in.
    async fn navigate(&self, method: &str, path: &str, dice: &mut Dice) -> Option<Answer> {
        let engine = self.some_engine(dice)?;
        let request = request(method, path, self.headers());
        let answer = tokio::select! {
            biased;
            answer = engine.app.clone().oneshot(request) => Answer::read(answer.ok()?).await,
            () = engine.life.death() => return None,
            () = sleep(PATIENCE) => return None,
        };
        self.keep(&answer, Some(0));
        Some(answer)
    }
}

async fn serve(engine: &Engine, wish: Wish, headers: HeaderMap) -> Answer {
    let (method, path) = match wish {
        Wish::Data => ("GET", "/data"),
        Wish::Session => ("GET", "/auth/session"),
        Wish::Refresh => ("POST", "/auth/refresh"),
        Wish::SignOut => ("POST", "/auth/signout"),
        Wish::Unauthorized(seen) => return enter_again(engine, seen, &headers).await,
    };
    match engine.app.clone().oneshot(request(method, path, headers)).await {
        Ok(response) => Answer::read(response).await,
    }
}

/// What a gateway does when its upstream refuses a token.
async fn enter_again(engine: &Engine, seen: u64, headers: &HeaderMap) -> Answer {
    let entry = engine.auth.enter(&Method::GET, headers, Door::Unauthorized(Generation(seen))).await;
    let mut answer = Answer::default();
    answer.read_cookies(entry.set_cookies.iter());
    match entry.session.as_ref().map(|session| (session, session.bearer())) {
        None => answer.status = 401,
        Some((session, Ok(bearer))) => {
            answer.status = 200;
            answer.body = json!({
                "bearer": bearer.expose_secret(),
                "generation": session.generation().0,
                "sub": session.claims().get("sub"),
            });
        }
        Some((_, Err(refusal))) => {
            answer.status = refusal.status().as_u16();
            // A refusal writes the header when it becomes a response.
            answer.retry_after = Some(1);
        }
    }
    answer
}

fn request(method: &str, path: &str, headers: HeaderMap) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a request");
    *request.headers_mut() = headers;
    request
}

/// Nobody waits longer for an answer, and no answer may take so long.
const PATIENCE: Millis = 120_000;
