//! A session as an application sees it, and the extractors that hand it over.

use std::sync::Arc;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use perennial_core::Timestamp;
use perennial_core::condition::Condition;
use perennial_core::id_token::read_unverified_claims;
use perennial_core::names::ProviderId;
use perennial_core::secret::AccessToken;
use perennial_core::session::{AudienceToken, Generation, Lifetimes, SessionState, TokenSet};
use serde_json::Value;

use crate::auth::Auth;
use crate::callbacks::{Claims, User};
use crate::refusal::Refusal;

/// An open session. As an axum extractor it answers 401 to strangers; use `Option<Session>` to let them in. While the store
/// that alone knows who is there does not answer, both answer 503 with `Retry-After`.
///
/// ```
/// use perennial::Session;
///
/// async fn profile(session: Session) -> String {
///     format!("Hello {}", session.user().name.unwrap_or_default())
/// }
/// # let _ = profile;
/// ```
#[derive(Clone, Debug)]
pub struct Session {
    state: Arc<SessionState>,
    lifetimes: Lifetimes,
    bearer: Bearer,
    condition: Condition,
}

/// Which access token a session hands out.
#[derive(Clone, Debug)]
pub(crate) enum Bearer {
    /// The session's own.
    Live,
    /// One for the audience that was asked for.
    Audience(Arc<AudienceToken>),
    /// None.
    Absent,
    /// None for the audience that was asked for, and there will be none before somebody allows it at the provider.
    AudienceRefused,
    /// It has died and cannot be replaced just now.
    Refused(Refusal),
}

impl Session {
    /// A session whose access token is judged at `now`.
    pub(crate) fn new(state: Arc<SessionState>, lifetimes: Lifetimes, now: Timestamp, condition: Condition) -> Self {
        let bearer = match &state.tokens {
            Some(tokens) if tokens.alive_at(now) => Bearer::Live,
            _ => Bearer::Absent,
        };
        Self { state, lifetimes, bearer, condition }
    }

    /// A session whose access token has died and cannot be replaced just now, and why.
    pub(crate) fn suspended(state: Arc<SessionState>, lifetimes: Lifetimes, why: Refusal) -> Self {
        Self { state, lifetimes, bearer: Bearer::Refused(why), condition: Condition::Suspended }
    }

    /// The same session, handing out another access token.
    pub(crate) fn with_bearer(self, bearer: Bearer) -> Self {
        Self { bearer, ..self }
    }

    /// Who is signed in.
    pub fn user(&self) -> User {
        user_of(&self.state.claims)
    }

    /// The session's claims (Auth.js `token`): `name`, `email`, `picture`, `sub` and what the `jwt` callback kept.
    pub fn claims(&self) -> &Claims {
        &self.state.claims
    }

    /// Where the user signed in.
    pub fn provider(&self) -> &ProviderId {
        &self.state.provider
    }

    /// How many renewals lie behind the session.
    pub fn generation(&self) -> Generation {
        self.state.generation
    }

    /// Names the session in logs and headers; useless for opening it.
    pub fn fingerprint(&self) -> String {
        self.state.id.fingerprint()
    }

    /// How the session stands: whether its access token is fresh, and if not, whether the next can be had.
    pub fn condition(&self) -> Condition {
        self.condition
    }

    /// When the user signed in.
    pub fn started_at(&self) -> Timestamp {
        self.state.started_at
    }

    /// When the session ends unless a person uses it: `max_age` from the last visit that was noted. A visit is noted when the
    /// last note is `update_age` old.
    pub fn idle_until(&self) -> Timestamp {
        self.lifetimes.idle_until(&self.state)
    }

    /// When the session ends whatever happens, counted from sign-in; `None` for never.
    pub fn absolute_until(&self) -> Option<Timestamp> {
        self.lifetimes.absolute_until(&self.state)
    }

    /// When the refresh token dies, where the provider says so: unless it gives another by then, the session ends when the
    /// access token does. The session's cookie promises nothing beyond.
    pub fn renewable_until(&self) -> Option<Timestamp> {
        self.state.tokens.as_ref()?.refresh_token_expires_at
    }

    /// The access token, if a live one can be handed out: the session's own, or that of the audience it was asked for with
    /// ([`Auth::enter_for`](crate::Auth::enter_for)).
    ///
    /// # Errors
    /// [`Refusal::NoAccessToken`] when the provider gave none that lives, [`Refusal::RenewalSuspended`] when it has died
    /// and the provider cannot be reached for the next, [`Refusal::ReauthenticationRequired`] when the provider must see the
    /// user first, [`Refusal::AudienceRefused`] when the provider gives none for the audience.
    pub fn bearer(&self) -> Result<&AccessToken, Refusal> {
        match (&self.state.tokens, &self.bearer) {
            (Some(tokens), Bearer::Live) => Ok(&tokens.access_token),
            (_, Bearer::Audience(token)) => Ok(&token.access_token),
            (_, Bearer::Refused(why)) => Err(*why),
            (_, Bearer::AudienceRefused) => Err(Refusal::AudienceRefused),
            (None, Bearer::Live) | (_, Bearer::Absent) => Err(Refusal::NoAccessToken),
        }
    }

    /// When the access token expires, if that is known: of the token that [`bearer`](Self::bearer) hands out, or of the session's own
    /// while it hands out none.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match &self.bearer {
            Bearer::Audience(token) => token.expires_at,
            Bearer::AudienceRefused => None,
            Bearer::Live | Bearer::Absent | Bearer::Refused(_) => self.tokens()?.expires_at,
        }
    }

    /// The provider's tokens, dead or alive.
    pub fn tokens(&self) -> Option<&TokenSet> {
        self.state.tokens.as_ref()
    }

    pub(crate) fn state(&self) -> &Arc<SessionState> {
        &self.state
    }
}

impl Auth {
    /// All that is known of a user, for deciding what they may do: the claims of the newest ID token, and those of the session that it
    /// does not have (of UserInfo, or of the `jwt` callback). The provider's word goes before the session's. What users may set
    /// themselves by `POST /api/update-user-data` is left out, and so is what protects the ID token itself; email addresses are
    /// lower-cased.
    pub fn known_claims(&self, session: &Session) -> Claims {
        let mut claims = session.claims().clone();
        let settings = self.settings();
        claims.retain(|name, _| !(settings.compat_routes && settings.updatable_claims.contains(name)));
        let id_token = session.tokens().and_then(|tokens| tokens.id_token.as_ref());
        // It was verified before it was sealed into the session.
        let told = id_token.and_then(|token| read_unverified_claims(token).ok());
        for (name, value) in told.into_iter().flat_map(|told| told.all) {
            match value {
                _ if ID_TOKEN_OWN.contains(&name.as_str()) => {}
                Value::String(email) if name == "email" => drop(claims.insert(name, email.to_lowercase().into())),
                value => drop(claims.insert(name, value)),
            }
        }
        claims
    }
}

/// Claims that are about the ID token and not about the user: OIDC Core §2, §3.1.3.6, §3.3.2.11.
const ID_TOKEN_OWN: [&str; 8] = ["nonce", "at_hash", "c_hash", "s_hash", "iat", "exp", "nbf", "jti"];

/// Put into a request's extensions by the layer: who is there, and what was asked for before any router cut it down.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    pub(crate) session: Option<Session>,
    /// Why nobody can say who is there.
    pub(crate) unavailable: Option<Refusal>,
    pub(crate) target: http::Uri,
}

impl Visitor {
    /// The visitor of a request, if it came through the layer.
    pub(crate) fn of(extensions: &http::Extensions) -> Option<&Self> {
        let visitor = extensions.get();
        if visitor.is_none() {
            tracing::error!(
                "a session was asked for on a route without the session layer: add `.layer(auth.layer())` to the router"
            );
        }
        visitor
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        visitor(parts)?.ok_or(Refusal::NotSignedIn)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Refusal> {
        visitor(parts)
    }
}

/// A live access token, for a call to an upstream in the user's name.
///
/// As an axum extractor it answers 401 to strangers, 403 where the session has no access token, and 503 with
/// `Retry-After` while the token has died and the provider is out of reach, or 401 `reauthentication_required`.
#[derive(Clone, Debug)]
pub struct BearerToken(pub AccessToken);

impl<S: Send + Sync> FromRequestParts<S> for BearerToken {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let session = visitor(parts)?.ok_or(Refusal::NotSignedIn)?;
        session.bearer().cloned().map(Self)
    }
}

fn visitor(parts: &Parts) -> Result<Option<Session>, Refusal> {
    match Visitor::of(&parts.extensions) {
        Some(Visitor { unavailable: Some(refusal), .. }) => Err(*refusal),
        Some(visitor) => Ok(visitor.session.clone()),
        None => Ok(None),
    }
}

pub(crate) fn user_of(claims: &Claims) -> User {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    User { id: text("sub").unwrap_or_default(), name: text("name"), email: text("email"), image: text("picture") }
}
