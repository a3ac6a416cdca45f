//! Whether a request speaks for a person in front of the screen: Fetch Metadata §2, `Sec-Purpose`, RFC 9110 §9.2.1.

use http::header::{ACCEPT, HeaderMap, UPGRADE};
use http::{HeaderName, Method};

/// Who a request speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interaction {
    /// A person who loads a page, sends a form or changes something.
    Person,
    /// A program that would also ask if nobody were there: polling, streams, prefetching, renewals.
    Program,
}

/// Which requests feed a session's idle clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdleFedBy {
    /// Those that speak for a person.
    #[default]
    Interactive,
    /// All of them, so that a page that is left open never becomes idle while it polls.
    Any,
}

impl IdleFedBy {
    /// Whether a request that speaks for `whom` feeds the clock.
    pub fn takes(self, whom: Interaction) -> bool {
        self == Self::Any || whom == Interaction::Person
    }
}

/// Judges by what browsers say about a request and scripts cannot set; without that, by method and `Accept`.
///
/// A script's GET is a program's: nothing tells a click in a single-page application from polling. A script's POST is a
/// person's: programs that only keep themselves informed do not change anything.
pub fn interaction(method: &Method, headers: &HeaderMap) -> Interaction {
    let header = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let foreseen = [&SEC_PURPOSE, &PURPOSE].iter().any(|name| header(name).contains("prefetch"));
    let stream = headers.contains_key(UPGRADE) || header(&ACCEPT).starts_with("text/event-stream");
    if foreseen || stream {
        return Interaction::Program;
    }
    if !method.is_safe() {
        return Interaction::Person;
    }
    let person = match (header(&FETCH_MODE), header(&FETCH_DEST)) {
        ("navigate", "document" | "") => true,
        ("", "") => {
            *method == Method::GET && header(&ACCEPT).contains("text/html") && !headers.contains_key(REQUESTED_WITH)
        }
        _ => false,
    };
    if person { Interaction::Person } else { Interaction::Program }
}

const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const PURPOSE: HeaderName = HeaderName::from_static("purpose");
const REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    /// `GET mode=navigate dest=document`, with short names for the headers.
    fn judged(request: &'static str) -> Interaction {
        let mut words = request.split_whitespace();
        let method = words.next().and_then(|method| method.parse().ok()).expect("a method");
        let mut headers = HeaderMap::new();
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            let name = match name {
                "mode" => FETCH_MODE,
                "dest" => FETCH_DEST,
                "accept" => ACCEPT,
                other => HeaderName::from_static(other),
            };
            headers.insert(name, HeaderValue::from_static(value));
        }
        interaction(&method, &headers)
    }

    #[test]
    fn who_a_request_speaks_for() {
        use Interaction::{Person, Program};
        for (request, expected) in [
            // Pages.
            ("GET mode=navigate dest=document accept=text/html", Person),
            ("GET mode=navigate", Person),
            ("HEAD mode=navigate dest=document", Person),
            // Browsers without fetch metadata.
            ("GET accept=text/html,application/xhtml+xml", Person),
            ("HEAD accept=text/html", Program),
            ("GET accept=text/html x-requested-with=XMLHttpRequest", Program),
            ("GET accept=*/*", Program),
            ("GET", Program),
            // Forms, and scripts that change something.
            ("POST mode=navigate dest=document", Person),
            ("POST mode=cors dest=empty", Person),
            ("POST", Person),
            ("PUT mode=cors", Person),
            ("PATCH mode=same-origin", Person),
            ("DELETE", Person),
            // Scripts that read: polling, next-auth's session polling, a single-page application's data.
            ("GET mode=cors dest=empty accept=*/*", Program),
            ("GET mode=same-origin dest=empty accept=text/html", Program),
            ("GET mode=no-cors dest=image", Program),
            ("OPTIONS mode=cors", Program),
            // A frame may reload itself, whatever the page around it does.
            ("GET mode=navigate dest=iframe", Program),
            // Streams.
            ("GET mode=cors accept=text/event-stream", Program),
            ("GET mode=websocket upgrade=websocket", Program),
            ("GET accept=text/html upgrade=websocket", Program),
            // What a browser foresees nobody has asked for.
            ("GET mode=navigate dest=document sec-purpose=prefetch", Program),
            ("GET mode=navigate dest=document sec-purpose=prefetch;prerender", Program),
            ("GET accept=text/html purpose=prefetch", Program),
        ] {
            assert_eq!(judged(request), expected, "{request}");
        }
    }

    #[test]
    fn what_feeds_the_idle_clock_is_a_setting() {
        for (setting, whom, expected) in [
            (IdleFedBy::Interactive, Interaction::Person, true),
            (IdleFedBy::Interactive, Interaction::Program, false),
            (IdleFedBy::Any, Interaction::Person, true),
            (IdleFedBy::Any, Interaction::Program, true),
        ] {
            assert_eq!(setting.takes(whom), expected, "{setting:?} {whom:?}");
        }
        assert_eq!(IdleFedBy::default(), IdleFedBy::Interactive);
    }
}
