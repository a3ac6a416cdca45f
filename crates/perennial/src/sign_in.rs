//! Signing in, as a sequence of awaits: from a stranger to an authorization URL, and from a provider's answer to a session.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use perennial_core::authorize::{self, CallbackError, Manner, PendingSignIn, SignInRequest};
use perennial_core::names::ProviderId;
use perennial_core::origin::ReturnUrl;
use perennial_core::record::{Record, What, seal_state};
use perennial_core::session::{RESERVED_CLAIMS, SessionState, Subject, TokenSet};
use perennial_store::Swap;

use crate::alarm::AlarmCode;
use crate::auth::Auth;
use crate::callbacks::{Account, Callbacks, Claims, JwtCallback, JwtTrigger, SignInCallback, SignInVerdict, User};
use crate::engine::Inner;
use crate::event::Event;
use crate::hall::Challenge;
use crate::issuer::IssuerClient;
use crate::refusal::Refusal;
use crate::settings::SessionStrategy;

/// Where a browser has to go to sign in, and what it has to remember meanwhile.
#[derive(Clone, Debug)]
pub struct SignInStart {
    /// The provider's authorization URL.
    pub location: String,
    /// `Set-Cookie` lines for the answer that sends the browser there.
    pub set_cookies: Vec<HeaderValue>,
}

/// How a browser is sent to its provider.
pub(crate) struct SendOff {
    pub(crate) manner: Manner,
    pub(crate) challenge: Option<Challenge>,
}

/// Why a sign-in came to nothing; the names are Auth.js's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SignInFailure {
    /// The `signIn` callback said no.
    AccessDenied,
    /// The `signIn` callback sends the user elsewhere.
    Elsewhere(String),
    /// The provider answered with an error.
    OAuthCallbackError,
    /// The provider will not answer without a question to the user; where the sign-in is to lead.
    Noticed(String),
    /// The answer belongs to no sign-in of this browser, or to one that took too long.
    UnknownFlow,
    /// The session would lie in a store that does not take it.
    StoreUnavailable,
    /// Something on our side or between us and the provider.
    Configuration,
}

impl Auth {
    /// Starts a sign-in at `provider`, to come back to `return_to`: a URL of this site or of an allow-listed origin, of at most
    /// 2048 characters. Anything else is taken for the site's root.
    ///
    /// `extra` are parameters for the authorization request; those that may not be set from outside are dropped.
    ///
    /// # Errors
    /// [`Refusal::UnknownProvider`], or [`Refusal::RenewalSuspended`] when the provider's metadata cannot be had.
    pub async fn begin_sign_in(
        &self,
        headers: &HeaderMap,
        provider: &str,
        return_to: &str,
        extra: &[(String, String)],
    ) -> Result<SignInStart, Refusal> {
        let wish = SendOff { manner: Manner::Interactive, challenge: self.inner.challenge_of(headers) };
        self.send_to_provider(headers, &ProviderId::new(provider), return_to, extra, wish).await
    }

    /// [`begin_sign_in`](Self::begin_sign_in), noticed by the user or not.
    pub(crate) async fn send_to_provider(
        &self,
        headers: &HeaderMap,
        provider: &ProviderId,
        return_to: &str,
        extra: &[(String, String)],
        SendOff { manner, challenge }: SendOff,
    ) -> Result<SignInStart, Refusal> {
        let inner = &self.inner;
        let issuer = inner.issuers.iter().find(|issuer| issuer.provider().id == *provider);
        let issuer = issuer.ok_or(Refusal::UnknownProvider)?;
        let resolved = issuer.resolved(&inner.edges).await.map_err(|error| {
            let message = format!("Nobody can sign in with {provider}: {error}");
            inner.alarm_about(AlarmCode::ProviderUnreachable, &issuer.provider().id, &message);
            Refusal::RenewalSuspended { retry_after: std::time::Duration::from_secs(5) }
        })?;
        // Longer, and the browser would not keep the flow's cookie; elsewhere, and this were an open redirect.
        let judged = ReturnUrl::parse(return_to, &inner.settings.public_url, &inner.settings.return_origins);
        let root = format!("{}/", inner.settings.origin());
        let return_to = judged.as_ref().map_or(root.as_str(), ReturnUrl::as_str);
        let redirect_uri = inner.settings.endpoint_url(&format!("/callback/{provider}"));
        let claims = challenge.as_ref().map(|challenge| challenge.0.as_str());
        let request = SignInRequest { redirect_uri: &redirect_uri, return_to, parameters: extra, manner, claims };
        let (url, pending) = authorize::begin(&resolved, &request, inner.random(), inner.now());
        Ok(SignInStart { location: url.to_string(), set_cookies: inner.remember_flow(headers, &pending) })
    }
}

impl Inner {
    /// Ends a sign-in: exchanges the code, learns who the user is, asks the callbacks, keeps the session.
    ///
    /// Answers with where to go and the new session.
    pub(crate) async fn end_sign_in(
        self: &Arc<Self>,
        headers: &HeaderMap,
        provider: &ProviderId,
        answer: &str,
    ) -> Result<(String, SessionState), SignInFailure> {
        let issuer = self.issuers.iter().find(|issuer| issuer.provider().id == *provider);
        let issuer = issuer.ok_or(SignInFailure::Configuration)?;
        let state = authorize::state_of(answer).ok_or(SignInFailure::UnknownFlow)?;
        let pending = self.flow_of(headers, &state).filter(|flow| flow.provider == *provider);
        let pending = pending.ok_or(SignInFailure::UnknownFlow)?;
        let resolved = issuer.resolved(&self.edges).await.map_err(|error| log("metadata", &error))?;
        let code = authorize::read_callback(answer, &pending, &resolved, self.now()).map_err(|error| {
            tracing::warn!(%error, provider = provider.as_str(), "the provider's answer to a sign-in was refused");
            match error {
                CallbackError::Refused { .. } if pending.manner == Manner::Silent => {
                    SignInFailure::Noticed(pending.return_to.clone())
                }
                CallbackError::Refused { .. } => SignInFailure::OAuthCallbackError,
                _ => SignInFailure::Configuration,
            }
        })?;
        let response = issuer.exchange(&self.edges, code).await.map_err(|failure| {
            tracing::error!(
                provider = provider.as_str(),
                error = failure.error.as_deref(),
                verdict = ?failure.verdict,
                "the code exchange failed"
            );
            if let Some(message) = issuer.to_mend(&failure) {
                self.alarm_about(AlarmCode::ProviderRefusesClient, provider, &message);
            }
            SignInFailure::Configuration
        })?;
        let extra = response.extra.clone();
        let tokens = TokenSet::new(response, issuer.lifetime(&self.settings.renewal));
        let admitted = self.admit(issuer, tokens.clone(), extra, &pending).await;
        let begun = match admitted {
            Ok(session) => self.begin_record(&session).await.map(|()| session),
            Err(failure) => Err(failure),
        };
        match begun {
            Ok(session) => {
                self.emit(Event::SignedIn {
                    at: self.now(),
                    session: session.id.fingerprint(),
                    provider: provider.as_str().to_owned(),
                });
                Ok((pending.return_to.clone(), session))
            }
            Err(failure) => {
                // Nobody will use what was issued.
                if let Some(refresh_token) = &tokens.refresh_token {
                    self.revoke_token(issuer, refresh_token, None).await;
                }
                Err(failure)
            }
        }
    }

    async fn admit(
        &self,
        issuer: &IssuerClient,
        tokens: TokenSet,
        extra: Claims,
        pending: &PendingSignIn,
    ) -> Result<SessionState, SignInFailure> {
        let (profile, claims) = issuer
            .who_is(&self.edges, &tokens, pending, &self.settings.kept_claims)
            .await
            .map_err(|error| log("identity", &error))?;
        let user = User { id: profile.id, name: profile.name, email: profile.email, image: profile.image };
        let provider = issuer.provider().id.clone();
        let account = Account {
            provider: provider.as_str().to_owned(),
            provider_account_id: user.id.clone(),
            tokens: tokens.clone(),
            extra,
        };
        let ask = SignInCallback { user: user.clone(), account: account.clone(), profile: claims.clone() };
        match self.callbacks.sign_in(ask).await {
            Ok(SignInVerdict::Allow) => {}
            Ok(SignInVerdict::Redirect(to)) => return Err(SignInFailure::Elsewhere(to)),
            Ok(SignInVerdict::Deny) => return Err(SignInFailure::AccessDenied),
            Err(error) => {
                tracing::error!(%error, "the signIn callback failed: nobody is let in by a failure");
                return Err(SignInFailure::AccessDenied);
            }
        }
        let subject = Subject::at_sign_in(issuer.provider(), &claims, &user.id, self.now());
        let ask = JwtCallback {
            token: first_claims(&user, &claims, &self.settings.kept_claims),
            trigger: Some(JwtTrigger::SignIn),
            user: Some(user),
            account: Some(account),
            profile: Some(claims),
            session: None,
        };
        let claims = self.callbacks.jwt(ask).await.map_err(|error| log("jwt callback", &*error))?;
        let claims = claims.ok_or(SignInFailure::AccessDenied)?;
        let session = SessionState::begin(provider, claims, tokens, self.now(), self.random()).known_as(subject);
        Ok(session.proven_in(self.settings.epoch))
    }

    /// Writes the session's first record. Where the cookie carries the session, it is enough to go on without; where the
    /// record is the session, there is none without it.
    async fn begin_record(&self, session: &SessionState) -> Result<(), SignInFailure> {
        let sealed = seal_state(&self.keys().record, session, self.random());
        let record = Record::idle(session.generation, sealed).noting(self.entry(session, What::SignedIn, 0));
        let mut tries = FIRST_WRITES;
        let error = loop {
            tries -= 1;
            match self.swap(session, None, &record).await {
                // Nobody else knows this session: a conflict is our own write, of which the store said that it had failed.
                Ok(Swap::Stored(_) | Swap::Conflict(_)) => return Ok(()),
                Err(error) if tries > 0 && error.is_retryable() => tokio::time::sleep(FIRST_WRITE_PAUSE).await,
                Err(error) => break error,
            }
        };
        tracing::error!(%error, "a new session could not be put into the store");
        match self.settings.strategy {
            SessionStrategy::Jwt => {
                let message = "The session store fails: sessions live in their cookies alone until it is back.";
                self.alarm(AlarmCode::StoreUnavailable, message);
                Ok(())
            }
            SessionStrategy::Database => {
                let message = "The session store fails: nobody can sign in until it is back.";
                self.alarm(AlarmCode::StoreUnavailable, message);
                Err(SignInFailure::StoreUnavailable)
            }
        }
    }
}

/// Auth.js's first claims, with the provider's subject for `sub`, the same at every sign-in; and those of the `profile` that are to be
/// kept.
fn first_claims(user: &User, profile: &Claims, kept: &[String]) -> Claims {
    let members = [("name", &user.name), ("email", &user.email), ("picture", &user.image)];
    let mut claims: Claims =
        members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?.into()))).collect();
    claims.insert("sub".into(), user.id.clone().into());
    for name in kept.iter().filter(|name| !RESERVED_CLAIMS.contains(&name.as_str())) {
        if let (None, Some(value)) = (claims.get(name), profile.get(name)) {
            claims.insert(name.clone(), value.clone());
        }
    }
    claims
}

/// How often the first record of a session is written before the store counts as failing.
const FIRST_WRITES: u32 = 3;

/// What lies between two of these tries: a store that changes its master may need a moment.
const FIRST_WRITE_PAUSE: Duration = Duration::from_millis(100);

fn log(what: &'static str, error: &(impl std::fmt::Display + ?Sized)) -> SignInFailure {
    tracing::error!(%error, what, "a sign-in failed");
    SignInFailure::Configuration
}
