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
    /// So many threads; none if the system has not as many.
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
        let stream = match stream.into_std() {
            Ok(stream) => stream,
            Err(error) => return tracing::warn!(%error, "a connection could not be handed on"),
        };
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;

    /// Serves so many connections, each until its client closes it; the clients, and by which threads they are served.
    async fn served(crew: &Crew, count: usize) -> (Vec<TcpStream>, BTreeMap<String, usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut clients = Vec::new();
        for _ in 0..count {
            clients.push(TcpStream::connect(address).await.expect("connected"));
            let (stream, _) = listener.accept().await.expect("accepted");
            let tell = tell.clone();
            crew.serve(stream, move |mut stream| async move {
                let name = std::thread::current().name().unwrap_or_default().to_owned();
                tell.send(name).expect("somebody listens");
                let _ = stream.read(&mut [0]).await;
            });
        }
        let mut threads = BTreeMap::new();
        for _ in 0..count {
            *threads.entry(told.recv().await.expect("it is served")).or_default() += 1;
        }
        (clients, threads)
    }

    #[tokio::test]
    async fn each_thread_serves_as_many_as_the_others() {
        let crew = Crew::of(3);
        let (_clients, threads) = served(&crew, 9).await;
        assert_eq!(threads, ["serve-1", "serve-2", "serve-3"].map(|name| (name.to_owned(), 3)).into());
    }

    #[tokio::test]
    async fn without_a_crew_the_caller_serves() {
        let (_clients, threads) = served(&Crew::default(), 2).await;
        let here = std::thread::current().name().unwrap_or_default().to_owned();
        assert_eq!(threads, [(here, 2)].into());
    }

    #[tokio::test]
    async fn what_is_still_served_ends_with_the_crew() {
        let crew = Crew::of(1);
        let (mut clients, _) = served(&crew, 1).await;
        drop(crew);
        assert_eq!(clients[0].read(&mut [0]).await.expect("closed in order"), 0);
    }
}
