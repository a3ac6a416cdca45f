//! What is wrong with a configuration is told all at once, each fault with key, place and remedy, and no secret is repeated.

use perennial::{ConfigError, ConfigFault, Epoch, IdleFedBy, SessionStrategy};
use perennial_gateway::{Access, Config, CsrfGuard, Gateway, Identity, QuickStart, Rewrite};

/// What no message may ever contain.
const PLANTED: &str = "pl4nted-s3cret";

fn variables() -> Vec<(String, String)> {
    let good = [
        ("AUTH_SECRET", "a secret for tests, long enough"),
        ("AUTH_OIDC_ISSUER", "https://id.example"),
        ("AUTH_OIDC_ID", "app"),
        ("AUTH_OIDC_SECRET", PLANTED),
        ("CLIENT_SECRET", PLANTED),
        ("EMPTY", ""),
    ];
    good.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// Everything that reading the file and building the engine find.
fn faults(text: &str, variables: Vec<(String, String)>) -> Vec<ConfigFault> {
    let built = Config::from_toml("perennial.toml", text, variables).and_then(Gateway::build);
    let faults = built.map_or_else(|ConfigError { faults }| faults, |_| Vec::new());
    for fault in &faults {
        let told = format!("{fault} {fault:?}");
        assert!(!told.contains(PLANTED), "{told}");
        assert!(fault.remedy.len() > 10 && !fault.remedy.ends_with(' '), "{told}");
    }
    faults
}

fn told(text: &str) -> Vec<String> {
    faults(text, variables()).into_iter().map(|fault| format!("{} {}", fault.key, fault.place)).collect()
}

const GOOD: &str =
    "public_url = \"https://app.example\"\nstore = \"memory:\"\n[[routes]]\nupstream = \"http://127.0.0.1:1\"\n";

/// With these lines after the two good ones, so that the first is line 3.
fn with(lines: &str) -> String {
    let routes = "[[routes]]\nupstream = \"http://127.0.0.1:1\"";
    format!("public_url = \"https://app.example\"\nstore = \"memory:\"\n{lines}\n{routes}\n")
}

#[test]
fn a_good_file_has_no_faults() {
    assert_eq!(told(GOOD), [] as [&str; 0]);
}

#[test]
fn a_store_on_a_server_can_be_shared_and_a_fault_in_its_url_has_its_line() {
    for (store, expected) in [
        ("redis://h", None),
        ("rediss+sentinel://u:pl4nted-s3cret@a,b/main", None),
        ("postgres://u:pl4nted-s3cret@localhost/d", None),
        ("redis://u:pl4nted-s3cret@h?prefixx=1", Some("store perennial.toml:2")),
        ("mysql://u:pl4nted-s3cret@h", Some("store perennial.toml:2")),
    ] {
        let text = with("replicas = 3").replace("memory:", store);
        assert_eq!(told(&text).first().map(String::as_str), expected, "{store}");
        assert_eq!(told(&text).len(), usize::from(expected.is_some()), "{store}");
    }
}

#[test]
fn each_fault_names_its_key_its_line_and_what_to_do() {
    // lines of the file from line 3 on, key, line, a word of the remedy
    for (lines, key, line, remedy) in [
        ("listen = \"4200\"", "listen", 3, "127.0.0.1:4200"),
        ("listen = 4200", "listen", 3, "127.0.0.1:4200"),
        ("compat_routes = \"yes\"", "compat_routes", 3, "true or false"),
        ("replica_name = \"with a blank\"", "replica_name", 3, "gateway-1"),
        ("[admin]\nlisten = \"0.0.0.0:9420\"", "admin.listen", 4, "dangerous_admin_public"),
        ("[admin]\nlisten = \"[2001:db8::1]:9420\"", "admin.listen", 4, "dangerous_admin_public"),
        ("[admin]\nlisten = \"9420\"", "admin.listen", 4, "127.0.0.1:9420"),
        ("[admin]\nport = 9420", "admin.port", 4, "listen"),
        ("[forward_auth]\nlisten = \"4210\"", "forward_auth.listen", 4, "127.0.0.1:4210"),
        ("[forward_auth]\nlisten = \"127.0.0.1:4200\"", "forward_auth.listen", 4, "of their own"),
        ("[forward_auth]\ntrusted = [\"10.0.0.0/33\"]", "forward_auth.trusted", 4, "10.1.0.0/16"),
        ("[forward_auth]\ntrusted = \"10.0.0.0/8\"", "forward_auth.trusted", 4, "10.1.0.0/16"),
        ("return_origins = \"https://www.app.example\"", "return_origins", 3, "brackets"),
        ("return_origins = [\"https://www.app.example\", 1]", "return_origins", 3, "brackets"),
        ("return_origins = [\"https://www.app.example/x\"]", "return_origins", 3, "without a path"),
        ("return_origins = [\"https://u:pl4nted-s3cret@a.example/x\"]", "return_origins", 3, "without a path"),
        ("replicas = 3", "replicas", 3, "redis:// or postgres://"),
        ("replicas = 0", "replicas", 3, "1 or more"),
        ("replicas = \"3\"", "replicas", 3, "whole number"),
        ("replicas = -1", "replicas", 3, "whole number"),
        ("base_path = \"auth\"", "base_path", 3, "plain path"),
        ("base_path = \"/\"", "base_path", 3, "plain path"),
        ("secret_files = [\"/nowhere/at/all\"]", "secret_files", 3, "readable"),
        ("lissten = \"127.0.0.1:4200\"", "lissten", 3, "known here are listen"),
        ("[sesion]\nmax_age = \"30d\"", "sesion", 3, "[session]"),
        ("\n\n[session]\nmax_agee = \"30d\"", "session.max_agee", 6, "max_age"),
        ("[session]\nmax_age = 30", "session.max_age", 4, "unit"),
        ("[session]\nmax_age = \"30\"", "session.max_age", 4, "unit"),
        ("[session]\nmax_age = \"a month\"", "session.max_age", 4, "unit"),
        ("[session]\nmax_age = \"-1d\"", "session.max_age", 4, "unit"),
        ("[session]\nmax_age = \"59s\"", "session.max_age", 4, "1 minute to 400 days"),
        ("[session]\nmax_age = \"401d\"", "session.max_age", 4, "1 minute to 400 days"),
        ("[session]\n\nupdate_age = \"40d\"", "session.update_age", 5, "less than"),
        ("[session]\nstrategy = \"cookie\"", "session.strategy", 4, "\"database\""),
        ("[session]\nidle_fed_by = true", "session.idle_fed_by", 4, "\"interactive\""),
        ("[session]\nepoch = \"1\"", "session.epoch", 4, "whole number"),
        ("[session]\nepoch = -1", "session.epoch", 4, "whole number"),
        ("[session]\nsecret_roll_out = 10", "session.secret_roll_out", 4, "unit"),
        ("[session]\ncookie_format = \"authjs-6\"", "session.cookie_format", 4, "next-auth-4"),
        ("session = 3", "session", 3, "[session]"),
        ("[theme]\nbrand_color = \"red\"", "theme.brand_color", 4, "#346df1"),
        ("[theme]\ncolor_scheme = \"dim\"", "theme.color_scheme", 4, "light"),
        ("[theme]\nlogo = \"http://cdn.example/l.png\"", "theme.logo", 4, "https"),
        ("[theme]\nbrand_color = \"#fc0\"\nbutton_text = \"#fff\"", "theme.button_text", 5, "contrast"),
        ("[theme]\nbrandColor = \"#fc0\"", "theme.brandColor", 4, "brand_color"),
        ("[renewal]\ncall_deadline = \"61s\"", "renewal.call_deadline", 4, "100 ms to 60 s"),
        ("[renewal]\ncall_deadline = \"99ms\"", "renewal.call_deadline", 4, "100 ms to 60 s"),
        ("[renewal]\nrenew_before = \"0s\"", "renewal.renew_before", 4, "more than zero"),
        ("[renewal]\nmax_per_second = 0", "renewal.max_per_second", 4, "from 1 to 10000"),
        ("[renewal]\nmax_per_second = 10001", "renewal.max_per_second", 4, "from 1 to 10000"),
        ("[renewal]\nmax_per_second = -1", "renewal.max_per_second", 4, "whole number"),
        ("[renewal]\nmax_per_second = \"100\"", "renewal.max_per_second", 4, "whole number"),
        ("[renewal]\nmax_at_once = 1025", "renewal.max_at_once", 4, "from 1 to 1024"),
        ("[pages]\nsign_in = \"https://elsewhere.example\"", "pages.sign_in", 4, "path of this site"),
        ("providers = \"oidc\"", "providers", 3, "[[providers]]"),
        ("[[providers]]\npreset = \"oauth0\"", "providers[0].preset", 4, "auth0"),
        ("[[providers]]\nid = \"x\"\nclient_secret = \"pl4nted-s3cret\"", "providers[0].client_secret", 5, "_env"),
        ("[[providers]]\nid = \"x\"\nclient_secret_env = \"NOT_SET\"", "providers[0].client_secret_env", 5, "NOT_SET"),
        ("[[providers]]\nid = \"x\"\nclient_secret_env = \"EMPTY\"", "providers[0].client_secret_env", 5, "EMPTY"),
        (
            "[[providers]]\nid = \"x\"\nclient_secret_file = \"/no/file\"",
            "providers[0].client_secret_file",
            5,
            "/no/file",
        ),
        (
            "[[providers]]\nid = \"x\"\nprivate_key_file = \"/no/file\"\nprivate_key_alg = \"ES256\"\nprivate_key_id = \"1\"",
            "providers[0].private_key_file",
            5,
            "/no/file",
        ),
        ("[[providers]]\nid = \"x\"\nprivate_key_file = \"/no/file\"", "providers[0].private_key_alg", 5, "ES256"),
        (
            "[[providers]]\nid = \"x\"\nprivate_key_file = \"/no/file\"\nprivate_key_alg = \"HS256\"",
            "providers[0].private_key_alg",
            6,
            "ES256",
        ),
        ("[[providers]]\nid = \"x\"\nrefresh_class = \"rotating\"", "providers[0].refresh_class", 5, "single_use"),
        ("[[providers]]\nid = \"x\"\nrefresh_class = \"overlap\"", "providers[0].refresh_window", 5, "30s"),
        ("[[providers]]\nid = \"x\"\nintrospection = true", "providers[0].introspection", 5, "with_hint"),
        ("[[providers]]\nid = \"x\"\nprobe = \"api\"", "providers[0].probe", 5, "userinfo"),
        ("[[providers]]\nid = \"x\"\nlast_resort = \"hope\"", "providers[0].last_resort", 5, "reauthenticate"),
        ("[[providers]]\nid = \"x\"\ndrain = 30", "providers[0].drain", 5, "unit"),
        ("[[providers]]\nid = \"x\"\nscopes = \"openid\"", "providers[0].scopes", 5, "scope"),
        (
            "[[providers]]\nid = \"x\"\n[providers.authorization_params]\naudience = 1",
            "providers[0].authorization_params.audience",
            6,
            "quotes",
        ),
        (
            "[[providers]]\nid = \"x\"\nclient_id = \"a\"\nclient_secret_env = \"CLIENT_SECRET\"",
            "providers.x.issuer",
            3,
            "is missing",
        ),
        (
            "[[providers]]\nid = \"x\"\nissuer = \"https://a.example\"\nclient_secret_env = \"CLIENT_SECRET\"",
            "providers.x.client_id",
            3,
            "is missing",
        ),
        ("[[providers]]\nid = \"X Y\"\nissuer = \"https://a.example\"", "providers.X Y.id", 4, "lower-case"),
        ("[[providers]]\nid = \"x\"\nissuer = \"http://a.example\"", "providers.x.issuer", 5, "https"),
        ("[[routes]]\npath = \"api\"\nupstream = \"http://127.0.0.1:1\"", "routes[0].path", 4, "slash"),
        ("[[routes]]\npath = \"/a?b\"\nupstream = \"http://127.0.0.1:1\"", "routes[0].path", 4, "query"),
        ("[[routes]]\npath = \"/caf é\"\nupstream = \"http://127.0.0.1:1\"", "routes[0].path", 4, "browsers"),
        ("[[routes]]\npath = \"/api\"", "routes[0].upstream", 3, "where requests go"),
        ("[[routes]]\nupstream = \"http://h\"\naudience = \" \"", "routes[0].audience", 5, "name"),
        ("[[routes]]\nupstream = \"http://h\"\nscope = \"\"", "routes[0].scope", 5, "separated by spaces"),
        ("[[routes]]\nupstream = \"http://h\"\nbearer = false\nscope = \"a\"", "routes[0].audience", 3, "bearer true"),
        ("[[routes]]\npath = \"/api\"\nupstream = \"ftp://127.0.0.1\"", "routes[0].upstream", 5, "http://host:port"),
        ("[[routes]]\npath = \"/api\"\nupstream = \"127.0.0.1:80\"", "routes[0].upstream", 5, "http://host:port"),
        ("[[routes]]\npath = \"/api\"\nupstream = \"http://u:pl4nted-s3cret@h\"", "routes[0].upstream", 5, "passwords"),
        (
            "[[routes]]\npath = \"/api\"\nupstream = \"http://h\"\naccess = \"private\"",
            "routes[0].access",
            6,
            "\"public\", \"optional\", \"required\"",
        ),
        ("[[routes]]\npath = \"/x\"\nupstream = \"http://h\"\nidentity = \"signed\"", "routes[0].identity", 6, "jwt"),
        ("[[routes]]\npath = \"/\"\nupstream = \"http://h\"", "routes[1].path", 6, "no other route"),
    ] {
        let found = faults(&with(lines), variables());
        let wanted = found.iter().find(|fault| fault.key == key);
        let fault = wanted.unwrap_or_else(|| panic!("{key} is not among {found:?} of {lines}"));
        assert_eq!(fault.place, format!("perennial.toml:{line}"), "{lines}");
        assert!(fault.remedy.contains(remedy), "{remedy:?} is missing: {fault} for {lines}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let text = "listen = 1\nstorre = \"memory:\"\n[session]\nmax_age = \"1s\"\n[renewal]\nrenew_befor = \"1s\"\n\
                [[providers]]\npreset = \"nobody\"\n[[providers]]\nclient_id = \"a\"\n\
                [[routes]]\naccess = \"private\"\n";
    let mut found: Vec<_> =
        faults(text, Vec::new()).into_iter().map(|fault| format!("{} {}", fault.key, fault.place)).collect();
    found.sort();
    assert_eq!(
        found,
        [
            "AUTH_SECRET environment",
            "listen perennial.toml:1",
            "providers.oidc.client_secret perennial.toml:9",
            "providers.oidc.issuer perennial.toml:9",
            "providers[0].preset perennial.toml:8",
            "public_url environment",
            "renewal.renew_befor perennial.toml:6",
            "routes[0].access perennial.toml:12",
            "routes[0].upstream perennial.toml:11",
            "session.max_age perennial.toml:4",
            "session.update_age perennial.toml:3",
            "storre perennial.toml:2",
        ]
    );
}

#[test]
fn what_is_not_toml_is_told_by_itself_with_every_place() {
    assert_eq!(
        told("public_url = \"https://app.example\nstore = memory:\n"),
        ["syntax perennial.toml:1", "syntax perennial.toml:2"]
    );
    assert_eq!(told("a = 1\na = 2\n"), ["syntax perennial.toml:2"]);
    assert_eq!(told("[[providers]]\nclient_secret = \"pl4nted-s3cret\n"), ["syntax perennial.toml:2"]);
    assert_eq!(told(&format!("{PLANTED} = {PLANTED}")), ["syntax perennial.toml:1"]);
}

#[test]
fn a_file_without_routes_or_with_none_says_so() {
    assert_eq!(told("public_url = \"https://app.example\""), ["routes perennial.toml"]);
    assert_eq!(told("public_url = \"https://app.example\"\nroutes = []\n"), ["routes perennial.toml:2"]);
    assert_eq!(told("public_url = \"https://app.example\"\nroutes = \"/\"\n"), ["routes perennial.toml:2"]);
}

#[test]
fn an_application_that_serves_the_browser_itself_needs_no_route() {
    let none = "public_url = \"https://app.example\"\nstore = \"memory:\"\n";
    let backend = |secret: &str| {
        let own = ("AUTH_BACKEND_SECRET".to_owned(), secret.to_owned());
        faults(none, variables().into_iter().chain([own]).collect())
    };
    assert_eq!(backend("a backend secret of thirty-two bytes"), []);
    assert_eq!(backend("").first().map(|fault| fault.key.as_str()), Some("routes"));
    assert_eq!(backend(PLANTED).first().map(|fault| fault.key.as_str()), Some("AUTH_BACKEND_SECRET"));
    let unreadable = format!("{none}backend_secret_files = [\"no/such/file\"]\n");
    assert_eq!(told(&unreadable), ["backend_secret_files perennial.toml:3"]);
}

#[test]
fn the_environment_is_named_by_its_variables() {
    for (variables, expected) in [
        (vec![], vec!["AUTH_SECRET environment", "providers environment"]),
        (vec![("AUTH_SECRET", "pl4nted")], vec!["AUTH_SECRET environment", "providers environment"]),
        (
            vec![("AUTH_SECRET", "pl4nted-s3cret long enough"), ("AUTH_OIDC_ID", "app")],
            vec![
                "providers.oidc.issuer environment, AUTH_OIDC_ISSUER",
                "providers.oidc.client_secret environment, AUTH_OIDC_SECRET",
            ],
        ),
        (
            vec![("AUTH_MICROSOFT_ENTRA_ID_ISSUER", "https://login.microsoftonline.com/common/v2.0")],
            vec![
                "AUTH_SECRET environment",
                "providers.microsoft-entra-id.client_id environment, AUTH_MICROSOFT_ENTRA_ID_ID",
                "providers.microsoft-entra-id.client_secret environment, AUTH_MICROSOFT_ENTRA_ID_SECRET",
            ],
        ),
    ] {
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let found: Vec<_> =
            faults(GOOD, variables).into_iter().map(|fault| format!("{} {}", fault.key, fault.place)).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn the_quick_start_tells_all_faults_at_once_too() {
    let start = QuickStart {
        listen: None,
        admin: None,
        public_url: Some("http://app.example".into()),
        upstream: format!("https://user:{PLANTED}@h"),
        store: Some("memory:".into()),
        compat_routes: false,
        dangerous_allow_http: false,
    };
    let told = |start: QuickStart| {
        let built = Config::quick(start, Vec::new()).and_then(Gateway::open);
        let faults = built.expect_err("faults").faults;
        assert!(!format!("{faults:?}").contains(PLANTED), "{faults:?}");
        faults.into_iter().map(|fault| fault.key).collect::<Vec<_>>()
    };
    assert_eq!(told(start.clone()), ["upstream", "AUTH_SECRET", "public_url", "providers"]);
    let exposed = QuickStart { admin: "10.0.0.1:9420".parse().ok(), ..start.clone() };
    assert_eq!(told(exposed), ["upstream", "admin.listen", "AUTH_SECRET", "public_url", "providers"]);
    let start = QuickStart { upstream: "http://h".into(), store: Some(format!("mysql://u:{PLANTED}@h")), ..start };
    assert_eq!(told(start), ["store", "AUTH_SECRET", "public_url", "providers"]);
}

/// Each key that the documentation lists, at a value that is not its default.
const ALL_KEYS: &str = r#"
listen = "127.0.0.1:4300"
public_url = "http://app.example"
base_path = "/api/auth"
store = "memory:"
secret_files = []
backend_secret_files = []
compat_routes = true
return_origins = ["https://www.app.example"]
updatable_claims = ["name"]
replica_name = "gateway-1"
reload_on_change = false
dangerous_allow_http = true
[admin]
listen = "0.0.0.0:9420"
dangerous_admin_public = true
[session]
strategy = "database"
idle_fed_by = "any"
epoch = 3
secret_roll_out = "1m"
max_age = "7d"
update_age = "1h"
absolute_max_age = "2w"
keep_claims = ["groups"]
[pages]
sign_in = "/login"
sign_out = "/logout"
error = "/oops"
[renewal]
renew_before = "90s"
renew_after = "30m"
default_lifetime = "1h 30m"
call_deadline = "500ms"
wait_max = "20s"
patience = "2s"
min_interval = "3s"
max_per_second = 7
max_at_once = 3
[[providers]]
preset = "oidc"
id = "x"
name = "X"
issuer = "http://id.example"
client_id = "app"
client_secret_env = "CLIENT_SECRET"
client_authentication = "client_secret_post"
scope = "openid offline_access"
authorization_endpoint = "http://id.example/authorize"
token_endpoint = "http://id.example/token"
userinfo_endpoint = "http://id.example/userinfo"
jwks_uri = "http://id.example/jwks"
end_session_endpoint = "http://id.example/logout"
revocation_endpoint = "http://id.example/revoke"
introspection_endpoint = "http://id.example/introspect"
introspection = "without_hint"
probe = "userinfo"
last_resort = "reauthenticate"
drain = "12s"
at_kill = true
refresh_class = "idempotent"
refresh_window = "30s"
dangerous_allow_http = true
[providers.authorization_params]
audience = "https://api.example"
[[routes]]
path = "/api"
upstream = "http://127.0.0.1:1/base"
access = "optional"
bearer = false
identity = "jwt"
hosts = ["*.example.com"]
methods = ["GET"]
exact = true
rule = "session.signed_in"
csrf = "origin"
keep_post = false
rewrite = "/"
timeout = "10s"
body_max = "1MiB"
[routes.request_headers]
X-Groups = "claims.groups"
"#;

#[test]
fn every_documented_key_is_read() {
    let config = Config::from_toml("perennial.toml", ALL_KEYS, variables()).expect("a good file");
    assert_eq!((config.listen.port(), config.store.as_str()), (4300, "memory:"));
    assert_eq!(config.admin, "0.0.0.0:9420".parse().ok());
    let route = &config.routes[0];
    assert_eq!((route.path.as_str(), route.upstream.url().as_str()), ("/api", "http://127.0.0.1:1/base"));
    assert_eq!((route.access, route.bearer, route.identity), (Access::Optional, false, Identity::Jwt));
    assert_eq!((route.hosts.len(), &route.methods[..]), (1, &[http::Method::GET][..]));
    assert_eq!(route.rule.as_ref().map(perennial_gateway::Expression::as_str), Some("session.signed_in"));
    assert_eq!((route.csrf, route.rewrite.as_ref().map(Rewrite::as_str)), (CsrfGuard::Origin, Some("/")));
    assert_eq!((route.timeout.map(|time| time.as_secs()), route.body_max), (Some(10), Some(1 << 20)));
    assert_eq!(route.request_headers[0].name(), "x-groups");
    let gateway = Gateway::build(config).expect("a good configuration");
    let auth = gateway.auth();
    let settings = auth.settings();
    assert_eq!(settings.public_url.as_str(), "http://app.example/");
    assert_eq!(settings.base_path, "/api/auth");
    assert!(settings.compat_routes);
    assert_eq!(settings.replica_name.as_deref(), Some("gateway-1"));
    assert_eq!(
        (&settings.updatable_claims[..], &settings.kept_claims[..]),
        (&["name".into()][..], &["groups".into()][..])
    );
    assert_eq!(settings.return_origins.len(), 1);
    let seconds = |duration: std::time::Duration| duration.as_secs_f64();
    assert_eq!([settings.max_age, settings.update_age].map(seconds), [604_800.0, 3600.0]);
    assert_eq!(settings.absolute_max_age.map(seconds), Some(1_209_600.0));
    assert_eq!((settings.strategy, settings.idle_fed_by), (SessionStrategy::Database, IdleFedBy::Any));
    assert_eq!((settings.epoch, seconds(settings.secret_roll_out)), (Epoch(3), 60.0));
    let renewal = &settings.renewal;
    assert_eq!([renewal.renew_before, renewal.call_deadline, renewal.wait_max].map(seconds), [90.0, 0.5, 20.0]);
    assert_eq!([renewal.patience, renewal.min_interval].map(seconds), [2.0, 3.0]);
    assert_eq!([renewal.max_per_second, renewal.max_at_once], [7, 3]);
    assert_eq!(
        [renewal.renew_after, renewal.default_lifetime].map(|age| age.map(seconds)),
        [Some(1800.0), Some(5400.0)]
    );
    assert_eq!(auth.providers().map(|id| id.as_str()).collect::<Vec<_>>(), ["oidc", "x"]);
}

#[test]
fn every_key_says_what_it_wants_when_it_gets_something_else() {
    for (number, line) in ALL_KEYS.lines().enumerate() {
        let Some((key, _)) = line.split_once(" = ") else { continue };
        let wrong: Vec<_> = ALL_KEYS
            .lines()
            .enumerate()
            .map(|(each, line)| if each == number { format!("{key} = 1979-05-27") } else { line.to_owned() })
            .collect();
        let found = faults(&wrong.join("\n"), variables());
        let place = format!("perennial.toml:{}", number + 1);
        let fault = found.iter().find(|fault| fault.place == place && fault.key.ends_with(key));
        let fault = fault.unwrap_or_else(|| panic!("{key}: {found:?}"));
        assert!(!fault.remedy.contains("spelling"), "{key} is not read: {fault}");
    }
}

#[test]
fn the_example_of_the_documentation_is_good() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/perennial.example.toml");
    let text = std::fs::read_to_string(path).expect("docs/perennial.example.toml");
    let secret = ("AUTH_SECRET".to_owned(), "a secret for tests, long enough".to_owned());
    let config = Config::from_toml("perennial.example.toml", &text, [secret.clone()]).expect("a good file");
    Gateway::build(config).expect("a good configuration");

    // What is commented out must be good as well, if what it excludes, and files that are not here, are taken out.
    let names_file = |line: &str| line.contains("_file = ") || line.contains("_files = ");
    let all = text.lines().filter(|line| !line.starts_with("client_authentication") && !names_file(line));
    let all: Vec<_> = all
        .map(|line| match line.strip_prefix("# ").filter(|rest| rest.contains(" = ") || rest.starts_with('[')) {
            Some(setting) => setting,
            None => line,
        })
        .collect();
    let variables = [secret, ("EXAMPLE_SECRET".to_owned(), "x".to_owned())];
    let legacy = all.join("\n").replace("id = \"legacy\"", "id = \"legacy\"\nclient_authentication = \"none\"");
    let config = Config::from_toml("perennial.example.toml", &legacy, variables).expect("a good file");
    Gateway::build(config).expect("a good configuration");
}

#[test]
fn a_replica_is_called_by_its_setting_or_by_the_end_of_its_host_name() {
    let pod = "shop-frontend-perennial-gateway-7c9d6f5b4-x2x8z";
    for (line, host, expected) in [
        ("replica_name = \"b\"", Some(pod), Some("b")),
        ("", Some(pod), Some(&pod[pod.len() - 32..])),
        ("", Some("web 1\n"), Some("web1")),
        ("", Some(""), None),
        ("", None, None),
    ] {
        let host = host.map(|host| ("HOSTNAME".to_owned(), host.to_owned()));
        let config = Config::from_toml("perennial.toml", &with(line), variables().into_iter().chain(host));
        let gateway = Gateway::build(config.expect("a good file")).expect("a good configuration");
        assert_eq!(gateway.auth().settings().replica_name.as_deref(), expected, "{line}");
    }
}

#[test]
fn other_proxies_ask_where_the_file_says_and_nowhere_else() {
    let read = |lines: &str| Config::from_toml("perennial.toml", &with(lines), variables()).expect("a good file");
    assert!(read("").forward_auth.is_none());
    assert!(read("[forward_auth]\ntrusted = [\"10.0.0.7\"]").forward_auth.is_none(), "trusted alone opens nothing");
    let settings = read("[forward_auth]\nlisten = \"127.0.0.1:4210\"").forward_auth.expect("asked for");
    let trusted: Vec<_> = settings.trusted.iter().map(ToString::to_string).collect();
    assert_eq!((settings.listen.port(), &trusted[..]), (4210, &["127.0.0.0/8".to_owned(), "::1/128".to_owned()][..]));
    let lines = "[forward_auth]\nlisten = \"10.0.0.1:1\"\ntrusted = [\"10.0.0.7\", \"10.1.0.0/16\"]";
    let trusted = read(lines).forward_auth.expect("asked for").trusted;
    for (address, expected) in [("10.0.0.7", true), ("10.0.0.8", false), ("10.1.2.3", true), ("127.0.0.1", false)] {
        let address: std::net::IpAddr = address.parse().expect("an address");
        assert_eq!(trusted.iter().any(|network| network.contains(&address)), expected, "{address}");
    }
}
