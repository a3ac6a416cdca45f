//! Announcements: who is told what.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use perennial_core::Timestamp;

use super::life::reached;
use super::{Handles, Namespace, in_an_hour, key, now};
use crate::{Announcement, Durability, News, RecordKey, SessionStore};

/// News comes long before; a store that keeps it to itself fails here instead of hanging.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn a_new_listener_is_told_what_still_matters(keeper: &Arc<dyn SessionStore>) {
    let brief = now() + Duration::from_secs(1);
    announce(keeper, 0, in_an_hour()).await;
    announce(keeper, 1, brief).await;
    announce(keeper, 2, now() - Duration::from_secs(1)).await;
    let after = reached(keeper, brief).await;
    for _ in 0..2 {
        let mut listener = Listener::at(keeper, after);
        listener.until_in_touch().await;
        assert!(listener.heard.contains_key(&key(0)), "a listener was in touch before it was told what there is");
        for number in [1, 2] {
            let past = listener.heard.get(&key(number));
            assert_eq!(past, None, "a listener was told what matters no more");
        }
        keeper.sweep(after).await.expect("a healthy store sweeps");
    }
}

pub(super) async fn every_listener_is_told_what_is_announced_anywhere(handles: &Handles) {
    let mut listeners: Vec<Listener> = (0..4).map(|task| Listener::at(&handles.of_task(task), now())).collect();
    for listener in &mut listeners {
        listener.until_in_touch().await;
    }
    let until = in_an_hour();
    for number in 0..64 {
        announce(&handles.of_task(usize::from(number)), number, until).await;
    }
    for listener in &mut listeners {
        for number in 0..64 {
            listener.told(number, until).await;
        }
    }
}

pub(super) async fn whoever_begins_to_listen_meanwhile_misses_nothing(handles: &Handles) {
    const COUNT: u16 = 128;
    let until = in_an_hour();
    let announcing = tokio::spawn({
        let keeper = handles.here.clone();
        async move {
            for number in 0..COUNT {
                announce(&keeper, number, until).await;
            }
        }
    });
    let mut listeners = Vec::new();
    for task in 0..16 {
        listeners.push(Listener::at(&handles.of_task(task), now()));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    announcing.await.expect("the announcer ends");
    for listener in &mut listeners {
        for number in 0..COUNT {
            listener.told(number, until).await;
        }
    }
}

pub(super) async fn the_later_end_counts(keeper: &Arc<dyn SessionStore>) {
    let (brief, long) = (now() + Duration::from_secs(1), in_an_hour());
    let mut before = Listener::at(keeper, now());
    announce(keeper, 0, brief).await;
    announce(keeper, 0, long).await;
    announce(keeper, 0, brief).await;
    before.told(0, long).await;
    let after = reached(keeper, brief).await;
    let mut listener = Listener::at(keeper, after);
    listener.until_in_touch().await;
    listener.told(0, long).await;
}

pub(super) async fn what_was_announced_outlives_the_store(
    make: &impl AsyncFn(Namespace) -> Arc<dyn SessionStore>,
    namespace: Namespace,
) {
    let keeper = make(namespace).await;
    let until = in_an_hour();
    let mut before = Listener::at(&keeper, now());
    announce(&keeper, 0, until).await;
    before.told(0, until).await;
    let durable = keeper.durability() != Durability::Process;
    drop(keeper);

    // A stream that kept its store alive would keep the file's lock, too.
    let keeper = make(namespace).await;
    let mut listener = Listener::at(&keeper, now());
    listener.until_in_touch().await;
    let told = listener.heard.contains_key(&key(0));
    assert_eq!(told, durable, "a restart and an announcement, against the stated durability");
}

async fn announce(keeper: &Arc<dyn SessionStore>, number: u16, until: Timestamp) {
    let announcement = Announcement { key: key(number), until };
    keeper.announce(announcement, now()).await.expect("a healthy store announces");
}

struct Listener {
    stream: BoxStream<'static, News>,
    heard: HashMap<RecordKey, Timestamp>,
}

impl Listener {
    fn at(keeper: &Arc<dyn SessionStore>, now: Timestamp) -> Self {
        Self { stream: keeper.announcements(now), heard: HashMap::new() }
    }

    /// Listens on; whether the next thing that was told is that all was told.
    async fn hear(&mut self, otherwise: &str) -> bool {
        match tokio::time::timeout(PATIENCE, self.stream.next()).await {
            Ok(Some(News::Announced(Announcement { key, until }))) => {
                let known = self.heard.entry(key).or_insert(until);
                *known = until.max(*known);
                false
            }
            Ok(Some(news)) => news == News::InTouch,
            Ok(None) => panic!("the news ended before the store did"),
            Err(_) => panic!("{otherwise}"),
        }
    }

    async fn until_in_touch(&mut self) {
        while !self.hear("a listener was never in touch").await {}
    }

    /// Listens until `number` was announced, to the end of `until` or later.
    async fn told(&mut self, number: u16, until: Timestamp) {
        // Hours are compared to the minute: they were asked for at different moments.
        let until = until - Duration::from_secs(60);
        while self.heard.get(&key(number)).is_none_or(|told| *told < until) {
            self.hear(&format!("a listener was not told of announcement {number}")).await;
        }
    }
}
