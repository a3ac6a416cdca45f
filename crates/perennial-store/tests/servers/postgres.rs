//! PostgreSQL.

use perennial_testservers::{Authority, PostgresServer};
use tokio::task::JoinSet;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_contract() {
    let server = PostgresServer::start();
    keeps_the_contract(|namespace| format!("{}?schema=t{namespace}&timeout=20s", server.url())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_together_lay_the_tables_out_once() {
    let server = PostgresServer::start();
    let mut starts = JoinSet::new();
    for replica in 0..8 {
        let store = open(&format!("{}?connections=2&timeout=20s", server.url()));
        starts.spawn(async move {
            store.check().await.unwrap();
            stored(&store, replica, None, b"first").await
        });
    }
    assert_eq!(starts.join_all().await.len(), 8);
    assert_eq!(server.ask("SELECT version, count(*) OVER () FROM perennial.schema_version"), "1|1");
    assert_eq!(server.ask("SELECT count(*) FROM perennial.records"), "8");

    server.ask("UPDATE perennial.schema_version SET version = 99");
    let refused = open(&server.url()).check().await.expect_err("tables of a later version were used");
    assert!(refused.to_string().contains("later version") && refused.wrote_nothing(), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_over_tls_and_with_few_rights_says_what_is_wrong() {
    let authority = Authority::new();
    let server = PostgresServer::with_tls(&authority);
    let folder = tempfile::tempdir().unwrap();
    let ca = authority.write(folder.path());
    let url = format!("{}?ca={}", server.url(), ca.display());
    let store = open(&url);
    let version = stored(&store, 1, None, b"over TLS").await;
    assert_eq!(server.ask("SELECT bool_and(ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'perennial'"), "t");

    // Whoever only uses the tables needs no right to make any.
    server.ask(
        "CREATE USER keeper PASSWORD 'planted'; GRANT USAGE ON SCHEMA perennial TO keeper;
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA perennial TO keeper;
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA perennial TO keeper",
    );
    let keeper = url.replace("perennial:planted-postgres-password", "keeper:planted");
    let store = open(&keeper);
    stored(&store, 1, Some(version), b"by the keeper").await;
    let table = [
        (keeper.replace(":planted@", ":mistaken@"), "user and password"),
        (keeper.replace("/perennial?", "/nowhere?"), "no database of that name"),
        (format!("{keeper}&schema=elsewhere"), "grant what"),
        (server.url() + "?sslmode=require", "cannot be reached"),
    ];
    for (url, part) in table {
        let refused = open(&url).check().await.expect_err(part);
        assert!(refused.to_string().contains(part) && refused.wrote_nothing(), "{part}: {refused}");
        assert!(!format!("{refused:?}").contains("mistaken"), "{refused:?}");
    }
}

/// A pooler in front may not pass LISTEN on; then the store asks once a second, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_cannot_listen_asks_every_second_and_says_so() {
    let server = PostgresServer::start();
    let store = open(&format!("{}?connections=1", server.url()));
    store.check().await.unwrap();
    // No further connection is let in: that of the pool stays.
    server.ask("ALTER USER perennial CONNECTION LIMIT 1; ALTER USER perennial NOSUPERUSER");
    let mut listener = store.announcements(now());
    hear(&mut listener, |news| news == News::OutOfTouch).await;
    store.announce(Announcement { key: key(1), until: in_an_hour() }, now()).await.unwrap();
    hear(&mut listener, is_about(1)).await;
    let version = stored(&store, 1, None, b"1").await;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.changed(key(1), Some(version), now()).await }
    });
    stored(&store, 1, Some(version), b"2").await;
    tokio::time::timeout(PATIENCE, waiting).await.expect("it looks for itself").unwrap().unwrap();
}
