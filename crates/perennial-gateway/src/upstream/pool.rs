//! Open connections to one target, kept for the next request. HTTP/1.1 connections carry one request at a time and wait here in
//! between; HTTP/2 connections are shared.
//!
//! The client of hyper-util does the same behind one lock, with a channel and a task around each request.
//! And it does not tell what has to be known here: whether anything was sent, so that another target may be tried.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use axum::body::Body;
use hyper::client::conn::http2;
use tokio::time::Instant;

use super::carrier::Carrier;

/// The connections of one target.
pub(super) struct Pool {
    /// Idle ones. Each thread has a shelf of its own: what a connection wakes is on the thread that opened it.
    shelves: Box<[Mutex<Vec<Idle>>]>,
    shared: Mutex<Vec<Shared>>,
    idle_timeout: Duration,
    sweeping: AtomicBool,
}

struct Idle {
    carrier: Carrier,
    since: Instant,
}

struct Shared {
    sender: http2::SendRequest<Body>,
    streams: Arc<AtomicUsize>,
    joined: Instant,
}

/// A place on a shared connection; given back when dropped.
pub(super) struct Stream(Arc<AtomicUsize>);

impl Pool {
    pub(super) fn new(idle_timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            shelves: (0..SHELVES).map(|_| Mutex::default()).collect(),
            shared: Mutex::default(),
            idle_timeout,
            sweeping: AtomicBool::new(false),
        })
    }

    /// An idle connection, the one used last: it is the least likely to be closed just now.
    pub(super) fn take(&self) -> Option<Carrier> {
        let mut shelf = lock(self.own_shelf());
        while let Some(mut idle) = shelf.pop() {
            if idle.is_fit(self.idle_timeout) {
                return Some(idle.carrier);
            }
            idle.carrier.let_go();
        }
        None
    }

    /// Keeps a connection whose exchange is complete.
    pub(super) fn put(self: &Arc<Self>, carrier: Carrier) {
        let mut shelf = lock(self.own_shelf());
        if shelf.len() >= IDLE_MAX {
            return carrier.let_go();
        }
        shelf.push(Idle { carrier, since: Instant::now() });
        drop(shelf);
        self.begin_sweeping();
    }

    /// A place on a shared connection that has one free.
    pub(super) fn join(&self) -> Option<(http2::SendRequest<Body>, Stream)> {
        let mut shared = lock(&self.shared);
        shared.retain(|connection| !connection.sender.is_closed());
        let free = shared.iter_mut().find(|connection| connection.streams.load(Ordering::Relaxed) < STREAMS_MAX)?;
        free.joined = Instant::now();
        Some((free.sender.clone(), Stream::on(&free.streams)))
    }

    /// Shares a new connection, and takes the first place on it.
    pub(super) fn share(self: &Arc<Self>, sender: http2::SendRequest<Body>) -> (http2::SendRequest<Body>, Stream) {
        let connection = Shared { sender: sender.clone(), streams: Arc::default(), joined: Instant::now() };
        let place = Stream::on(&connection.streams);
        lock(&self.shared).push(connection);
        self.begin_sweeping();
        (sender, place)
    }

    fn own_shelf(&self) -> &Mutex<Vec<Idle>> {
        &self.shelves[SHELF.get() % self.shelves.len()]
    }

    /// Connections that nobody needs are closed in time by one task, which ends with the last of them.
    fn begin_sweeping(self: &Arc<Self>) {
        if !self.sweeping.load(Ordering::Relaxed) && !self.sweeping.swap(true, Ordering::SeqCst) {
            tokio::spawn(sweep(Arc::downgrade(self), self.idle_timeout));
        }
    }

    /// Closes what has been idle for too long. Whether anything is left.
    fn sweep(&self) -> bool {
        let mut left = false;
        for shelf in &self.shelves {
            let mut shelf = lock(shelf);
            let unfit = shelf.extract_if(.., |idle| !idle.is_fit(self.idle_timeout));
            unfit.for_each(|idle| idle.carrier.let_go());
            left |= !shelf.is_empty();
        }
        let mut shared = lock(&self.shared);
        shared.retain(|connection| {
            let used =
                connection.streams.load(Ordering::Relaxed) > 0 || connection.joined.elapsed() < self.idle_timeout;
            used && !connection.sender.is_closed()
        });
        left || !shared.is_empty()
    }
}

async fn sweep(pool: Weak<Pool>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        let Some(pool) = pool.upgrade() else { return };
        if pool.sweep() {
            continue;
        }
        pool.sweeping.store(false, Ordering::SeqCst);
        // Somebody who came between the two lines above has begun no other task.
        if !pool.sweep() || pool.sweeping.swap(true, Ordering::SeqCst) {
            return;
        }
    }
}

impl Idle {
    fn is_fit(&mut self, timeout: Duration) -> bool {
        self.since.elapsed() < timeout && self.carrier.is_open()
    }
}

impl Stream {
    fn on(streams: &Arc<AtomicUsize>) -> Self {
        streams.fetch_add(1, Ordering::Relaxed);
        Self(streams.clone())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHELF: Cell<usize> = Cell::new(THREADS.fetch_add(1, Ordering::Relaxed));
}

/// More than a machine has threads that serve; where there are more of these, some share one.
const SHELVES: usize = 64;

/// Idle connections on one shelf: as many as a burst leaves behind that is worth remembering.
const IDLE_MAX: usize = 512;

/// Requests on one HTTP/2 connection before another is opened: what common servers allow at least (RFC 9113 §6.5.2 recommends no less).
const STREAMS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(4);

    /// An HTTP/1.1 connection, and its other end.
    async fn alone() -> (Carrier, DuplexStream) {
        let (near, far) = duplex(1024);
        (Carrier::over(TokioIo::new(near)).await.expect("a connection"), far)
    }

    async fn shared() -> (http2::SendRequest<Body>, DuplexStream) {
        let (near, far) = duplex(1024);
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(near)).await.expect("a connection");
        tokio::spawn(connection);
        (sender, far)
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_used_again_and_closed_when_nobody_does() {
        let pool = Pool::new(TIMEOUT);
        let (sender, mut far) = alone().await;
        pool.put(sender);
        tokio::time::advance(TIMEOUT - Duration::from_millis(1)).await;
        let sender = pool.take().expect("just in time");
        assert!(pool.take().is_none(), "there was one");
        pool.put(sender);
        let put = Instant::now();
        assert_eq!(far.read(&mut [0; 8]).await.expect("closed in order"), 0);
        assert!(put.elapsed() >= TIMEOUT && put.elapsed() <= 2 * TIMEOUT, "{:?}", put.elapsed());
        // The task that closed it is gone; the next connection has one again.
        let (sender, mut far) = alone().await;
        pool.put(sender);
        assert_eq!(far.read(&mut [0; 8]).await.expect("closed in order"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shared_connection_with_requests_on_it_is_not_idle() {
        let pool = Pool::new(TIMEOUT);
        let (sender, mut far) = shared().await;
        let (_sender, place) = pool.share(sender);
        tokio::time::sleep(10 * TIMEOUT).await;
        assert!(pool.join().is_some(), "it is still there");
        drop((_sender, place));
        tokio::time::sleep(3 * TIMEOUT).await;
        assert!(pool.join().is_none());
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.expect("closed in order");
    }

    #[tokio::test]
    async fn a_shared_connection_takes_so_many_and_no_more() {
        let pool = Pool::new(TIMEOUT);
        let (sender, _far) = shared().await;
        let mut places = vec![pool.share(sender)];
        while let Some(place) = pool.join() {
            places.push(place);
        }
        assert_eq!(places.len(), STREAMS_MAX);
        places.pop();
        assert!(pool.join().is_some(), "a place was given back");
    }

    #[tokio::test]
    async fn so_many_idle_connections_are_kept_and_no_more() {
        let pool = Pool::new(TIMEOUT);
        let mut ends = Vec::new();
        for _ in 0..=IDLE_MAX {
            let (sender, far) = alone().await;
            pool.put(sender);
            ends.push(far);
        }
        let last = ends.last_mut().expect("there are some");
        assert_eq!(last.read(&mut [0; 8]).await.expect("closed in order"), 0);
        let kept = std::iter::from_fn(|| pool.take()).count();
        assert_eq!(kept, IDLE_MAX);
    }
}
