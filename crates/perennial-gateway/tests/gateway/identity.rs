//! Nobody outside can pass for somebody: inbound copies of what the gateway says are removed in every spelling.

use crate::harness::{Stage, raw, verdict};

const PUBLIC: &str = r#"
[[routes]]
path = "/"
upstream = "UPSTREAM"
access = "public"
[[routes]]
path = "/optional"
upstream = "UPSTREAM"
access = "optional"
[[routes]]
path = "/required"
upstream = "UPSTREAM"
"#;

const FORGED: &[&str] = &[
    "X-Forwarded-User",
    "x-forwarded-user",
    "X_Forwarded_User",
    "X-Forwarded_User",
    "X.Forwarded.User",
    "X-Forwarded-Email",
    "x_forwarded_email",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Groups",
    "X-Perennial-Session",
    "X_Perennial_Session",
    "X-Perennial-Whatever",
    "X-Perennial-Identity",
    "x_perennial_identity",
    "X.Perennial.Identity",
    "X_Forwarded_For",
    "X_Forwarded_Host",
    "X_Forwarded_Proto",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Real-IP",
    "X-Original-URL",
    "X-Rewrite-URL",
    "Forwarded",
    "X-Auth-Request-User",
    "Remote_User",
    "OIDC_CLAIM_sub",
    "X-Forwarded-Access-Token",
];

#[tokio::test]
async fn forged_identity_headers_never_arrive() {
    let stage = Stage::with(PUBLIC).await;
    let mut alice = stage.signed_in().await;
    for path in ["/", "/optional", "/required"] {
        for name in FORGED {
            let answer = alice.fetch_with(path, &[(name, "mallory")]).await;
            let echoed = answer.text();
            assert!(!echoed.contains("mallory"), "{name} on {path}: {echoed}");
        }
    }
    let told = alice.fetch_with("/required", &[("x-request-id", "7"), ("x-user", "app's own")]).await;
    assert_eq!((told.seen("x-request-id"), told.seen("x-user")), (vec!["7".into()], vec!["app's own".into()]));
}

#[tokio::test]
async fn a_repeated_forgery_is_removed_as_a_whole() {
    let stage = Stage::with(PUBLIC).await;
    let alice = stage.signed_in().await;
    let twice = "X-Forwarded-User: mallory\r\nx-forwarded-user: mallory\r\nX-FORWARDED-FOR: 10.9.8.7\r\n";
    let request =
        format!("GET /required HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{twice}{}\r\n", alice.cookie_line());
    let answer = raw(stage.gateway.address, request).await;
    assert!(!answer.contains("mallory") && !answer.contains("10.9.8.7"), "{answer}");
    assert_eq!(answer.matches("x-forwarded-user").count(), 1, "{answer}");
}

#[tokio::test]
async fn connection_cannot_take_our_words_away() {
    let stage = Stage::with(PUBLIC).await;
    let alice = stage.signed_in().await;
    let names = "close, authorization, x-forwarded-user, x-forwarded-email, x-perennial-session, x-forwarded-for, \
                 x-forwarded-host, host, x-mine";
    let request = format!(
        "GET /required HTTP/1.1\r\nHost: a\r\nConnection: {names}\r\nX-Mine: hop\r\n{}\r\n",
        alice.cookie_line()
    );
    let answer = raw(stage.gateway.address, request).await;
    for kept in ["authorization", "x-forwarded-user", "x-forwarded-email", "x-perennial-session", "x-forwarded-for"] {
        assert!(answer.contains(&format!("[\"{kept}\"")), "{kept} is gone: {answer}");
    }
    assert!(!answer.contains("x-mine"), "what is named and nobody's is a hop's: {answer}");
}

#[tokio::test]
async fn an_application_keeps_its_own_authorization_where_we_have_none_to_give() {
    let stage = Stage::with(PUBLIC).await;
    let (mut stranger, mut alice) = (stage.browser(), stage.signed_in().await);
    let own = [("authorization", "Basic b3duOm93bg==")];
    for path in ["/", "/optional"] {
        assert_eq!(stranger.fetch_with(path, &own).await.seen("authorization"), ["Basic b3duOm93bg=="], "{path}");
    }
    for path in ["/optional", "/required"] {
        let seen = alice.fetch_with(path, &own).await.seen("authorization");
        assert!(seen.len() == 1 && seen[0].starts_with("Bearer "), "{path}: ours replaces it: {seen:?}");
    }
}

#[tokio::test]
async fn no_path_gets_round_a_rule() {
    let stage = Stage::with(
        r#"
        [[routes]]
        path = "/"
        upstream = "UPSTREAM"
        access = "public"
        [[routes]]
        path = "/admin"
        upstream = "UPSTREAM"
        [[routes]]
        path = "/Files"
        upstream = "UPSTREAM"
        access = "optional"
        "#,
    )
    .await;
    // path, status, code: a stranger must not bring the upstream to read any of these as /admin
    for (path, status, code) in [
        ("/", 200, ""),
        ("/administration", 200, ""),
        ("/100%25", 200, ""),
        ("/caf%C3%A9", 200, ""),
        ("/a;v=1/b", 200, ""),
        ("/files", 200, ""),
        ("/admin", 401, "not_signed_in"),
        ("/admin/", 401, "not_signed_in"),
        ("/admin?x", 401, "not_signed_in"),
        ("/Admin", 400, "ambiguous_path"),
        ("/ADMIN/users", 400, "ambiguous_path"),
        ("/%61dmin", 401, "not_signed_in"),
        ("/adm%69n/users", 401, "not_signed_in"),
        ("/%41dmin", 400, "ambiguous_path"),
        ("/admin;x", 400, "ambiguous_path"),
        ("/admin;x=1/users", 400, "ambiguous_path"),
        ("/;x/admin", 400, "ambiguous_path"),
        ("/x/../admin", 400, "ambiguous_path"),
        ("/x/%2e%2e/admin", 400, "ambiguous_path"),
        ("/./admin", 400, "ambiguous_path"),
        ("//admin", 400, "ambiguous_path"),
        ("/x%2f..%2fadmin", 400, "ambiguous_path"),
        ("/x/..;/admin", 400, "ambiguous_path"),
        ("/x/..%3b/admin", 400, "ambiguous_path"),
        ("/x\\..\\admin", 400, "ambiguous_path"),
        ("/%5cadmin", 400, "ambiguous_path"),
        ("/%2561dmin", 400, "ambiguous_path"),
        ("/x/%252e%252e/admin", 400, "ambiguous_path"),
        ("/admin%00", 400, "ambiguous_path"),
        ("/admin%20", 400, "ambiguous_path"),
        ("/admin.", 400, "ambiguous_path"),
        ("/admin%09/x", 400, "ambiguous_path"),
        ("/admin%0a", 400, "ambiguous_path"),
        ("/x/%c0%ae%c0%ae/admin", 400, "ambiguous_path"),
        ("/%e0%80%afadmin", 400, "ambiguous_path"),
        ("/x/%u002e%u002e/admin", 400, "ambiguous_path"),
        ("/admin%", 400, "ambiguous_path"),
        ("/adm%C4%B1n", 400, "ambiguous_path"),
    ] {
        let before = stage.upstream.hits();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = raw(stage.gateway.address, request).await;
        let reached = stage.upstream.hits() > before;
        assert_eq!((verdict(&answer), reached), ((status, code.to_owned()), status == 200), "{path}");
    }
}

#[tokio::test]
async fn no_path_leaves_the_only_route_or_the_folder_of_its_upstream() {
    let below = "[[routes]]\npath = \"/app\"\nupstream = \"UPSTREAM\"\naccess = \"public\"\n";
    let folder = "[[routes]]\npath = \"/\"\nupstream = \"UPSTREAM/base\"\naccess = \"public\"\n";
    for (routes, path) in [
        (below, "/app/../admin"),
        (below, "/app/%2e%2e/admin"),
        (below, "/app/..%2fadmin"),
        (folder, "/../admin"),
        (folder, "/%2e%2e/admin"),
    ] {
        let stage = Stage::with(routes).await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = raw(stage.gateway.address, request).await;
        assert_eq!(verdict(&answer), (400, "ambiguous_path".into()), "{path} of {routes}");
        assert_eq!(stage.upstream.hits(), 0);
    }
    let stage = Stage::with(below).await;
    assert_eq!(stage.browser().fetch("/elsewhere").await.verdict(), (404, "no_route".into()));
}
