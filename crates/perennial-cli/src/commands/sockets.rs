//! Listeners: handed over by a supervisor that keeps them open over restarts (systemd's socket activation, `LISTEN_FDS`), else our
//! own; and telling the supervisor how far we are (`NOTIFY_SOCKET`).

use std::net::SocketAddr;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::net::TcpListener;

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
    pub(super) async fn listen(&mut self, address: SocketAddr, option: &str) -> Result<TcpListener, Fault> {
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
        TcpListener::bind(address).await.map_err(|error| {
            format!("{address} cannot be listened on: {error}; choose another with {option} or in the file").into()
        })
    }
}

/// Tells the supervisor, if there is one that wants to know.
pub(super) fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the supervisor cannot be told how far we are");
    }
}

pub(super) const READY: NotifyState<'static> = NotifyState::Ready;
pub(super) const STOPPING: NotifyState<'static> = NotifyState::Stopping;
