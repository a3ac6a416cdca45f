//! Threads that serve connections, each with an event loop of its own. A connection stays with the thread it was given to, and so
//! do its requests and their connections to upstreams: no thread has to wake another for them, and none looks for work at another.

use std::future::Future;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The threads. Dropped, they end with whatever they still serve.
#[derive(Debug, Default)]
pub(crate) struct Crew(Vec<Hand>);

/// One of them.
#[derive(Debug)]
struct Hand {
    runtime: Handle,
    /// As many clones as it has connections.
    connections: Arc<()>,
    _until_dropped: oneshot::Sender<()>,
}

impl Crew {
    /// So many threads; fewer if the system has no more.
    pub(crate) fn of(count: usize) -> Self {
        let hands: Result<_, _> = (1..=count).map(Hand::start).collect();
        hands.map(Self).unwrap_or_else(|error| {
            tracing::warn!(%error, "threads that serve could not be started; the process's own have to do");
            Self::default()
        })
    }

    /// Serves a connection on the thread with the fewest; without a crew, where the caller's tasks run.
    pub(super) fn serve<F>(&self, stream: TcpStream, serve: impl FnOnce(TcpStream) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let Some(hand) = self.0.iter().min_by_key(|hand| Arc::strong_count(&hand.connections)) else {
            drop(tokio::spawn(async move { serve(stream).await }));
            return;
        };
        let connection = hand.connections.clone();
        let Ok(stream) = stream.into_std() else { return };
        hand.runtime.spawn(async move {
            match TcpStream::from_std(stream) {
                Ok(stream) => serve(stream).await,
                Err(error) => tracing::warn!(%error, "a connection could not be served"),
            }
            drop(connection);
        });
    }
}

impl Hand {
    fn start(number: usize) -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (until_dropped, dropped) = oneshot::channel();
        let life = move || drop(runtime.block_on(dropped));
        std::thread::Builder::new().name(format!("serve-{number}")).spawn(life)?;
        Ok(Self { runtime: handle, connections: Arc::default(), _until_dropped: until_dropped })
    }
}
