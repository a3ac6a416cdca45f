//! Sessions that renew themselves: sign-in with OAuth/OIDC for axum and tower, and renewal that never loses a session.
//!
//! A user signs in with a provider; the tokens lie in an encrypted cookie in Auth.js's format; the access token is renewed
//! ahead of its expiry, by one request, while all others go on. Tabs that race, old cookies, lost answers and failing
//! providers do not sign anybody out.
//!
//! Start at [`Auth`]. The life of a request, in the files that tell it: `layer` (receive) → `hall` (open, decide) → `renew`
//! (the one place that sends a refresh token) → `session` (attach) → `layer` (answer).

mod alarm;
mod audiences;
mod auth;
mod backchannel;
mod builder;
mod callbacks;
mod config_error;
mod cookies;
mod doubts;
mod edge;
mod end_session;
mod engine;
mod environment;
mod errands;
mod event;
pub mod explain;
mod flight;
mod flow;
mod hall;
mod happened;
mod iso8601;
mod issuer;
mod keys;
mod layer;
mod ledger;
mod machine;
mod marks;
mod metrics;
mod operator;
mod outcome;
mod pages;
mod refusal;
mod renew;
mod require;
mod routes;
mod session;
mod settings;
mod sign_in;
mod sign_out;
mod tombstones;
mod trace;
mod unwritten;
mod vigil;

pub use alarm::AlarmCode;
pub use auth::Auth;
pub use builder::AuthBuilder;
pub use callbacks::{
    Account, CallbackError, Callbacks, Claims, DefaultCallbacks, JwtCallback, JwtTrigger, SessionCallback,
    SignInCallback, SignInVerdict, User,
};
pub use config_error::{ConfigError, ConfigFault};
pub use cookies::foreign_cookies;
pub use edge::{Clock, HttpClient, HyperClient, SendError, SystemClock, SystemRandom};
pub use end_session::SignOutStart;
pub use event::{Event, Renewal, RenewalOutcome, RenewalReason};
pub use hall::{Challenge, Door, Entry, Peek};
pub use issuer::{ProviderReport, Refreshing};
pub use layer::{SessionLayer, SessionService};
pub use machine::MachineTokenError;
pub use metrics::METRICS_CONTENT_TYPE;
pub use operator::{EndSessionsError, SessionsOf};
pub use pages::{Color, ColorScheme, Theme};
pub use perennial_core::condition::Condition;
pub use perennial_core::id_token::JwsAlgorithm;
pub use perennial_core::identity;
pub use perennial_core::provider::{Provider, ProviderBuilder};
pub use perennial_core::random::random_token;
pub use perennial_core::renewal::RenewalPolicy;
pub use perennial_core::session::{Audience, Epoch, Generation, IdleFedBy, Interaction, Lifetimes, interaction};
pub use perennial_core::{SecureRandom, Timestamp, cookie, names, provider, record, secret};
pub use perennial_store as store;
pub use refusal::Refusal;
pub use require::{RequireSignIn, RequireSignInLayer};
pub use routes::wants_page;
pub use session::{BearerToken, Session};
pub use settings::{CookieFormat, Pages, SessionStrategy, Settings};
pub use sign_in::SignInStart;
pub use trace::request_span;
pub use unwritten::Reach;
