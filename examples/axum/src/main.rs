//! An axum application whose users stay signed in: a public page, a private one, and an upstream called in their name.

mod upstream;

use std::error::Error;
use std::future::Future;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use perennial::{Auth, BearerToken, Session, store};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use upstream::Upstream;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::INFO).init();
    let variable = |name: &str, otherwise: &str| std::env::var(name).unwrap_or_else(|_| otherwise.to_owned());

    // AUTH_SECRET, AUTH_URL, AUTH_OIDC_ISSUER and so on, as Auth.js reads them.
    let auth =
        Auth::builder().environment(std::env::vars()).store(store::open(&variable("STORE", "memory:"))?).build()?;
    let upstream = Upstream::new(&variable("UPSTREAM_URL", "http://127.0.0.1:4201/userinfo"))?;

    let listener = TcpListener::bind(variable("LISTEN", "127.0.0.1:3000")).await?;
    tracing::info!(listen = %listener.local_addr()?, public_url = %auth.settings().public_url, "ready");
    axum::serve(listener, app(&auth, upstream)).with_graceful_shutdown(stop()).await?;
    // A renewal under way holds a refresh token that works once: let it come home.
    auth.drain().await;
    Ok(())
}

fn app(auth: &Auth, upstream: Upstream) -> Router {
    Router::new()
        .route("/me", get(me))
        .route("/api/data", get(data))
        .fallback(|| async { (StatusCode::NOT_FOUND, "There is no such page.\n") })
        // Everything above is for users only; what comes below is for everybody.
        .layer(auth.require_sign_in())
        .route("/", get(home))
        .with_state(upstream)
        .merge(auth.router())
        .layer(auth.layer())
}

/// For everybody.
async fn home(session: Option<Session>) -> Html<String> {
    let Some(session) = session else {
        return Html("<!doctype html><title>Example</title><p>Hello stranger. <a href=/me>Sign in</a>".into());
    };
    let user = session.user();
    let name = escaped(&user.name.or(user.email).unwrap_or(user.id));
    Html(format!(
        "<!doctype html><title>Example</title><p>Hello {name}, your session has been renewed {} times.\
         <form method=post action=/auth/refresh><button>Refresh token</button></form>\
         <p><a href=/api/data>Ask the upstream</a> · <a href=/auth/signout>Sign out</a>",
        session.generation().0
    ))
}

/// Who is signed in, as JSON. The tokens stay here.
async fn me(session: Session) -> Json<Value> {
    Json(json!({
        "claims": session.claims(),
        "provider": session.provider(),
        "generation": session.generation(),
        "expires_at": session.tokens().and_then(|tokens| tokens.expires_at).map(|at| at.unix_seconds()),
    }))
}

/// The upstream's answer to a call in the user's name. The token is a live one: renewed before it gets here if need be.
async fn data(State(upstream): State<Upstream>, BearerToken(token): BearerToken) -> Response {
    match upstream.ask(&token).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::warn!(%error, "the upstream did not answer");
            let refusal =
                json!({ "error": "upstream_unreachable", "message": "The upstream does not answer; try again later." });
            (StatusCode::BAD_GATEWAY, Json(refusal)).into_response()
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Resolves on Ctrl-C or SIGTERM.
fn stop() -> impl Future<Output = ()> {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    async {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            () = terminated => {}
        }
    }
}
