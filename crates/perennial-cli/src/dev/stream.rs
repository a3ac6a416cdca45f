//! The changes of one session's picture as server-sent events.
//!
//! A stream begins with everything, so that a page that comes back after a lost connection, a restart or a long sleep is
//! right at once, whatever `Last-Event-ID` it brings.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt, stream};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use super::state::Story;
use super::view::Change;

/// How soon a browser comes back after the gateway went away.
const RECONNECT: Duration = Duration::from_millis(300);

/// The stream of `session`: a snapshot, then each change.
pub(super) fn events(story: Arc<Story>, session: String) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    // Subscribed before the snapshot is taken: a change may come twice, which is harmless, but never not at all.
    let changes = BroadcastStream::new(story.subscribe());
    let first = stream::once({
        let (story, session) = (Arc::clone(&story), session.clone());
        async move { whole(&story, &session) }
    });
    let then = changes.filter_map(move |received| {
        let (story, session) = (Arc::clone(&story), session.clone());
        async move {
            match received {
                Ok(addressed) => {
                    let ours = addressed.session.is_none_or(|other| other == session);
                    ours.then_some(addressed.change)
                }
                Err(BroadcastStreamRecvError::Lagged(_)) => Some(whole(&story, &session)),
            }
        }
    });
    let events = first.chain(then).map(|change| Ok(event(&change)));
    Sse::new(events).keep_alive(KeepAlive::default())
}

fn whole(story: &Story, session: &str) -> Change {
    Change::Snapshot(Box::new(story.snapshot(session)))
}

fn event(change: &Change) -> Event {
    let event = Event::default().event(change.event()).retry(RECONNECT);
    event.json_data(change).unwrap_or_else(|_| Event::default().comment("not told"))
}
