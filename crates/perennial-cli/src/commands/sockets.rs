//! Listeners: handed over by a supervisor that keeps them open over restarts (systemd's socket activation, `LISTEN_FDS`), else our
//! own; and telling the supervisor how far we are (`NOTIFY_SOCKET`).

use std::io;
use std::net::SocketAddr;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::net::{TcpListener, TcpSocket};

use super::Fault;

/// The sockets that were handed over, in the order in which they are taken.
pub(super) struct Sockets {
    handed: ListenFd,
    taken: usize,
}

impl Sockets {
    /// Those that are for this process. Called once, before anything else opens files.
    pub(super) fn handed_over() -> Self {
        Self { handed: ListenFd::from_env(), taken: 0 }
    }

    /// The next socket that was handed over, or if there is none, one of our own at `address`.
    pub(super) fn listen(&mut self, address: SocketAddr, option: &str) -> Result<TcpListener, Fault> {
        if self.taken < self.handed.len() {
            let index = self.taken;
            self.taken += 1;
            let handed = self.handed.take_tcp_listener(index);
            let handed = handed.map_err(|error| format!("socket {index} of LISTEN_FDS is no TCP listener: {error}"))?;
            if let Some(listener) = handed {
                listener.set_nonblocking(true)?;
                return Ok(TcpListener::from_std(listener)?);
            }
        }
        listen(address).map_err(|error| {
            format!("{address} cannot be listened on: {error}; choose another with {option} or in the file").into()
        })
    }
}

/// A listener at `address`, for which the system keeps as many connections as may come at once until they are accepted.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // After a restart, connections of the process before may still be closing. Elsewhere the word means to share the port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Connections that wait to be accepted. tokio's own listeners have room for 128; whoever comes when there is none is not refused
/// but overheard, and asks again after a second. When a thousand tabs wake up at once, that second is what the last of them would
/// wait. This is as much as Linux allows by itself (`net.core.somaxconn`), which takes less where it is set lower.
const BACKLOG: u32 = 4096;

/// Tells the supervisor, if there is one that wants to know.
pub(super) fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the supervisor cannot be told how far we are");
    }
}

pub(super) const READY: NotifyState<'static> = NotifyState::Ready;
pub(super) const STOPPING: NotifyState<'static> = NotifyState::Stopping;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::future::try_join_all;
    use tokio::net::TcpStream;

    use super::*;

    /// In the table of storms the slowest of a thousand requests came a second later than all others: the accept queue was full, and
    /// the kernel sends a connection's first packet again after one second.
    #[tokio::test]
    async fn a_crowd_that_comes_before_anybody_accepts_need_not_knock_twice() {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let crowd = try_join_all((0..CROWD).map(|_| TcpStream::connect(address)));
        // Nobody accepts: whoever finds no room now finds none later.
        let crowd = tokio::time::timeout(Duration::from_secs(20), crowd).await;
        assert_eq!(crowd.expect("there is room for all").expect("connected").len(), CROWD);
    }

    /// More than what other servers make room for (511), and less than the files that a process may have open on most systems (1,024).
    const CROWD: usize = 600;
}
