//! A provider's settings are judged as a whole.

use std::sync::Arc;
use std::time::Duration;

use perennial_core::id_token::JwsAlgorithm;
use perennial_core::limits::RETRY_AFTER_MAX;
use perennial_core::provider::{
    ClientAuthenticationMethod, DoubtRules, Introspection, IssuerRule, LastResort, PRESETS, Probe, Provider,
    ProviderBuilder, ProviderKind, RefreshClass,
};
use perennial_core::secret::ClientSecret;

use crate::builder;

fn faults(builder: ProviderBuilder) -> Vec<&'static str> {
    match builder.build() {
        Ok(_) => Vec::new(),
        Err(faults) => faults
            .into_iter()
            .inspect(|fault| assert!(!fault.remedy.is_empty() && !fault.problem.is_empty()))
            .map(|fault| fault.setting)
            .collect(),
    }
}

#[test]
fn every_preset_builds_from_what_it_leaves_open() {
    for row in PRESETS.iter().filter(|row| row.id != "custom") {
        let mut builder = Provider::preset(row.id).unwrap().client_id("c").client_secret(ClientSecret::new("s"));
        if row.issuer.is_none() && row.kind == ProviderKind::Oidc {
            builder = builder.issuer("https://id.example");
        }
        let provider = builder.build().expect(row.id);
        assert_eq!(provider.id.as_str(), row.id);
        assert_eq!(provider.needs_discovery(), row.kind == ProviderKind::Oidc, "{}", row.id);
        assert!(provider.refresh_token_expected(), "{}", row.id);
    }
}

#[test]
fn what_can_be_asked_in_doubt_depends_on_row_endpoints_and_standing() {
    let keycloak = || {
        let preset = Provider::preset("keycloak").expect("a preset").issuer("https://id.example");
        let known = preset.client_id("c").client_secret(ClientSecret::new("s"));
        let known = known.authorization_endpoint("https://id.example/a").token_endpoint("https://id.example/t");
        known.jwks_uri("https://id.example/k").userinfo_endpoint("https://id.example/u")
    };
    let github = || Provider::preset("github").expect("a preset").client_id("c").client_secret(ClientSecret::new("s"));
    let rules = |builder: ProviderBuilder| {
        let provider = Arc::new(builder.build().expect("complete"));
        provider.resolve(None).expect("every endpoint is known").doubt_rules()
    };
    let introspect = "https://id.example/i";
    let base = DoubtRules::of_class(RefreshClass::Reusable);
    let single = DoubtRules { probe: Probe::UserInfo, ..DoubtRules::of_class(RefreshClass::SingleUse) };
    let public = ClientAuthenticationMethod::None;
    for (row, provider, expected) in [
        ("no endpoint", keycloak(), base),
        (
            "an endpoint",
            keycloak().introspection_endpoint(introspect),
            DoubtRules { introspection: Introspection::WithHint, ..base },
        ),
        (
            "a public client may not ask",
            keycloak().introspection_endpoint(introspect).client_authentication_method(public),
            base,
        ),
        ("kills the old access token", github(), single),
        ("does not, as somebody knows", github().at_kill(false), DoubtRules { probe: Probe::None, ..single }),
        ("not to be probed", github().probe(Probe::None), DoubtRules { probe: Probe::None, ..single }),
        (
            "all by hand",
            github().class(RefreshClass::Family).last_resort(LastResort::Reauthenticate).drain(Duration::ZERO),
            DoubtRules {
                class: RefreshClass::Family,
                last_resort: LastResort::Reauthenticate,
                drain: Duration::ZERO,
                ..single
            },
        ),
    ] {
        assert_eq!(rules(provider), expected, "{row}");
    }
}

#[test]
fn an_unknown_preset_names_those_there_are() {
    let error = Provider::preset("auth1").unwrap_err().to_string();
    assert!(error.contains("`auth1`") && error.contains("auth0") && error.contains("custom"));
}

#[test]
fn all_faults_are_told_at_once() {
    let oauth = || Provider::custom("mine").client_id("c").client_secret(ClientSecret::new("s"));
    let cases: Vec<(ProviderBuilder, &[&str])> = vec![
        (builder(), &[]),
        (Provider::oidc("oidc"), &["client_id", "issuer", "client_secret"]),
        (
            Provider::custom("mine").id("Mine/1"),
            &["id", "client_id", "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "client_secret"],
        ),
        (oauth().issuer("https://id.example"), &[]),
        (oauth().token_endpoint("https://id.example/t"), &["authorization_endpoint", "userinfo_endpoint"]),
        (builder().probe(Probe::UserInfo), &["probe"]),
        (builder().probe(Probe::UserInfo).at_kill(true), &[]),
        (builder().drain(RETRY_AFTER_MAX), &[]),
        (builder().drain(RETRY_AFTER_MAX + Duration::from_millis(1)), &["drain"]),
        (builder().introspection_endpoint("http://id.example/introspect"), &["introspection_endpoint"]),
        (builder().id(""), &["id"]),
        (builder().id("a".repeat(65)), &["id"]),
        (builder().scope("email"), &["scope"]),
        (builder().issuer("http://id.example"), &["issuer"]),
        (builder().issuer("https://id.example?a=b"), &["issuer"]),
        (builder().issuer("https://id.example#f"), &["issuer"]),
        (builder().issuer(format!("https://id.example/{}", "x".repeat(1996))), &[]),
        (builder().issuer(format!("https://id.example/{}", "x".repeat(1997))), &["issuer"]),
        (builder().issuer("http://localhost:8080"), &[]),
        (builder().issuer("http://id.example").dangerous_allow_http(), &[]),
        (builder().token_endpoint("ftp://x/"), &["token_endpoint"]),
        (builder().client_secret(ClientSecret::new("")), &["client_secret"]),
        (builder().authorization_param("state", "x"), &["authorization_params"]),
        (builder().authorization_param("redirect_uri", "x"), &["authorization_params"]),
        (builder().authorization_param("audience", "x"), &[]),
        (builder().token_param("refresh_token", "x"), &["token_params"]),
        (builder().id_token_algs(vec![]), &["id_token_algs"]),
        (builder().id_token_algs(vec![JwsAlgorithm::Hs256]), &[]),
    ];
    for (number, (builder, expected)) in cases.into_iter().enumerate() {
        assert_eq!(faults(builder), expected, "case {number}");
    }
}

#[test]
fn what_is_configured_wins_over_the_preset() {
    let provider = Provider::preset("auth0")
        .unwrap()
        .id("login")
        .name("Our login")
        .issuer("https://t.auth0.com/")
        .client_id("c")
        .client_secret(ClientSecret::new("s"))
        .class(RefreshClass::Overlap(Duration::from_secs(30)))
        .authorization_param("audience", "https://a")
        .authorization_param("audience", "https://b")
        .build()
        .unwrap();
    assert_eq!(provider.preset, "auth0");
    assert_eq!((provider.id.as_str(), provider.name.as_str()), ("login", "Our login"));
    assert_eq!(provider.class, RefreshClass::Overlap(Duration::from_secs(30)));
    let expected = [("audience".to_owned(), "https://b".to_owned())];
    assert_eq!(provider.authorization_params, expected);
}

#[test]
fn without_what_brings_a_refresh_token_none_is_expected() {
    let build =
        |builder: ProviderBuilder| builder.client_id("c").client_secret(ClientSecret::new("s")).build().unwrap();
    let google = |value: &str| {
        let builder = Provider::preset("google").unwrap();
        build(builder.authorization_param("access_type", value))
    };
    assert!(google("offline").refresh_token_expected());
    assert!(!google("online").refresh_token_expected());
    let oidc = |scope: &str| build(Provider::oidc("o").issuer("https://id.example").scope(scope));
    assert!(oidc("openid offline_access").refresh_token_expected());
    assert!(!oidc("openid offline_access2").refresh_token_expected());
}

#[test]
fn a_missing_endpoint_is_named() {
    let provider =
        Provider::oidc("o").issuer("https://id.example").client_id("c").client_secret(ClientSecret::new("s"));
    let resolve = |builder: ProviderBuilder| Arc::new(builder.build().unwrap()).resolve(None);
    let oauth = provider.clone().kind(ProviderKind::OAuth);
    assert_eq!(resolve(oauth).unwrap_err().endpoint, "userinfo_endpoint");
    assert_eq!(resolve(provider.clone()).unwrap_err().endpoint, "jwks_uri");
    let provider = provider.jwks_uri("https://id.example/jwks");
    let error = resolve(provider.clone()).unwrap_err();
    assert_eq!(error.endpoint, "authorization_endpoint");
    let provider = provider.authorization_endpoint("https://id.example/a");
    assert_eq!(resolve(provider).unwrap_err().endpoint, "token_endpoint");
}

#[test]
fn a_tenants_issuer_follows_from_the_signed_tid() {
    let rule = IssuerRule::PerTenant("https://login.microsoftonline.com/{tenantid}/v2.0");
    let tid = "72f988bf-86f1-41af-91ab-2d7cd011db47";
    let iss = format!("https://login.microsoftonline.com/{tid}/v2.0");
    for (iss, tid, expected) in [
        (&*iss, Some(tid), true),
        (&*iss, None, false),
        (&*iss, Some("9188040d-6c67-4c5b-b112-36a304b66dad"), false),
        ("https://login.microsoftonline.com/{tenantid}/v2.0", Some("{tenantid}"), false),
        ("https://login.microsoftonline.com/evil/v2.0", Some("evil"), false),
        ("https://evil.example/v2.0", Some(tid), false),
    ] {
        assert_eq!(rule.accepts(iss, tid), expected, "{iss} {tid:?}");
    }
    assert!(rule.accepts_in_callback(&iss));
    assert!(!rule.accepts_in_callback("https://login.microsoftonline.com/evil/v2.0"));
    assert!(!rule.accepts_in_callback("https://evil.example/v2.0"));
}
