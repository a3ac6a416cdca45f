//! The keepers on servers, each against a real one that the test starts, kills, pauses and starts again.

mod outages;
mod postgres;
mod redis;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use perennial_core::Timestamp;
use perennial_store::contract::{self, Namespace};
use perennial_store::{Announcement, News, RecordKey, SessionStore, StoreError, Swap, Version};

/// Longer than any server takes; a test that would hang fails here.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the contract suite, each namespace under the URL that `named` makes of it.
async fn keeps_the_contract(named: impl Fn(Namespace) -> String) {
    contract::run(async |namespace| open(&named(namespace))).await;
}

fn open(url: &str) -> Arc<dyn SessionStore> {
    perennial_store::open(url).unwrap_or_else(|error| panic!("{error}"))
}

fn now() -> Timestamp {
    let millis = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    Timestamp::from_unix_millis(i64::try_from(millis).unwrap())
}

fn in_an_hour() -> Timestamp {
    now() + Duration::from_secs(3600)
}

fn key(number: u8) -> RecordKey {
    RecordKey::from_digest([number; 32])
}

async fn swap(
    store: &Arc<dyn SessionStore>,
    number: u8,
    expected: Option<Version>,
    bytes: &[u8],
) -> Result<Swap, StoreError> {
    store.compare_and_swap(key(number), expected, bytes.to_vec(), in_an_hour(), now()).await
}

async fn stored(store: &Arc<dyn SessionStore>, number: u8, expected: Option<Version>, bytes: &[u8]) -> Version {
    match swap(store, number, expected, bytes).await {
        Ok(Swap::Stored(version)) => version,
        other => panic!("{other:?}"),
    }
}

/// Asks again until the store answers, as a server needs its time to come back.
async fn within_patience<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("it never came true that {what}"))
}

/// Listens until `wanted` is told.
async fn hear(listener: &mut BoxStream<'static, News>, wanted: impl Fn(News) -> bool) {
    let hearing = async {
        while let Some(news) = listener.next().await {
            if wanted(news) {
                return;
            }
        }
        panic!("the news ended");
    };
    tokio::time::timeout(PATIENCE, hearing).await.expect("it was never told");
}

fn is_about(number: u8) -> impl Fn(News) -> bool {
    move |news| matches!(news, News::Announced(Announcement { key: told, .. }) if told == key(number))
}
