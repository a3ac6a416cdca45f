//! `perennial provider`: the development OpenID provider by itself.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use perennial_provider::{Alg, Behaviour, Client, DevProvider};

use super::Fault;

/// Run the development OpenID provider. It signs in whoever is chosen on its page and asks for no password.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ProviderArgs {
    /// Address and port to listen on; the issuer is http:// and this.
    #[arg(long, default_value = "127.0.0.1:4201", value_name = "ADDRESS", value_parser = super::address)]
    listen: SocketAddr,
    /// The issuer, where it is not http:// and the listen address.
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The client's id.
    #[arg(long, default_value = "app")]
    client_id: String,
    /// The client's secret; a public client without one is made with --public.
    #[arg(
        long,
        default_value = "development-secret",
        env = "PERENNIAL_PROVIDER_CLIENT_SECRET",
        hide_env_values = true
    )]
    client_secret: String,
    /// Make the client a public one, which authenticates with PKCE alone.
    #[arg(long)]
    public: bool,
    /// A redirect URI of the client; may be repeated. Any port is accepted on a loopback host.
    #[arg(long, value_name = "URL", default_values = ["http://127.0.0.1:4200/auth/callback/oidc", "http://localhost:4200/auth/callback/oidc"])]
    redirect_uri: Vec<String>,
    /// How long an access token lives.
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration, value_name = "TIME")]
    access_token_lifetime: Duration,
    /// How long a refresh token lives.
    #[arg(long, default_value = "30d", value_parser = humantime::parse_duration, value_name = "TIME")]
    refresh_token_lifetime: Duration,
    /// What signs ID tokens: es256 or rs256.
    #[arg(long, default_value = "es256", value_parser = alg)]
    alg: Alg,
    /// How it behaves and misbehaves, as a script: class=overlap:10,delay_ms=200,lose_reply=1. docs/provider.md lists all of it.
    #[arg(long, default_value = "", value_name = "SCRIPT")]
    behaviour: Behaviour,
    /// Sign in at once whoever `login_hint` names, without showing the page.
    #[arg(long)]
    auto_sign_in: bool,
    /// Give a refresh token even without the scope offline_access.
    #[arg(long)]
    always_refresh_token: bool,
    /// Ask for this bearer token on the admin API.
    #[arg(long, value_name = "TOKEN", env = "PERENNIAL_PROVIDER_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    /// Listen on an address that others can reach, although anybody can sign in as anybody.
    #[arg(long)]
    dangerous_allow_remote: bool,
}

const AFTER_HELP: &str = "\
To try the gateway with it, in another terminal:
  export AUTH_SECRET=$(perennial secret)
  export AUTH_OIDC_ISSUER=http://127.0.0.1:4201 AUTH_OIDC_ID=app AUTH_OIDC_SECRET=development-secret
  export AUTH_OIDC_SCOPE='openid profile email offline_access'
  perennial serve --upstream http://127.0.0.1:5173";

/// Serves until asked to end.
pub(crate) async fn run(args: ProviderArgs) -> Result<(), Fault> {
    let listener = super::sockets::listen(args.listen)
        .map_err(|error| format!("{} cannot be listened on: {error}; choose another with --listen", args.listen))?;
    let listen = listener.local_addr()?;
    let client = match args.public {
        true => Client::public(args.client_id),
        false => Client::confidential(args.client_id, args.client_secret),
    };
    let client = args.redirect_uri.into_iter().fold(client.any_loopback_port(true), Client::redirect_uri);
    let mut builder = DevProvider::builder()
        .issuer(args.issuer.unwrap_or_else(|| format!("http://{listen}")))
        .client(client)
        .access_token_lifetime(args.access_token_lifetime)
        .refresh_token_lifetime(args.refresh_token_lifetime)
        .id_token_alg(args.alg)
        .behaviour(args.behaviour)
        .auto_sign_in(args.auto_sign_in)
        .always_issue_refresh_token(args.always_refresh_token)
        .dangerous_allow_remote(args.dangerous_allow_remote);
    if let Some(token) = args.admin_token {
        builder = builder.admin_token(token);
    }
    let provider = builder.build()?;
    let end = super::asked_to_end();
    tracing::info!(issuer = provider.issuer(), "development provider: anybody can sign in as anybody");
    provider.serve(listener, end).await?;
    Ok(())
}

fn alg(name: &str) -> Result<Alg, String> {
    match name {
        "es256" => Ok(Alg::Es256),
        "rs256" => Ok(Alg::Rs256),
        _ => Err("choose es256 or rs256".into()),
    }
}
