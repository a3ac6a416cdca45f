//! An axum app that signs its users in and calls an API in their name. Everything about sessions is in `main`; the handlers ask
//! for a `Session` or a `BearerToken` and get one that is good.

mod api;

use std::net::SocketAddr;

use axum::extract::State;
use axum::response::Html;
use axum::routing::get;
use axum::{Json, Router};
use perennial::{Auth, BearerToken, Session};
use serde_json::{Value, json};

use crate::api::{Api, ApiFault};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_writer(std::io::stderr).init();
    let variable = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let port: u16 = variable("PORT", "3000").parse()?;

    // AUTH_SECRET, AUTH_URL and AUTH_<PROVIDER>_{ID,SECRET,ISSUER,SCOPE} say who signs in where.
    let auth = Auth::builder()
        .public_url(format!("http://localhost:{port}"))
        .environment(std::env::vars())
        .store(perennial::store::open(&variable("AUTH_STORE", "sessions.redb"))?)
        .build()?;
    let api = Api::at(variable("UPSTREAM", "http://127.0.0.1:4201/api").parse()?);

    let members = Router::new()
        .route("/me", get(me))
        .route("/whoami", get(whoami))
        .route("/echo", get(echo).post(echo))
        .layer(auth.require_sign_in());
    let app = Router::new()
        .route("/", get(home))
        .merge(members)
        .merge(auth.router())
        .layer(auth.layer())
        // Outside the session layer: a probe is nobody's visit.
        .route("/healthz", get(|| async { "ok" }))
        .with_state(api);

    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?;
    tracing::info!("listening on {}", auth.settings().origin());
    axum::serve(listener, app).with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) }).await?;
    // Renewals under way come to their end although nobody waits for them any more.
    auth.drain().await;
    Ok(())
}

/// Open to everybody.
async fn home(session: Option<Session>) -> Html<&'static str> {
    Html(match session {
        Some(_) => include_str!("signed_in.html"),
        None => include_str!("stranger.html"),
    })
}

/// What the app knows of its user.
async fn me(session: Session) -> Json<Value> {
    let user = session.user();
    Json(json!({ "id": user.id, "name": user.name, "email": user.email, "generation": session.generation() }))
}

/// Passes on what the API says about the user. The access token is renewed by the time this runs.
async fn whoami(State(api): State<Api>, BearerToken(token): BearerToken) -> Result<Json<Value>, ApiFault> {
    api.get(&token).await.map(Json)
}

/// Needs a live access token and no API to answer.
async fn echo(session: Session, BearerToken(_): BearerToken, body: String) -> Json<Value> {
    Json(json!({ "generation": session.generation(), "body": body }))
}
