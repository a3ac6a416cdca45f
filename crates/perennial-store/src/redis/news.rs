//! What Redis tells by publish and subscribe: one connection, one channel, a few bytes a change.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use perennial_core::Timestamp;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::{mpsc, watch};

use super::failure::failure;
use super::{Redis, reply};
use crate::ear::{Heard, Server};
use crate::{Announcement, RecordKey, StoreError, limits};

/// The message that tells of `heard`: one letter, the key, and for an announcement its end.
pub(super) fn message(heard: Heard) -> Vec<u8> {
    match heard {
        Heard::Changed(key) => [&b"c"[..], key.as_bytes()].concat(),
        Heard::Announced(Announcement { key, until }) => {
            [&b"a"[..], key.as_bytes(), &until.unix_millis().to_be_bytes()].concat()
        }
    }
}

/// What a message tells; `None` when it is none of ours.
fn told(message: &[u8]) -> Option<Heard> {
    let (letter, rest) = message.split_first()?;
    let (key, rest) = rest.split_first_chunk::<32>()?;
    let key = RecordKey::from_digest(*key);
    match (letter, rest.len()) {
        (b'c', 0) => Some(Heard::Changed(key)),
        (b'a', 8) => {
            let until = Timestamp::from_unix_millis(i64::from_be_bytes(rest.try_into().ok()?));
            Some(Heard::Announced(Announcement { key, until }))
        }
        _ => None,
    }
}

impl Server for Redis {
    fn subscribe(&self) -> BoxFuture<'_, Result<BoxStream<'static, Heard>, StoreError>> {
        async move {
            // Before connecting: if commands find another master in the meantime, this is followed at once.
            let moved = self.link.connected.subscribe();
            let (pushes, pushed) = mpsc::unbounded_channel();
            let config = self.link.config().set_push_sender(pushes);
            let connecting = async {
                let mut connection = self.link.connect_for_pushes(config, next_attempt()).await?;
                connection.subscribe(self.link.address.channel.as_str()).await?;
                Ok(connection)
            };
            // A Sentinel is asked, then a master is called.
            let connection = tokio::time::timeout(self.link.address.timeout * 2, connecting)
                .await
                .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
                .map_err(|error: redis::RedisError| failure(&error))?;
            let line = Subscription { connection, pushed, moved };
            Ok(stream::unfold(line, |mut line| async { line.next().await.map(|heard| (heard, line)) }).boxed())
        }
        .boxed()
    }

    fn backlog(&self) -> BoxFuture<'_, Result<Vec<Announcement>, StoreError>> {
        async move {
            let mut known = Vec::new();
            let mut cursor = b"0".to_vec();
            loop {
                let key = self.announcements_key();
                let scan = redis::cmd("ZSCAN").arg(key).arg(&cursor).arg("COUNT").arg(1000).to_owned();
                let page = reply::page(self.link.read(&scan).await?).ok_or_else(reply::not_understood)?;
                for pair in page.1.chunks_exact(2) {
                    known.extend(reply::announcement(&pair[0], &pair[1]));
                }
                if page.0 == b"0" {
                    return Ok(known);
                }
                cursor = page.0;
            }
        }
        .boxed()
    }
}

struct Subscription {
    connection: MultiplexedConnection,
    pushed: mpsc::UnboundedReceiver<PushInfo>,
    moved: watch::Receiver<u64>,
}

impl Subscription {
    /// The next thing told; `None` once the connection is of no more use.
    async fn next(&mut self) -> Option<Heard> {
        loop {
            tokio::select! {
                push = self.pushed.recv() => match push? {
                    PushInfo { kind: PushKind::Message, data } => {
                        if let Some(Value::BulkString(message)) = data.get(1)
                            && let Some(heard) = told(message)
                        {
                            return Some(heard);
                        }
                    }
                    PushInfo { kind: PushKind::Disconnection, .. } => return None,
                    _ => {}
                },
                () = tokio::time::sleep(limits::HEARTBEAT) => {
                    let ping = redis::cmd("PING");
                    let answer = ping.query_async::<()>(&mut self.connection);
                    tokio::time::timeout(limits::HEARTBEAT, answer).await.ok()?.ok()?;
                }
                () = replaced(&mut self.moved) => return None,
            }
        }
    }
}

/// Resolves when the connection for commands was replaced; the first one is none that is replaced.
async fn replaced(moved: &mut watch::Receiver<u64>) {
    loop {
        if moved.changed().await.is_err() {
            // The store is being dropped, and this with it.
            tokio::time::sleep(Duration::MAX).await;
        }
        if *moved.borrow_and_update() > 1 {
            return;
        }
    }
}

/// In a cluster each attempt goes to another node.
fn next_attempt() -> usize {
    static ATTEMPTS: AtomicUsize = AtomicUsize::new(0);
    ATTEMPTS.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_understood_and_others_ignored() {
        let key = RecordKey::from_digest([9; 32]);
        let until = Timestamp::from_unix_millis(1_800_000_000_123);
        for heard in [Heard::Changed(key), Heard::Announced(Announcement { key, until })] {
            assert_eq!(told(&message(heard)), Some(heard));
            assert_eq!(told(&message(heard)[1..]), None);
            assert_eq!(told(&[&message(heard)[..], b"x"].concat()), None);
        }
        assert_eq!(told(b""), None);
    }
}
