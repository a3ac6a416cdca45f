//! An HTTP client that looks at the clocks of those it talks to, and otherwise is the client it wraps.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use perennial_core::clock_skew::clock_skew;

use super::{Clock, HttpClient, SendError};

/// Who is told a host and by how many seconds its clock is ahead of ours.
pub(crate) type SkewListener = Box<dyn Fn(&str, f64) + Send + Sync>;

/// See above.
pub(crate) struct DatedClient {
    pub(crate) client: Arc<dyn HttpClient>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) listener: SkewListener,
}

impl HttpClient for DatedClient {
    fn send(&self, request: Request<Vec<u8>>, deadline: Duration) -> BoxFuture<'_, Result<Response<Bytes>, SendError>> {
        Box::pin(async move {
            let host = request.uri().host().map(str::to_owned);
            let sent = self.clock.now();
            let answer = self.client.send(request, deadline).await;
            if let (Ok(answer), Some(host)) = (&answer, host)
                && let Some(millis) = clock_skew(answer.headers(), sent, self.clock.now())
            {
                // Exact up to some thousand years.
                (self.listener)(&host, millis as f64 / 1000.0);
            }
            answer
        })
    }
}
