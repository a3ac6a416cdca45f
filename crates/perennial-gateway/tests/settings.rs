//! What is made from the table of settings is committed as it is made, and says the same as the reader of files.

use std::path::Path;

use perennial::{ConfigError, ConfigFault};
use perennial_gateway::{Config, Gateway, QuickStart, settings};
use serde_json::Value;

/// What no message may ever contain.
const PLANTED: &str = "pl4nted-s3cret";

const GOOD: &str = "public_url = \"https://app.example\"\n[[routes]]\nupstream = \"http://127.0.0.1:1\"\n";

fn docs(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn variables(more: &[(&str, &str)]) -> Vec<(String, String)> {
    let good = [
        ("AUTH_SECRET", "a secret for tests, long enough"),
        ("AUTH_OIDC_ISSUER", "https://id.example"),
        ("AUTH_OIDC_ID", "app"),
        ("AUTH_OIDC_SECRET", PLANTED),
        ("PERENNIAL_STORE", "memory:"),
    ];
    let given = |name: &str| more.iter().any(|(other, _)| *other == name);
    let good = good.into_iter().filter(|(name, _)| !given(name));
    good.chain(more.iter().copied()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn faults(text: &str, more: &[(&str, &str)]) -> Vec<ConfigFault> {
    let built = Config::from_toml("perennial.toml", text, variables(more)).and_then(Gateway::build);
    let faults = built.map_or_else(|ConfigError { faults }| faults, |_| Vec::new());
    assert!(!format!("{faults:?}").contains(PLANTED), "{faults:?}");
    faults
}

#[test]
fn what_is_committed_is_what_the_table_makes() {
    let page = docs("configuration.md");
    for (name, committed, made) in [
        ("configuration.md", page.clone(), settings::page(&page)),
        ("perennial.example.toml", docs("perennial.example.toml"), settings::example()),
        ("perennial.schema.json", docs("perennial.schema.json"), settings::schema()),
    ] {
        assert!(committed == made, "docs/{name} is behind the table of settings: run `cargo xtask docs`");
    }
}

#[test]
fn every_section_stands_on_the_page_and_every_key_in_the_example() {
    fn look(table: &Value, path: &str, page: &str, example: &str) {
        let mark = format!("<!-- settings: {} -->", if path.is_empty() { "top" } else { path });
        assert!(page.contains(&mark), "docs/configuration.md has no place for {mark}");
        for (key, property) in table["properties"].as_object().expect("properties") {
            assert!(example.contains(key), "the example file does not show {key} of [{path}]");
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match property {
                table if table["properties"].is_object() => look(table, &path, page, example),
                list if list["items"]["properties"].is_object() => look(&list["items"], &path, page, example),
                _ => {}
            }
        }
    }
    let schema: Value = serde_json::from_str(&settings::schema()).expect("JSON");
    look(&schema, "", &docs("configuration.md"), &settings::example());
}

/// A file as an editor sees it.
fn as_json(text: &str) -> Value {
    serde_json::to_value(text.parse::<toml::Table>().expect("TOML")).expect("JSON")
}

/// The example with everything in force that it has commented out.
fn all_of_the_example() -> String {
    let example = settings::example();
    let lines = example.lines().map(|line| match line.strip_prefix("# ") {
        Some(setting) if setting.contains(" = ") || setting.starts_with('[') => setting,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_schema_takes_what_the_reader_takes_and_refuses_what_it_refuses() {
    let schema: Value = serde_json::from_str(&settings::schema()).expect("JSON");
    let schema = jsonschema::draft202012::new(&schema).expect("a schema of draft 2020-12");
    for good in [GOOD.to_owned(), settings::example(), all_of_the_example()] {
        let found: Vec<_> = schema.iter_errors(&as_json(&good)).map(|error| error.to_string()).collect();
        assert_eq!(found, [] as [&str; 0], "{good}");
    }
    for bad in [
        "lissten = \"127.0.0.1:4200\"",
        "listen = 4200",
        "replicas = 0",
        "replicas = \"3\"",
        "compat_routes = \"yes\"",
        "return_origins = \"https://a.example\"",
        "session = 3",
        "[session]\nmax_age = 30",
        "[session]\nmax_age = \"30\"",
        "[session]\nmax_age = \"-1d\"",
        "[session]\nstrategy = \"cookie\"",
        "[session]\nmax_agee = \"30d\"",
        "[renewal]\nmax_at_once = 1025",
        "[[providers]]\nclient_secret = \"pl4nted-s3cret\"",
        "[[providers]]\nauthorization_params = { audience = 1 }",
        "[[routes]]\naccess = \"public\"",
    ] {
        assert!(!schema.is_valid(&as_json(bad)), "an editor would not mind {bad}");
        assert!(!faults(&format!("{bad}\n"), &[]).is_empty(), "the reader does not mind {bad}");
    }
}

#[test]
fn a_variable_goes_before_the_file_and_the_command_line_before_both() {
    let file = format!(
        "listen = \"127.0.0.1:1\"\nreturn_origins = [\"https://a.example\"]\n{GOOD}[session]\nmax_age = \"7d\"\n"
    );
    let more = [
        ("PERENNIAL_LISTEN", "127.0.0.1:2"),
        ("PERENNIAL_SESSION_MAX_AGE", "8d"),
        ("PERENNIAL_RETURN_ORIGINS", "https://b.example, https://c.example"),
        ("PERENNIAL_COMPAT_ROUTES", "true"),
        ("PERENNIAL_RENEWAL_MAX_AT_ONCE", "7"),
        ("PERENNIAL_THEME_COLOR_SCHEME", ""),
    ];
    let config = Config::from_toml("perennial.toml", &file, variables(&more)).expect("a good file");
    assert_eq!(config.listen.port(), 2);
    let gateway = Gateway::build(config).expect("a good configuration");
    let auth = gateway.auth();
    let settings = auth.settings();
    assert_eq!(settings.max_age.as_secs(), 8 * 86_400);
    assert_eq!((settings.return_origins.len(), settings.compat_routes, settings.renewal.max_at_once), (2, true, 7));

    let start = QuickStart { upstream: "http://127.0.0.1:1".into(), ..QuickStart::default() };
    let config = Config::quick(start.clone(), variables(&more)).expect("a good quick start");
    assert_eq!((config.listen.port(), config.store.as_str()), (2, "memory:"));
    let gateway = Gateway::build(config).expect("a good configuration");
    assert_eq!(gateway.auth().settings().origin(), "http://127.0.0.1:2");
    assert_eq!(gateway.auth().settings().max_age.as_secs(), 8 * 86_400);
    let start = QuickStart { listen: "127.0.0.1:3".parse().ok(), ..start };
    assert_eq!(Config::quick(start, variables(&more)).expect("a good quick start").listen.port(), 3);
}

#[test]
fn a_fault_of_the_environment_names_its_variable() {
    for (name, value, key, remedy) in [
        ("PERENNIAL_SESSION_MAX_AGE", "30", "session.max_age", "unit"),
        ("PERENNIAL_SESSION_MAX_AGE", "401d", "session.max_age", "1 minute to 400 days"),
        ("PERENNIAL_SESSION_STRATEGY", "cookie", "session.strategy", "\"database\""),
        ("PERENNIAL_COMPAT_ROUTES", "yes", "compat_routes", "true or false"),
        ("PERENNIAL_REPLICAS", "0", "replicas", "1 or more"),
        ("PERENNIAL_LISTEN", "4200", "listen", "127.0.0.1:4200"),
        ("PERENNIAL_BASE_PATH", "auth", "base_path", "plain path"),
        ("PERENNIAL_STORE", "mysql://u:pl4nted-s3cret@h", "store", "redis"),
        ("PERENNIAL_PAGES_ERROR", "https://elsewhere.example", "pages.error", "path of this site"),
    ] {
        let found = faults(GOOD, &[(name, value)]);
        let [fault] = &found[..] else { panic!("{name}: {found:?}") };
        assert_eq!((fault.key.as_str(), fault.place.as_str()), (key, format!("environment, {name}").as_str()));
        assert!(fault.remedy.contains(remedy), "{fault}");
    }
}

#[test]
fn a_secret_may_come_from_a_file_that_a_variable_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let (secret, client) = (file("cookie", "a secret from a file, long enough\n"), file("client", "from a file\n"));
    let (store, short) = (file("store", "memory:\n"), file("short", "short"));
    let from_files = [
        ("AUTH_SECRET", ""),
        ("AUTH_OIDC_SECRET", ""),
        ("PERENNIAL_STORE", ""),
        ("AUTH_SECRET_FILE", &secret),
        ("AUTH_OIDC_SECRET_FILE", &client),
        ("PERENNIAL_STORE_FILE", &store),
    ];
    assert_eq!(faults(GOOD, &from_files), []);
    let config = Config::from_toml("perennial.toml", GOOD, variables(&from_files)).expect("a good file");
    assert_eq!(config.store, "memory:");
    for (variables, key, place) in [
        (&[("AUTH_SECRET_FILE", "/no/file"), ("AUTH_SECRET", "")][..], "AUTH_SECRET_FILE", "environment"),
        (
            &[("PERENNIAL_STORE_FILE", "/no/file"), ("PERENNIAL_STORE", "")],
            "store",
            "environment, PERENNIAL_STORE_FILE",
        ),
        (&[("AUTH_SECRET_FILE", &short), ("AUTH_SECRET", "")], "AUTH_SECRET", "environment"),
    ] {
        let found = faults(GOOD, variables);
        assert_eq!(found.first().map(|fault| (&*fault.key, &*fault.place)), Some((key, place)), "{found:?}");
    }
    // The secret itself goes before a file, so that nobody seals with another than he reads in his environment.
    assert_eq!(faults(GOOD, &[("AUTH_SECRET_FILE", "/no/file")]), []);
}

#[test]
fn a_misspelt_key_is_told_what_may_have_been_meant() {
    for (text, expected) in [
        ("lissten = \"x\"", Some("listen")),
        ("publicUrl = \"x\"", Some("public_url")),
        ("public-url = \"x\"", Some("public_url")),
        ("route = []", Some("routes")),
        ("[sesion]\nmax_age = \"1d\"", Some("session")),
        ("[session]\nmaxage = \"1d\"", Some("max_age")),
        ("[[providers]]\nscopes = \"openid\"", Some("scope")),
        ("[[providers]]\nsecret = \"pl4nted-s3cret\"", None),
        ("colour = \"x\"", None),
    ] {
        let found = faults(text, &[]);
        let told = found.iter().find(|fault| fault.remedy.contains("spelling")).expect("an unknown key");
        let meant = told.remedy.split_once("did you mean `").and_then(|(_, rest)| Some(rest.split_once('`')?.0));
        assert_eq!(meant, expected, "{told}");
    }
}
