//! How far a provider's clock is from ours, by the `Date` of its answers (RFC 9110 §6.6.1).

use http::HeaderMap;
use http::header::DATE;

use crate::time::Timestamp;

/// By how many milliseconds the clock of an answer's sender is ahead of ours; negative if it is behind, `None` if it does not say.
///
/// The answer was dated some time between `sent` and `answered`, and a date has whole seconds: what both may explain counts as
/// no skew at all.
pub fn clock_skew(headers: &HeaderMap, sent: Timestamp, answered: Timestamp) -> Option<i64> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let earliest = i64::try_from(since.as_millis()).ok()?;
    let latest = earliest + 999;
    Some(if earliest > answered.unix_millis() {
        earliest - answered.unix_millis()
    } else {
        (latest - sent.unix_millis()).min(0)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_rounding_and_the_way_explain_is_no_skew() {
        // 1994-11-06T08:49:37Z
        let date = 784_111_777_000;
        for (sent, answered, expected) in [
            (date, date, 0),
            (date + 999, date + 1_200, 0),
            (date - 3_000, date + 50, 0),
            (date + 1_500, date + 1_600, -501),
            (date + 60_000, date + 60_100, -59_001),
            (date - 400, date - 300, 300),
            (date - 90_000, date - 60_000, 60_000),
        ] {
            let at = Timestamp::from_unix_millis;
            let headers = HeaderMap::from_iter([(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"))]);
            assert_eq!(clock_skew(&headers, at(sent), at(answered)), Some(expected), "{sent} {answered}");
        }
    }

    #[test]
    fn an_answer_without_a_date_that_can_be_read_says_nothing() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        assert_eq!(clock_skew(&HeaderMap::new(), now, now), None);
        for junk in ["", "yesterday", "1994-11-06", "Thu, 01 Jan 99999 00:00:00 GMT"] {
            let headers = HeaderMap::from_iter([(DATE, HeaderValue::from_static(junk))]);
            assert_eq!(clock_skew(&headers, now, now), None, "{junk}");
        }
    }
}
