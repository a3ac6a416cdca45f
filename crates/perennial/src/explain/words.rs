//! Moments and lengths of time for people.

use std::time::Duration;

use perennial_core::Timestamp;

use crate::iso8601::iso8601;

/// `2026-11-23 20:43:00 UTC`.
pub fn moment(at: Timestamp) -> String {
    let text = iso8601(at);
    format!("{} {} UTC", text.get(..10).unwrap_or_default(), text.get(11..19).unwrap_or_default())
}

/// How far `at` lies from `now`: `3 h ago`, `just now`, `in 5 min`.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        format!("in {}", length(at.since(now)))
    } else if now.since(at) < Duration::from_secs(1) {
        "just now".into()
    } else {
        format!("{} ago", length(now.since(at)))
    }
}

/// Both: `3 h ago (2026-11-23 20:43:00 UTC)`.
pub(super) fn when(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", ago(at, now), moment(at))
}

/// A length in its largest unit, rounded down: nobody reads `3 h 12 min 7 s`.
pub(super) fn length(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_distances() {
        let now = Timestamp::from_unix_seconds(1_795_449_565);
        assert_eq!(moment(now), "2026-11-23 15:59:25 UTC");
        for (seconds, expected) in [
            (0, "just now"),
            (-1, "1 s ago"),
            (-59, "59 s ago"),
            (-60, "1 min ago"),
            (-3_599, "59 min ago"),
            (-3_600, "1 h ago"),
            (-172_799, "47 h ago"),
            (-172_800, "2 days ago"),
            (5, "in 5 s"),
            (300, "in 5 min"),
        ] {
            assert_eq!(ago(Timestamp::from_unix_seconds(now.unix_seconds() + seconds), now), expected);
        }
        assert_eq!(ago(now + Duration::from_millis(20), now), "in 20 ms");
    }
}
