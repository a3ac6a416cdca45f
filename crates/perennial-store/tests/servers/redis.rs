//! Redis in all its shapes, and Valkey.

use perennial_testservers::{Authority, Make, RedisCluster, RedisSentinels, RedisServer};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_keeps_the_contract() {
    let server = RedisServer::start();
    keeps_the_contract(|namespace| format!("{}?prefix=t{namespace}:&timeout=20s", server.url())).await;
}

/// A server that calls itself Redis in some places, for old clients, says in others what it is.
fn is_valkey(server: &RedisServer) -> bool {
    server.ask(&["INFO", "server"]).is_ok_and(|info| info.contains("valkey_version:"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn valkey_keeps_the_contract() {
    let server = RedisServer::of(Make::Valkey);
    assert!(is_valkey(&server) && !is_valkey(&RedisServer::start()));
    keeps_the_contract(|namespace| format!("{}?prefix=t{namespace}:&timeout=20s", server.url())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_valkey_cluster_keeps_the_contract() {
    let mut cluster = RedisCluster::of(Make::Valkey);
    assert!(cluster.nodes().iter().all(is_valkey));
    keeps_the_contract(|namespace| format!("{}?prefix=t{namespace}:&timeout=20s", cluster.url())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_cluster_keeps_the_contract() {
    let cluster = RedisCluster::start();
    keeps_the_contract(|namespace| format!("{}?prefix=t{namespace}:&timeout=20s", cluster.url())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_behind_sentinels_and_waiting_for_its_replica_keeps_the_contract() {
    let sentinels = RedisSentinels::start();
    keeps_the_contract(|namespace| format!("{}?prefix=t{namespace}:&timeout=20s&wait_replicas=1", sentinels.url()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_over_tls_with_a_private_authority_and_a_password_keeps_the_contract() {
    let authority = Authority::new();
    let server = RedisServer::with_tls(&authority);
    server.ask(&["CONFIG", "SET", "requirepass", "planted-password"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = authority.write(folder.path());
    let address = server.url().replace("//", "//:planted-password@");
    keeps_the_contract(|namespace| format!("{address}?prefix=t{namespace}:&timeout=20s&ca={}", ca.display())).await;

    // Without the authority nobody is trusted, and a wrong password is not repeated to the operator.
    let stranger = open(&address);
    let refused = stranger.check().await.expect_err("a certificate of an unknown authority was trusted");
    assert!(refused.wrote_nothing(), "{refused}");
    let wrong = server.url().replace("//", "//:planted-mistake@");
    let refused = open(&format!("{wrong}?ca={}", ca.display())).check().await.unwrap_err();
    assert!(refused.to_string().contains("user and password"), "{refused}");
    assert!(!format!("{refused:?}").contains("planted"), "{refused:?}");
}

/// The subscription and the commands follow the Sentinels to the new master, and what a replica had confirmed is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fail_over_loses_no_write_that_a_replica_confirmed() {
    let mut sentinels = RedisSentinels::start();
    let confirmed = open(&format!("{}?wait_replicas=1", sentinels.url()));
    let version = stored(&confirmed, 1, None, b"confirmed").await;
    confirmed.announce(Announcement { key: key(2), until: in_an_hour() }, now()).await.unwrap();
    let store = open(&sentinels.url());
    let mut listener = store.announcements(now());
    hear(&mut listener, |news| news == News::InTouch).await;

    let failed_over = tokio::task::spawn_blocking(move || {
        sentinels.fail_over();
        sentinels
    });
    let sentinels = failed_over.await.unwrap();

    let found = within_patience("the new master answers", async || store.load(key(1), now()).await.ok()).await;
    assert_eq!(found.map(|record| record.version), Some(version), "a confirmed write was lost");
    let newcomer = open(&sentinels.url());
    hear(&mut newcomer.announcements(now()), is_about(2)).await;
    within_patience("the new master writes", async || {
        let swapped = swap(&store, 1, Some(version), b"next").await.ok()?;
        matches!(swapped, Swap::Stored(_)).then_some(())
    })
    .await;
    store.announce(Announcement { key: key(3), until: in_an_hour() }, now()).await.unwrap();
    hear(&mut listener, is_about(3)).await;

    // The only replica has become the master: nobody can confirm, and the store does not pretend.
    let unconfirmed = swap(&confirmed, 4, None, b"unconfirmed").await.expect_err("nobody confirmed");
    assert!(!unconfirmed.wrote_nothing(), "{unconfirmed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_redis_refuses_the_new_and_keeps_the_living() {
    let server = RedisServer::start();
    let store = open(&server.url());
    let version = stored(&store, 1, None, b"kept").await;
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    let refused = swap(&store, 2, None, &[0; 60_000]).await.expect_err("there was room");
    assert_eq!((refused.code(), refused.wrote_nothing()), ("store_full", true), "{refused}");
    server.ask(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    assert!(store.load(key(2), now()).await.unwrap().is_none());
    stored(&store, 1, Some(version), b"renewed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_the_documented_rights_and_no_more_can_do_everything() {
    for make in [Make::Redis, Make::Valkey] {
        can_do_everything_with_the_documented_rights(&RedisServer::of(make)).await;
    }
}

async fn can_do_everything_with_the_documented_rights(server: &RedisServer) {
    let rights = "on >planted ~perennial:* &perennial:* -@all +get +set +del +publish +subscribe +eval +evalsha +time +scan \
                  +zadd +zrange +zrem +zscan +pexpireat +ping +hello +wait";
    let words: Vec<&str> = ["ACL", "SETUSER", "keeper"].into_iter().chain(rights.split_whitespace()).collect();
    server.ask(&words).unwrap();
    let store = open(&server.url().replace("//", "//keeper:planted@"));
    store.check().await.unwrap();
    let version = stored(&store, 1, None, b"1").await;
    store.announce(Announcement { key: key(1), until: in_an_hour() }, now()).await.unwrap();
    hear(&mut store.announcements(now()), |news| news == News::InTouch).await;
    let prefix = perennial_store::KeyPrefix::new(&[1; 9]).unwrap();
    assert_eq!(store.find(prefix, now()).await.unwrap().len(), 1);
    store.remove(key(1), version).await.unwrap();
    store.sweep(now()).await.unwrap();

    // One right less: it says who must act, and has written nothing.
    server.ask(&["ACL", "SETUSER", "keeper", "-publish"]).unwrap();
    let refused = swap(&store, 2, None, b"2").await.expect_err("it was forbidden");
    assert!(refused.wrote_nothing(), "{refused}");
    assert!(store.load(key(2), now()).await.unwrap().is_none());
}
