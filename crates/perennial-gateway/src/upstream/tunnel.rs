//! Upgraded connections (WebSocket, RFC 6455): once both sides have agreed, bytes go through as they come, until one side ends
//! or the session does. RFC 9110 §7.8.

use std::time::Duration;

use axum::body::Body;
use http::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};

use super::exchange::Streamed;
use super::frames::{Frames, close_frame};
use super::leash::{Leash, Over};
use crate::refusal::GatewayRefusal;

/// A client that wants another protocol.
pub(crate) struct Wanted {
    pub(crate) protocol: HeaderValue,
    client: OnUpgrade,
}

/// What bounds the life of a tunnel.
pub(super) struct Bounds {
    pub(super) leash: Option<Leash>,
    /// How long the client may take to close after the session is over.
    pub(super) close_grace: Duration,
}

/// Whether a request asks for WebSocket. Any other wish is taken away with the connection's headers: whoever spoke HTTP/2 to an
/// upstream through us (`h2c`) would send it whole requests past all rules.
pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    if !headers.contains_key(UPGRADE) {
        return false;
    }
    let connection = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let upgrade = connection.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case("upgrade"));
    let mut protocols = headers.get_all(UPGRADE).iter();
    let websocket = protocols.next().is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"));
    upgrade && websocket && protocols.next().is_none()
}

/// Takes the wish out of a request.
pub(crate) fn wanted(request: &mut Request<Body>) -> Option<Wanted> {
    if !is_upgrade(request.headers()) {
        return None;
    }
    let protocol = request.headers().get(UPGRADE).cloned()?;
    let client = request.extensions_mut().remove::<OnUpgrade>()?;
    Some(Wanted { protocol, client })
}

/// Joins both sides of an upstream's `101`. One that agrees to what nobody asked for cannot be understood.
pub(super) fn join(mut response: Response<Streamed>, wanted: Option<Wanted>, bounds: Bounds) -> Response<Body> {
    let Some(wanted) = wanted else { return GatewayRefusal::UpstreamUnreachable.into_response() };
    debug_assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let upstream = hyper::upgrade::on(&mut response);
    tokio::spawn(async move {
        let joined = async {
            let (client, upstream) = (wanted.client.await?, upstream.await?);
            pass(client, upstream, bounds.leash, bounds.close_grace).await;
            Ok::<_, hyper::Error>(())
        };
        if let Err(error) = joined.await {
            tracing::debug!(%error, "a connection could not be upgraded");
        }
    });
    let (parts, body) = response.into_parts();
    body.let_go();
    Response::from_parts(parts, Body::empty())
}

async fn pass(client: Upgraded, upstream: Upgraded, leash: Option<Leash>, close_grace: Duration) {
    let (mut from_client, mut to_client) = split(TokioIo::new(client));
    let (mut from_upstream, mut to_upstream) = split(TokioIo::new(upstream));
    // Either side hanging up is how such a connection ends.
    let up = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_upstream).await;
        let _ = to_upstream.shutdown().await;
    };
    let down = async {
        let _ = copy_down(&mut from_upstream, &mut to_client, over(leash.as_ref())).await;
        let _ = to_client.shutdown().await;
    };
    let bound = async {
        over(leash.as_ref()).await;
        tokio::time::sleep(close_grace).await;
    };
    tokio::select! {
        _ = async { tokio::join!(up, down) } => {}
        () = bound => {}
    }
}

fn over(leash: Option<&Leash>) -> Over {
    match leash {
        Some(leash) => leash.over(),
        None => Box::pin(std::future::pending()),
    }
}

/// Copies what the upstream says. When the session is over, a Close frame takes the place of what would follow the frame under
/// way; the client's answer reaches the upstream, which then closes, too.
async fn copy_down<R, W>(upstream: &mut R, client: &mut W, mut over: Over) -> std::io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut frames = Frames::default();
    let mut buffer = vec![0; PIECE];
    let mut phase = Phase::Open;
    loop {
        if phase == Phase::Over && frames.is_between() && !frames.is_closing() {
            client.write_all(&close_frame()).await?;
            phase = Phase::Closed;
        }
        let count = tokio::select! {
            () = &mut over, if phase == Phase::Open => {
                phase = Phase::Over;
                continue;
            }
            read = upstream.read(&mut buffer) => read?,
        };
        let piece = match (phase, frames.pass(&buffer[..count])) {
            _ if count == 0 => return Ok(()),
            (Phase::Open, _) | (Phase::Over, None) => &buffer[..count],
            (Phase::Over, Some(boundary)) if !frames.is_closing() => {
                frames = Frames::default();
                &buffer[..boundary]
            }
            (Phase::Over, Some(_)) => &buffer[..count],
            (Phase::Closed, _) => continue,
        };
        client.write_all(piece).await?;
    }
}

/// How far the end of a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It lives.
    Open,
    /// It is over, and a frame is under way.
    Over,
    /// The client was told to close.
    Closed,
}

/// Bytes read in one go.
const PIECE: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};
    use tokio::sync::oneshot;

    use super::*;

    /// A text frame of a server.
    fn frame(text: &str) -> Vec<u8> {
        [&[0x81, u8::try_from(text.len()).expect("short")], text.as_bytes()].concat()
    }

    /// What the client gets when the upstream says `before`, the session ends, and the upstream says `after`.
    async fn told(before: &[u8], after: &[u8]) -> Vec<u8> {
        let (mut upstream, mut from_upstream) = duplex(1024);
        let (mut to_client, mut client): (DuplexStream, _) = duplex(1024);
        let (end, ended) = oneshot::channel::<()>();
        let over: Over = Box::pin(async { drop(ended.await) });
        let copying = tokio::spawn(async move {
            copy_down(&mut from_upstream, &mut to_client, over).await.expect("copied");
        });
        let mut got = vec![0; before.len()];
        upstream.write_all(before).await.expect("written");
        client.read_exact(&mut got).await.expect("what came before");
        end.send(()).expect("somebody waits");
        // The end of the session is seen before what comes after it.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        upstream.write_all(after).await.expect("written");
        drop(upstream);
        copying.await.expect("no panic");
        client.read_to_end(&mut got).await.expect("the rest");
        got
    }

    #[tokio::test]
    async fn a_close_frame_comes_between_two_frames_and_nothing_after_it() {
        let (one, two, close) = (frame("one"), frame("two"), close_frame());
        for (what, before, after, expected) in [
            ("between frames", one.clone(), two.clone(), [one.clone(), close.clone()].concat()),
            ("within a frame", one[..2].to_vec(), [&one[2..], &two].concat(), [one.clone(), close.clone()].concat()),
            ("before the first", Vec::new(), one.clone(), close.clone()),
            ("after the upstream's own", vec![0x88, 2, 3, 0xe8], Vec::new(), vec![0x88, 2, 3, 0xe8]),
            ("within a frame that never ends", one[..3].to_vec(), Vec::new(), one[..3].to_vec()),
        ] {
            assert_eq!(told(&before, &after).await, expected, "{what}");
        }
    }
}
