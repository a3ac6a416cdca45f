//! One request on one connection: sent in the form of the connection's version, answered by a stream that gives the connection
//! back when it has ended.

use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use http::header::{CONNECTION, EXPECT, HOST, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::carrier::Carrier;
use super::expect::Gate;
use super::pool::{Pool, Stream};
use super::target::{Link, Target, Used, root_cause};

/// Why there is no answer.
pub(super) enum Failure {
    /// Nothing was sent; here is the request again.
    NotSent(Box<Request<Body>>),
    /// The connection had been used before and was closed before a byte of the answer came: most likely the other side closed it
    /// before it saw the request (RFC 9112 §9.3.1).
    Stale,
    /// It may have been received.
    Broken(String),
}

/// Sends `request`, which is in origin form and has a `Host`, on `link`.
pub(super) async fn send(
    target: &Target,
    link: Link,
    request: Request<Body>,
    gate: Option<&Gate>,
) -> Result<Response<Streamed>, Failure> {
    match link {
        Link::Http1 { mut carrier, used } => {
            let request = in_http1(request);
            match carrier.send(request).await {
                Ok(response) => {
                    let place = Place::Alone { carrier, pool: target.pool.clone(), gate: gate.cloned() };
                    Ok(response.map(|incoming| Streamed::new(incoming, place)))
                }
                Err(mut error) => Err(failure(error.take_message(), error.error(), used)),
            }
        }
        Link::Http2 { mut sender, stream, used } => {
            let request = in_http2(request, target.url.scheme())?;
            // Interim answers are not told of on these: what waits for one would wait in vain.
            gate.inspect(|gate| gate.go_on());
            match sender.try_send_request(request).await {
                Ok(response) => Ok(response.map(|incoming| Streamed::new(incoming, Place::Shared(stream)))),
                Err(mut error) => Err(failure(error.take_message(), error.error(), used)),
            }
        }
    }
}

fn failure(unsent: Option<Request<Body>>, error: &hyper::Error, used: Used) -> Failure {
    match unsent {
        Some(request) => Failure::NotSent(Box::new(request)),
        None if used == Used::Before && was_closed(error) => Failure::Stale,
        None => Failure::Broken(root_cause(error)),
    }
}

/// Whether the connection was closed before an answer began.
fn was_closed(error: &hyper::Error) -> bool {
    let sources = std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source());
    let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::NotConnected, ErrorKind::UnexpectedEof];
    let reset =
        sources.filter_map(|error| error.downcast_ref::<std::io::Error>()).any(|error| kinds.contains(&error.kind()));
    error.is_incomplete_message() || error.is_canceled() || error.is_closed() || reset
}

/// The target in origin form, the host in its header (RFC 9112 §3.2).
fn in_http1(mut request: Request<Body>) -> Request<Body> {
    if let Some(authority) = request.uri().authority() {
        if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
            request.headers_mut().insert(HOST, host);
        }
        let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        *request.uri_mut() = Uri::from(path);
    }
    *request.version_mut() = Version::HTTP_11;
    request
}

/// Scheme and host with the target (RFC 9113 §8.3.1), and nothing about connections (§8.2.2).
fn in_http2(mut request: Request<Body>, scheme: &str) -> Result<Request<Body>, Failure> {
    let host = request.headers_mut().remove(HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    if let Some(authority) = authority {
        let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let scheme = if scheme == "https" { Scheme::HTTPS } else { Scheme::HTTP };
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build();
        *request.uri_mut() = uri.map_err(|error| Failure::Broken(error.to_string()))?;
    }
    request.headers_mut().remove(CONNECTION);
    request.headers_mut().remove(EXPECT);
    *request.version_mut() = Version::HTTP_2;
    Ok(request)
}

/// An answer as it streams in, with the connection it comes on.
pub(crate) struct Streamed {
    incoming: Incoming,
    place: Option<Place>,
}

/// What an answer comes on.
enum Place {
    /// A connection that carries nothing else meanwhile.
    Alone { carrier: Carrier, pool: Arc<Pool>, gate: Option<Gate> },
    /// One among others. Held for what it gives back when it goes.
    Shared(#[expect(dead_code, reason = "it counts as long as it is there")] Stream),
}

impl Streamed {
    fn new(incoming: Incoming, place: Place) -> Self {
        let mut streamed = Self { incoming, place: Some(place) };
        if streamed.incoming.is_end_stream() {
            streamed.complete();
        }
        streamed
    }

    /// Leaves the connection to somebody else (an upgrade).
    pub(crate) fn let_go(mut self) {
        if let Some(Place::Alone { carrier, .. }) = self.place.take() {
            carrier.let_go();
        }
    }

    /// The answer has come whole: the connection can carry the next request, once this one is sent whole, too.
    fn complete(&mut self) {
        let Some(Place::Alone { mut carrier, pool, gate }) = self.place.take() else { return };
        if carrier.is_ready() {
            pool.put(carrier);
        } else if gate.is_some_and(|gate| gate.refuse()) {
            // The body was not asked for and will not come.
        } else {
            tokio::spawn(async move {
                if carrier.until_ready().await {
                    pool.put(carrier);
                }
            });
        }
    }
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let frame = ready!(match &mut this.place {
            Some(Place::Alone { carrier, .. }) => carrier.poll_frame(&mut this.incoming, cx),
            _ => Pin::new(&mut this.incoming).poll_frame(cx),
        });
        match &frame {
            Some(Ok(_)) if !self.incoming.is_end_stream() => {}
            Some(Err(_)) => self.place = None,
            _ => self.complete(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
