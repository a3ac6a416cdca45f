//! Spans: which request, which renewal. Whoever reads a log line finds the others that belong to it.

use http::{HeaderMap, HeaderName};
use perennial_core::session::{Generation, SessionState};
use tracing::Span;
use tracing::field::Empty;

use crate::event::RenewalOutcome;
use crate::outcome::Ask;

/// The span of a request that brings an `x-request-id` or a `traceparent` (W3C Trace Context §3.2); none for others.
///
/// Their values come from outside: what is not short and plain is left out, so that nobody writes into the log.
pub fn request_span(headers: &HeaderMap) -> Span {
    let plain = |name: &HeaderName| headers.get(name)?.to_str().ok().filter(|text| is_plain(text));
    match (plain(&REQUEST_ID), plain(&TRACEPARENT)) {
        (None, None) => Span::none(),
        (request_id, traceparent) => tracing::info_span!("request", request_id, traceparent),
    }
}

/// The span of a renewal. It is begun in the request that started it, so that both can be found by either.
pub(crate) fn renewal_span(state: &SessionState, ask: &Ask) -> Span {
    tracing::info_span!(
        "renewal",
        session = state.id.fingerprint(),
        provider = state.provider.as_str(),
        reason = ask.reason.code(),
        attempt = Empty,
        generation = Empty,
        outcome = Empty,
    )
}

/// Says in the renewal's span which attempt calls the provider.
pub(crate) fn note_attempt(attempt: &str) {
    Span::current().record("attempt", attempt);
}

/// Says in the renewal's span, and in one line of the log, what came of it.
pub(crate) fn note_outcome(outcome: &RenewalOutcome, generation: Generation) {
    let span = Span::current();
    span.record("generation", generation.0);
    span.record("outcome", outcome.code());
    tracing::info!(code = "renewal", outcome = outcome.code(), generation = generation.0, "renewal over");
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= ID_CHARS && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"')
}

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Characters of an id taken over into the log: a `traceparent` has 55, a UUID 36.
const ID_CHARS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_short_and_plain_stays_out_of_the_log() {
        for (text, expected) in [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
            ("4f1c-7", true),
            ("", false),
            ("two words", false),
            ("quo\"te", false),
            (&"x".repeat(ID_CHARS), true),
            (&"x".repeat(ID_CHARS + 1), false),
            ("ünïcode", false),
        ] {
            assert_eq!(is_plain(text), expected, "{text}");
        }
    }
}
