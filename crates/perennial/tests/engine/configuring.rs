//! Configurations: all faults at once, the environment as Auth.js reads it, an application's own pages.

use std::sync::Arc;
use std::time::Duration;

use perennial::provider::RefreshClass;
use perennial::secret::{ClientSecret, CookieSecret};
use perennial::store::{EmbeddedStore, MemoryStore, SessionStore};
use perennial::{Auth, AuthBuilder, Pages, Provider, RenewalPolicy};

use crate::support::{Flaky, SECRET, World};

fn right() -> AuthBuilder {
    let provider = Provider::preset("oidc").expect("a preset").issuer("https://id.example").client_id("app");
    Auth::builder()
        .secret(CookieSecret::new(SECRET))
        .public_url("https://app.example")
        .provider(provider.client_secret(ClientSecret::new("planted-client-secret")))
}

#[tokio::test]
async fn every_fault_is_told_with_key_and_remedy_and_no_secret() {
    type Spoil = fn(AuthBuilder) -> AuthBuilder;
    let cases: [(&str, Spoil); 14] = [
        ("AUTH_SECRET", |auth| auth.secret(CookieSecret::new("planted-short"))),
        ("public_url", |auth| auth.public_url("app.example")),
        ("public_url", |auth| auth.public_url("http://app.example")),
        ("public_url", |auth| auth.public_url("ftp://app.example")),
        ("public_url", |auth| auth.public_url("https://app.example/app")),
        ("public_url", |auth| auth.public_url("https://user:planted@app.example")),
        ("base_path", |auth| auth.base_path("auth")),
        ("base_path", |auth| auth.base_path("/auth/")),
        ("session.max_age", |auth| auth.max_age(Duration::from_secs(401 * 24 * 3600))),
        ("session.update_age", |auth| auth.update_age(Duration::from_secs(31 * 24 * 3600))),
        ("renewal.call_deadline", |auth| {
            auth.renewal(RenewalPolicy { call_deadline: Duration::from_secs(61), ..Default::default() })
        }),
        ("renewal.renew_before", |auth| {
            auth.renewal(RenewalPolicy { renew_before: Duration::ZERO, ..Default::default() })
        }),
        ("return_origins", |auth| auth.return_origin("https://other.example/path")),
        ("providers.google.client_id", |auth| auth.provider(Provider::preset("google").expect("a preset"))),
    ];
    right().build().expect("the basis is right");
    for (key, spoil) in cases {
        let error = spoil(right()).build().expect_err(key);
        assert!(error.faults.iter().any(|fault| fault.key == key), "{key}: {error}");
        assert!(error.faults.iter().all(|fault| fault.remedy.len() > 10), "{key}: {error}");
        assert!(!format!("{error} {error:?}").contains("planted"), "{key}: {error}");
    }
    let all = cases.into_iter().fold(right(), |auth, (_, spoil)| spoil(auth)).build().expect_err("all of them");
    // Later settings replace earlier ones; one fault of each setting is left, and all are told in one go.
    let keys: std::collections::BTreeSet<_> = all.faults.iter().map(|fault| fault.key.as_str()).collect();
    for key in ["AUTH_SECRET", "public_url", "base_path", "session.max_age", "renewal.renew_before", "return_origins"] {
        assert!(keys.contains(key), "{key}: {all}");
    }
    let nothing = Auth::builder().build().expect_err("nothing is set");
    assert!(nothing.to_string().contains("AUTH_SECRET") && nothing.to_string().contains("public_url"), "{nothing}");
}

#[tokio::test]
async fn several_replicas_need_a_store_that_they_share() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sessions.redb");
    let file = EmbeddedStore::open(file).expect("a new file");
    let stores: [(Arc<dyn SessionStore>, u32, Option<&str>); 6] = [
        (Arc::new(MemoryStore::new()), 1, None),
        (Arc::new(MemoryStore::new()), 0, Some("1 or more")),
        (Arc::new(MemoryStore::new()), 2, Some("memory: is for one process")),
        (Arc::new(MemoryStore::new()), 2, Some("oidc may then end the session everywhere")),
        (Arc::new(file), 3, Some("the file is for one process")),
        (Flaky::new(), 3, None),
    ];
    for (store, replicas, expected) in stores {
        match (right().store(store).replicas(replicas).build(), expected) {
            (Ok(_), None) => {}
            (Err(error), Some(part)) => {
                assert_eq!(error.faults.len(), 1, "{error}");
                assert_eq!(error.faults[0].key, "replicas");
                assert!(error.faults[0].remedy.contains(part), "{part}: {error}");
            }
            (built, _) => panic!("{replicas} replicas, {expected:?}: {:?}", built.err().map(|error| error.to_string())),
        }
    }
    let unsaid = right().replicas(2).build().expect_err("the default store is of one process");
    assert!(unsaid.to_string().contains("redis:// or postgres://"), "{unsaid}");
}

#[tokio::test]
async fn the_environment_is_read_as_authjs_reads_it() {
    let built = |variables: &[(&str, &str)]| {
        let pairs = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Auth::builder().environment(pairs).build()
    };
    let auth = built(&[
        ("AUTH_SECRET_1", "the-newer-one-of-the-two-secrets"),
        ("AUTH_SECRET", SECRET),
        ("AUTH_URL", "https://app.example/api/auth"),
        ("AUTH_GOOGLE_ID", "google-id"),
        ("AUTH_GOOGLE_SECRET", "google-secret"),
        ("AUTH_OIDC_ISSUER", "https://id.example"),
        ("AUTH_OIDC_ID", "app"),
        ("AUTH_OIDC_SECRET", "app-secret"),
        ("AUTH_GITHUB_ID", ""),
        ("PATH", "/bin"),
    ])
    .expect("complete");
    let providers: Vec<_> = auth.providers().map(|id| id.as_str().to_owned()).collect();
    assert!(providers.len() == 2 && providers.contains(&"google".into()) && providers.contains(&"oidc".into()));
    assert_eq!(
        (auth.settings().base_path.as_str(), auth.settings().origin()),
        ("/api/auth", "https://app.example".into())
    );
    let fault = built(&[("AUTH_SECRET", SECRET), ("AUTH_URL", "nonsense")]).expect_err("no URL");
    assert!(fault.to_string().contains("AUTH_URL (environment)"), "{fault}");
}

#[tokio::test]
async fn the_applications_own_pages_stand_in_for_ours() {
    let world = World::of(RefreshClass::Family, |auth| {
        auth.pages(Pages { sign_in: Some("/login".into()), sign_out: Some("/bye".into()), error: Some("/oops".into()) })
    })
    .await;
    let browser = world.browser();
    let sent = browser.get("/auth/signin?callbackUrl=/me").await;
    assert!(sent.header("location").contains("/login?callbackUrl=http"), "{}", sent.header("location"));
    let lost = browser.get("/auth/callback/oidc?state=unknown&code=x").await;
    assert!(lost.header("location").ends_with("/login?error=Verification"), "{}", lost.header("location"));
    let asked = browser.begin_sign_in("alice", "/").await;
    let callback = browser.ask_provider(&asked).await.replace("code=", "code=x");
    let failed = browser.get(&callback).await;
    assert!(failed.header("location").ends_with("/oops?error=Configuration"), "{}", failed.header("location"));
}

#[tokio::test]
async fn a_machine_token_is_the_applications_own_and_asked_for_once() {
    let world = World::start().await;
    let auth = &world.engine.auth;
    let (one, two) = tokio::join!(auth.machine_token("oidc", None), auth.machine_token("oidc", None));
    let (one, two) = (one.expect("granted"), two.expect("granted"));
    assert_eq!(one, two);
    assert_eq!(world.provider.counters().token_requests, 1);
    world.clock.advance(crate::support::DEAD);
    assert_ne!(auth.machine_token("oidc", None).await.expect("granted"), one);
    assert!(auth.machine_token("nobody", None).await.is_err());
    // Nobody is signed in by it.
    assert_eq!(world.browser().get("/").await.text(), "stranger");
}
