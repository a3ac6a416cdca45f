//! An axum application whose answers come from its own memory: what the session layer costs is all there is to see.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use bytes::Bytes;
use clap::Args;
use perennial::{Auth, BearerToken, Session, store};
use serde_json::json;
use tokio::net::TcpListener;

use crate::Told;

#[derive(Args)]
pub(crate) struct Options {
    /// Where to listen, on loopback.
    #[arg(long)]
    port: u16,
    /// Without the session layer.
    #[arg(long)]
    bare: bool,
}

/// Serves until it is ended.
pub(crate) async fn run(options: Options) -> Told {
    let app = if options.bare { Router::new().route("/body/{size}", get(bare)) } else { guarded(options.port)? };
    let app = app.route("/healthz", get(|| async { "ok" }));
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], options.port))).await?;
    axum::serve(listener, app).await?;
    Ok(json!({}))
}

fn guarded(port: u16) -> Result<Router, Box<dyn std::error::Error>> {
    let auth = Auth::builder()
        .public_url(format!("http://127.0.0.1:{port}"))
        .environment(std::env::vars())
        .store(store::open("memory:")?)
        .build()?;
    let members = Router::new().route("/body/{size}", get(body)).layer(auth.require_sign_in());
    Ok(members.merge(auth.router()).layer(auth.layer()))
}

/// Asks for all that an application asks for: who is there, and a token that lives.
async fn body(session: Session, BearerToken(_): BearerToken, size: Path<String>) -> Result<Bytes, StatusCode> {
    if session.user().id.is_empty() { Err(StatusCode::UNAUTHORIZED) } else { bare(size).await }
}

async fn bare(Path(size): Path<String>) -> Result<Bytes, StatusCode> {
    let (_, bytes) = BODIES.iter().find(|(name, _)| *name == size).ok_or(StatusCode::NOT_FOUND)?;
    Ok(Bytes::from_static(&LONGEST[..*bytes]))
}

/// The names that the other subjects' application has for its answers, and their bytes.
const BODIES: [(&str, usize); 3] = [("100", 100), ("10k", 10 << 10), ("1m", 1 << 20)];

static LONGEST: [u8; 1 << 20] = [b'x'; 1 << 20];
