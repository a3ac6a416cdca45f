//! Upgraded connections (WebSocket): once both sides have agreed, bytes go through as they come. RFC 9110 §7.8.

use axum::body::Body;
use http::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::refusal::GatewayRefusal;

/// A client that wants another protocol.
pub(crate) struct Wanted {
    pub(crate) protocol: HeaderValue,
    client: OnUpgrade,
}

/// Whether a request asks for WebSocket. Any other wish is taken away with the connection's headers: whoever spoke HTTP/2 to an
/// upstream through us (`h2c`) would send it whole requests past all rules.
pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
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

/// Joins both sides if the upstream agreed; otherwise its answer is one like any other. An upstream that agrees to what
/// nobody asked for cannot be understood.
pub(crate) fn join(mut response: Response<Incoming>, wanted: Option<Wanted>) -> Response<Body> {
    let wanted = match (response.status(), wanted) {
        (StatusCode::SWITCHING_PROTOCOLS, Some(wanted)) => wanted,
        (StatusCode::SWITCHING_PROTOCOLS, None) => return GatewayRefusal::UpstreamUnreachable.into_response(),
        _ => return response.map(Body::new),
    };
    let upstream = hyper::upgrade::on(&mut response);
    tokio::spawn(async move {
        let joined = async {
            let (mut client, mut upstream) = (TokioIo::new(wanted.client.await?), TokioIo::new(upstream.await?));
            // Either side hanging up is how such a connection ends.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
            Ok::<_, hyper::Error>(())
        };
        if let Err(error) = joined.await {
            tracing::debug!(%error, "a connection could not be upgraded");
        }
    });
    response.map(|_| Body::empty())
}
