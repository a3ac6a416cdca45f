//! RFC 9110 §12.5.4 · RFC 4647 §3.4: which of our languages the browser asks for.

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;
use perennial_core::limits::LANGUAGE_RANGES;

use super::words::{Language, languages};

/// The language that `Accept-Language` likes best of those we speak; English when it likes none.
pub(crate) fn negotiated(headers: &HeaderMap) -> &'static Language {
    let asked = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (mut best, mut weight) = (&languages()[0], 0);
    for (range, q) in ranges(asked) {
        // Of two that are liked equally the one named first counts.
        if q > weight
            && let Some(language) = spoken(range)
        {
            (best, weight) = (language, q);
        }
    }
    best
}

/// Language ranges with their weights in thousandths. One whose weight is not understood counts as not asked for.
fn ranges(header: &str) -> impl Iterator<Item = (&str, u16)> {
    header.split(',').take(LANGUAGE_RANGES).filter_map(|part| {
        let mut parameters = part.split(';').map(str::trim);
        let range = parameters.next().filter(|range| !range.is_empty())?;
        let weight = match parameters.next() {
            None => 1000,
            Some(parameter) => thousandths(parameter.strip_prefix("q=").or(parameter.strip_prefix("Q="))?)?,
        };
        Some((range, weight))
    })
}

/// RFC 9110 §12.4.2: 0 to 1 with up to three digits.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, rest) = weight.split_once('.').unwrap_or((weight, ""));
    if rest.len() > 3 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let rest: u16 = format!("{rest:0<3}").parse().ok()?;
    match whole {
        "0" => Some(rest),
        "1" if rest == 0 => Some(1000),
        _ => None,
    }
}

/// Our language for a range: regions and scripts are cut off (`pt-BR` is served `pt`), `*` is English.
fn spoken(range: &str) -> Option<&'static Language> {
    let primary = range.split('-').next().unwrap_or_default();
    match primary {
        "*" => languages().first(),
        _ => languages().iter().find(|language| language.tag.eq_ignore_ascii_case(primary)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_language_liked_best_is_spoken() {
        let many = |count: usize| format!("{}de", "xx,".repeat(count - 1));
        for (asked, expected) in [
            ("", "en"),
            ("de", "de"),
            ("DE-at", "de"),
            ("pt-BR,pt;q=0.9,en;q=0.8", "pt"),
            ("zh-Hant-TW", "en"),
            ("nl, fr;q=0.5, de;q=0.7", "de"),
            ("fr;q=0.5,de;q=0.5", "fr"),
            ("en;q=0.1, ja ;q=0.2", "ja"),
            ("hi; q=0.999, es;q=1.000", "es"),
            ("de;q=0", "en"),
            ("de;q=0.0, *;q=0.5", "en"),
            ("*, de;q=0.5", "en"),
            ("ar-EG", "ar"),
            ("de;q=2", "en"),
            ("de;q=0.1234", "en"),
            ("de;q=1.5, fr;q=0.1", "fr"),
            ("de;level=1", "en"),
            (",,;;,q=1", "en"),
            (&many(LANGUAGE_RANGES), "de"),
            (&many(LANGUAGE_RANGES + 1), "en"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_str(asked).expect("a header"));
            assert_eq!(negotiated(&headers).tag, expected, "{asked}");
        }
        assert_eq!(negotiated(&HeaderMap::new()).tag, "en");
    }
}
