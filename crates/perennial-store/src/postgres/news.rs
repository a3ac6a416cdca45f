//! What PostgreSQL tells by LISTEN and NOTIFY, on a connection of its own.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use perennial_core::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client};

use super::Postgres;
use super::failure::{Failure, not_understood};
use crate::ear::{Heard, Server};
use crate::{Announcement, RecordKey, StoreError, limits};

/// The payload that tells of `heard`: one letter, the key in hexadecimal, and for an announcement its end.
pub(super) fn payload(heard: Heard) -> String {
    let hex = |key: &RecordKey| key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match heard {
        Heard::Changed(key) => format!("c{}", hex(&key)),
        Heard::Announced(Announcement { key, until }) => format!("a{}{}", hex(&key), until.unix_millis()),
    }
}

/// What a payload tells; `None` when it is none of ours.
fn told(payload: &str) -> Option<Heard> {
    let (hex, rest) = payload.get(1..)?.split_at_checked(64)?;
    let mut digest = [0; 32];
    for (place, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    let key = RecordKey::from_digest(digest);
    match (payload.as_bytes()[0], rest) {
        (b'c', "") => Some(Heard::Changed(key)),
        (b'a', until) => {
            Some(Heard::Announced(Announcement { key, until: Timestamp::from_unix_millis(until.parse().ok()?) }))
        }
        _ => None,
    }
}

impl Server for Postgres {
    fn subscribe(&self) -> BoxFuture<'_, Result<BoxStream<'static, Heard>, StoreError>> {
        async move {
            self.ready().await?;
            let timeout = self.address.timeout;
            let connecting = async {
                let (client, mut connection) = self.address.config.connect(self.address.tls.clone()).await?;
                let (sender, notices) = mpsc::unbounded_channel();
                let driver = tokio::spawn(async move {
                    let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
                    while let Some(Ok(message)) = messages.next().await {
                        if let AsyncMessage::Notification(notice) = message
                            && let Some(heard) = told(notice.payload())
                            && sender.send(heard).is_err()
                        {
                            return;
                        }
                    }
                });
                let line = Subscription { client, notices, driver };
                line.client.batch_execute(&self.sql.listen).await?;
                Ok(line)
            };
            let connected = tokio::time::timeout(timeout * 2, connecting).await.unwrap_or(Err(Failure::TimedOut));
            let line = connected.map_err(Failure::told)?;
            Ok(stream::unfold(line, |mut line| async { line.next().await.map(|heard| (heard, line)) }).boxed())
        }
        .boxed()
    }

    fn backlog(&self) -> BoxFuture<'_, Result<Vec<Announcement>, StoreError>> {
        async move {
            let rows = self.read(&self.sql.backlog, &[]).await?;
            let announcement = |row: &tokio_postgres::Row| {
                let key: &[u8] = row.try_get(0).ok()?;
                let until = Timestamp::from_unix_millis(row.try_get(1).ok()?);
                Some(Announcement { key: RecordKey::from_digest(key.try_into().ok()?), until })
            };
            rows.iter().map(announcement).collect::<Option<_>>().ok_or_else(not_understood)
        }
        .boxed()
    }
}

struct Subscription {
    client: Client,
    notices: mpsc::UnboundedReceiver<Heard>,
    driver: JoinHandle<()>,
}

impl Subscription {
    /// The next thing told; `None` once the connection is of no more use.
    async fn next(&mut self) -> Option<Heard> {
        loop {
            let quiet = tokio::time::timeout(limits::HEARTBEAT, self.notices.recv()).await;
            if let Ok(heard) = quiet {
                return heard;
            }
            tokio::time::timeout(limits::HEARTBEAT, self.client.simple_query("")).await.ok()?.ok()?;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_understood_and_others_ignored() {
        let key = RecordKey::from_digest([0xa9; 32]);
        let until = Timestamp::from_unix_millis(1_800_000_000_123);
        for heard in [Heard::Changed(key), Heard::Announced(Announcement { key, until })] {
            assert_eq!(told(&payload(heard)), Some(heard));
        }
        for foreign in ["", "c", "x", &payload(Heard::Changed(key))[..64], "cé", &format!("a{}", "0".repeat(64))] {
            assert_eq!(told(foreign), None, "{foreign}");
        }
    }
}
