use url::Url;

use super::*;
use crate::upstream::Upstream;

fn at(url: &str) -> Upstream {
    Upstream::at(Url::parse(url).expect("a URL")).expect("an upstream")
}

fn route(path: &str, access: Access) -> Route {
    let upstream = at("http://127.0.0.1:1");
    Route { path: PathPattern::parse(path).expect("a pattern"), access, ..Route::to(upstream) }
}

fn asked(path: &str) -> Asked<'_> {
    Asked { host: "app.example", method: &Method::GET, path }
}

fn routes() -> Routes {
    Routes::new(vec![
        route("/", Access::Required),
        route("/public", Access::Public),
        route("/public/not", Access::Required),
    ])
}

#[test]
fn the_longest_whole_prefix_decides() {
    for (path, expected) in [
        ("/", Access::Required),
        ("/public", Access::Public),
        ("/public/", Access::Public),
        ("/public/a.css", Access::Public),
        ("/publicity", Access::Required),
        ("/public/not/x", Access::Required),
        ("/PUBLIC", Access::Required),
        ("/p%75blic/x", Access::Public),
        ("/public/n%6ft/x", Access::Required),
    ] {
        assert_eq!(routes().find(asked(path)).expect("found").route.access, expected, "{path}");
    }
}

#[test]
fn no_spelling_gets_round_a_rule() {
    for path in [
        "/public/../admin",
        "/public/./x",
        "//admin",
        "/public//../admin",
        "/public/%2e%2e/admin",
        "/public/%2E./admin",
        "/public%2f..%2fadmin",
        "/public/..;/admin",
        "/public\\..\\admin",
        "/public/%5c..",
        "/public/%252e%252e/admin",
        "/public/%c0%ae%c0%ae/admin",
        "/public/%u002e%u002e/admin",
        "/x%00",
        "/x%0a",
        "/public/100%",
        "/public/NOT",
        "/public/n%4ft/x",
        "/public/not;x",
        "/public/;x/not",
        "/public/not.",
        "/public/not%20/x",
        "/public/no%C5%A7/../not",
    ] {
        assert_eq!(routes().find(asked(path)).expect_err(path), NotFound::AmbiguousPath, "{path}");
    }
}

#[test]
fn what_no_server_reads_more_strictly_is_left_alone() {
    let routes = routes();
    for (path, expected) in [
        ("/public/caf%C3%A9", Access::Public),
        ("/public/100%25", Access::Public),
        ("/public/a;v=1/nothing", Access::Public),
        ("/public/.well-known/x", Access::Public),
        ("/public/file%2Etxt", Access::Public),
    ] {
        assert_eq!(routes.find(asked(path)).expect(path).route.access, expected, "{path}");
    }
}

/// A server may fold the case and keep the parameters: what only some of the foldings make stricter is refused as well.
#[test]
fn a_stricter_route_on_the_way_to_a_looser_one_is_seen() {
    let routes =
        Routes::new(vec![route("/", Access::Public), route("/a", Access::Required), route("/a/b", Access::Public)]);
    assert_eq!(routes.find(asked("/a/b/c")).expect("found").route.access, Access::Public);
    for path in ["/A/b", "/A/b;x", "/a;x/b"] {
        assert_eq!(routes.find(asked(path)).expect_err(path), NotFound::AmbiguousPath, "{path}");
    }
}

#[test]
fn one_route_for_all_leaves_paths_alone() {
    let lone = Routes::new(vec![route("/", Access::Required)]);
    let found = lone.find(asked("/projects/a%2Fb//%7ec")).expect("nothing to confuse");
    let uri = "/projects/a%2Fb//%7ec?d".parse().expect("a URI");
    assert_eq!(found.target(&uri), Some(uri));
    let ruled = Route { rule: Some(Expression::parse("true").expect("a rule")), ..route("/", Access::Required) };
    let folder = Route { upstream: at("http://127.0.0.1:1/base"), ..route("/", Access::Required) };
    for route in [ruled, folder] {
        assert!(Routes::new(vec![route]).find(asked("/a//b")).is_err());
    }
}

#[test]
fn what_was_judged_is_what_is_asked_for() {
    let routes = routes();
    for (asked_for, expected) in
        [("/p%75blic/x?%61", "/public/x?%61"), ("/public/%c3%a9", "/public/%C3%A9"), ("/x?y", "/x?y")]
    {
        let uri: Uri = asked_for.parse().expect("a URI");
        let found = routes.find(asked(uri.path())).expect("found");
        assert_eq!(found.target(&uri).expect("a target"), expected);
    }
}

#[test]
fn the_most_particular_route_decides() {
    let host = |text: &str| vec![HostPattern::parse(text).expect("a host")];
    let named = |name: &str, route: Route| Route { upstream: at(&format!("http://{name}.test")), ..route };
    let routes = Routes::new(vec![
        named("any", route("/", Access::Public)),
        named("family", Route { hosts: host("*.example"), ..route("/", Access::Public) }),
        named("deep", Route { hosts: host("*.deep.example"), ..route("/", Access::Public) }),
        named("app", Route { hosts: host("app.example"), ..route("/x", Access::Public) }),
        named("user", route("/users/{id}", Access::Public)),
        named("me", route("/users/me", Access::Public)),
        named("files", route("/users/{id}/files", Access::Public)),
        named("post", Route { methods: vec![Method::POST], ..route("/users/me", Access::Public) }),
        named("home", Route { path: PathPattern::all().reaching(Reach::Exact), ..route("/", Access::Public) }),
    ]);
    for (host, method, path, expected) in [
        ("other.test", Method::GET, "/x", "any"),
        ("other.test", Method::GET, "/", "home"),
        ("a.example", Method::GET, "/users/me", "family"),
        ("a.deep.example", Method::GET, "/x", "deep"),
        ("app.example", Method::GET, "/x/y", "app"),
        ("app.example", Method::GET, "/y", "family"),
        ("other.test", Method::GET, "/users/7", "user"),
        ("other.test", Method::GET, "/users/me", "me"),
        ("other.test", Method::POST, "/users/me", "post"),
        ("other.test", Method::GET, "/users/me/files", "files"),
        ("other.test", Method::GET, "/users/7/files/x", "files"),
    ] {
        let asked = Asked { host, method: &method, path };
        let found = routes.find(asked).unwrap_or_else(|error| panic!("{host} {method} {path}: {error:?}"));
        assert_eq!(found.route.upstream.url().host_str(), Some(&*format!("{expected}.test")), "{host} {method} {path}");
    }
}

#[test]
fn a_method_never_falls_through_to_a_shorter_path() {
    let for_methods = |methods: &[Method], path, access| Route { methods: methods.to_vec(), ..route(path, access) };
    let routes = Routes::new(vec![
        route("/", Access::Public),
        for_methods(&[Method::GET], "/admin", Access::Required),
        for_methods(&[Method::PUT], "/admin", Access::Required),
        for_methods(&[Method::POST], "/open", Access::Public),
        route("/open", Access::Required),
    ]);
    for (method, path, expected) in [
        (Method::GET, "/admin", Ok(Access::Required)),
        (Method::HEAD, "/admin/x", Ok(Access::Required)),
        (Method::PUT, "/admin", Ok(Access::Required)),
        (Method::DELETE, "/admin", Err(NotFound::OtherMethods(vec![Method::GET, Method::PUT]))),
        (Method::DELETE, "/Admin", Err(NotFound::AmbiguousPath)),
        (Method::POST, "/open", Ok(Access::Public)),
        (Method::GET, "/open", Ok(Access::Required)),
        (Method::DELETE, "/x", Ok(Access::Public)),
    ] {
        let found = routes.find(Asked { host: "a", method: &method, path }).map(|found| found.route.access);
        assert_eq!(found, expected, "{method} {path}");
    }
}

#[test]
fn two_routes_for_the_same_requests_clash() {
    let host = |text: &str| vec![HostPattern::parse(text).expect("a host")];
    let base = || route("/users/{id}", Access::Required);
    for (what, other, expected) in [
        ("another name for the segment", route("/users/{name}/", Access::Public), true),
        ("a literal", route("/users/me", Access::Public), false),
        ("that path alone", Route { path: base().path.reaching(Reach::Exact), ..base() }, false),
        ("some methods", Route { methods: vec![Method::GET], ..base() }, false),
        ("a host", Route { hosts: host("a.example"), ..base() }, false),
    ] {
        assert_eq!(base().clashes_with(&other), expected, "{what}");
    }
}

/// Whatever is done to the spelling of a guarded path, twice over: it is refused, or it finds the guard.
#[test]
fn no_combination_of_spellings_gets_round_a_rule() {
    let guarded = Routes::new(vec![route("/", Access::Public), route("/admin", Access::Required)]);
    let spell: [fn(&str) -> String; 14] = [
        str::to_uppercase,
        |text| text.replacen('a', "%61", 1),
        |text| text.replacen('a', "%41", 1),
        |text| text.replacen('d', "%2564", 1),
        |text| text.replacen('m', "%6d", 1).replacen('i', "%69", 1),
        |text| format!("{text};v=1"),
        |text| format!("{text}."),
        |text| format!("{text}%20"),
        |text| format!("{text}%00"),
        |text| format!("./{text}"),
        |text| format!("x/../{text}"),
        |text| format!("x/%2e%2E/{text}"),
        |text| format!("/{text}"),
        |text| format!("x%2f..%2f{text}"),
    ];
    for (one, first) in spell.iter().enumerate() {
        for (other, second) in spell.iter().enumerate() {
            let path = format!("/{}/users", second(&first("admin")));
            let found = guarded.find(asked(&path));
            assert!(
                found.is_err() || found.is_ok_and(|found| found.route.access == Access::Required),
                "{path}: {one} {other}"
            );
        }
    }
}
