//! When a session renews: a pure decision over the tokens' age.
//!
//! Ahead of the access token's real expiry there is a window. Inside it one request renews and all others go on with
//! the still valid token; only after expiry does anybody wait. Where in the window a session becomes due is spread by a
//! hash of session and generation, so that sessions that began together do not renew together and all replicas agree.

use std::time::Duration;

use crate::limits::REPLICA_CLOCK_SKEW;
use crate::session::{AudienceToken, Generation, SessionId, SessionState, TokenSet};
use crate::time::Timestamp;

/// How and when sessions renew. Every duration is positive; the defaults suit access tokens of minutes to hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalPolicy {
    /// Renew this long before the access token expires; 60 s. Never more than a third of the token's lifetime is used.
    pub renew_before: Duration,
    /// Renew once the access token is this old, even if it lives longer; off. The earlier of the two rules decides.
    pub renew_after: Option<Duration>,
    /// How long an access token without `expires_in` is taken to live; `None` leaves renewal to demand.
    pub default_lifetime: Option<Duration>,
    /// The longest a call to the token endpoint may take; 10 s.
    pub call_deadline: Duration,
    /// The longest a request with an expired access token waits for a renewal; 15 s.
    pub wait_max: Duration,
    /// The longest the one request that started a renewal ahead of time waits for it before it goes on with the still
    /// valid token; 1 s.
    pub patience: Duration,
    /// The shortest time between two renewals of a session, renewals on demand included; 1 s.
    pub min_interval: Duration,
    /// Refresh requests that one process sends to one provider in a second at most; 100, from 1 to 10 000. This is the peak
    /// after an outage too.
    pub max_per_second: u32,
    /// Refresh requests of one process that one provider has to deal with at a time; 64, from 1 to 1024. Others queue.
    pub max_at_once: u32,
}

impl Default for RenewalPolicy {
    fn default() -> Self {
        Self {
            renew_before: Duration::from_secs(60),
            renew_after: None,
            default_lifetime: None,
            call_deadline: Duration::from_secs(10),
            wait_max: Duration::from_secs(15),
            patience: Duration::from_secs(1),
            min_interval: Duration::from_secs(1),
            max_per_second: 100,
            max_at_once: 64,
        }
    }
}

impl RenewalPolicy {
    /// How long an intent bars others from calling the provider: longer than preparing the call and the call itself can take,
    /// by whichever replica's clock, so that a lease that ran out means a lost call and not a slow one.
    pub fn lease(&self) -> Duration {
        self.call_deadline + CALL_PREPARATION + REPLICA_CLOCK_SKEW
    }
}

/// What the age of a session's tokens asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is due.
    Fresh,
    /// Inside the window: renew, and meanwhile the access token is good.
    Due,
    /// The access token is dead: renew first.
    Expired,
    /// The access token is dead and there is no refresh token: the session goes on without a bearer.
    Bare,
}

/// Judges the age of `state` at `now`.
pub fn decide(state: &SessionState, policy: &RenewalPolicy, now: Timestamp) -> Verdict {
    let Some(tokens) = &state.tokens else { return Verdict::Bare };
    let alive = tokens.alive_at(now);
    if tokens.refresh_token.is_none() {
        return if alive { Verdict::Fresh } else { Verdict::Bare };
    }
    match due_at(state.id, state.generation, tokens, policy) {
        _ if !alive => Verdict::Expired,
        Some(due) if now >= due => Verdict::Due,
        _ => Verdict::Fresh,
    }
}

/// Judges the age of `token`, an access token for another audience, which the session may not have had yet:
/// [`Verdict::Expired`]. `renewable`: there is a refresh token to buy the next one with.
///
/// The window is that of [`decide`]; it is not spread, because tokens for audiences are fetched when somebody needs them and
/// so begin at different times.
pub fn judge_audience_token(
    token: Option<&AudienceToken>,
    renewable: bool,
    policy: &RenewalPolicy,
    now: Timestamp,
) -> Verdict {
    let token = token.filter(|token| token.alive_at(now));
    let due = token.and_then(|token| {
        let expires_at = token.expires_at?;
        Some(expires_at - policy.renew_before.min(expires_at.since(token.issued_at) / 3))
    });
    match (token, renewable) {
        (None, false) => Verdict::Bare,
        (None, true) => Verdict::Expired,
        (Some(_), true) if due.is_some_and(|due| now >= due) => Verdict::Due,
        (Some(_), _) => Verdict::Fresh,
    }
}

/// When the session becomes due for renewal; `None` when only demand renews it.
///
/// Deterministic in session and generation. The window before expiry is `renew_before`, or a third of the lifetime if
/// that is shorter; the session becomes due somewhere in the first half of it.
pub fn due_at(id: SessionId, generation: Generation, tokens: &TokenSet, policy: &RenewalPolicy) -> Option<Timestamp> {
    let spread = spread(id, generation);
    let ahead = tokens.expires_at.map(|expires_at| {
        let window = policy.renew_before.min(expires_at.since(tokens.issued_at) / 3);
        expires_at - window + (window / 2).mul_f64(spread)
    });
    let aged = policy.renew_after.map(|age| tokens.issued_at + age - (age / 10).mul_f64(spread));
    match (ahead, aged) {
        (Some(ahead), Some(aged)) => Some(ahead.min(aged)),
        (ahead, aged) => ahead.or(aged),
    }
}

/// From when on no cookie of the session is [`Fresh`](Verdict::Fresh) any more, so that whoever opens one asks the record.
///
/// It counts from `now`, because an older generation may be about, includes the tokens for other audiences, and allows clocks
/// to differ by a minute. A session
/// without a known end of freshness has the cookie's, `max_age`.
pub fn fresh_until(state: &SessionState, policy: &RenewalPolicy, max_age: Duration, now: Timestamp) -> Timestamp {
    let own = state.tokens.as_ref().and_then(|tokens| {
        let lifetime = tokens.expires_at.map(|expires_at| expires_at.since(tokens.issued_at));
        let aged = policy.renew_after.filter(|_| tokens.refresh_token.is_some());
        [lifetime, aged].into_iter().flatten().min()
    });
    let lifetime = |token: &AudienceToken| token.expires_at.map(|expires_at| expires_at.since(token.issued_at));
    let all = std::iter::once(own).chain(state.audiences.iter().map(lifetime));
    let longest = all.map(|fresh| fresh.unwrap_or(max_age)).max().unwrap_or(max_age);
    now + longest.min(max_age) + CLOCKS_APART
}

/// How far the clocks of two replicas may lie apart without a copied cookie outliving its session on one of them.
const CLOCKS_APART: Duration = Duration::from_secs(60);

/// A number in [0, 1) that all replicas derive alike: ids are random, so mixing in the generation is all it takes.
fn spread(id: SessionId, generation: Generation) -> f64 {
    // splitmix64, whose output is uniform for every input.
    let mut x = id.leading_bits() ^ generation.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    // 53 bits are what an f64 holds exactly.
    (x >> 11) as f64 / (1u64 << 53) as f64
}

/// How long to leave a failing provider alone after `failures` failures in a row (1 and up).
///
/// Full jitter: anything between zero and a bound that doubles from 500 ms to 30 s, picked by `roll` in [0, 1). What the
/// provider asked for in `Retry-After` is the least.
pub fn backoff(failures: u32, retry_after: Option<Duration>, roll: f64) -> Duration {
    let bound =
        Duration::from_millis(500).saturating_mul(1 << failures.saturating_sub(1).min(6)).min(Duration::from_secs(30));
    bound.mul_f64(roll.clamp(0.0, 1.0)).max(retry_after.unwrap_or_default())
}

/// How long after its plan a call may go out at the latest: discovery is behind it, and the store has been written to once.
const CALL_PREPARATION: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::ProviderId;
    use crate::secret::{AccessToken, RefreshToken};

    struct Fixed(u8);

    impl crate::SecureRandom for Fixed {
        fn fill(&self, out: &mut [u8]) {
            out.fill(self.0);
        }
    }

    fn session(id: u8, lifetime: Option<u64>, refresh: bool) -> SessionState {
        let tokens = TokenSet {
            access_token: AccessToken::new("at"),
            token_type: "Bearer".into(),
            refresh_token: refresh.then(|| RefreshToken::new("rt")),
            id_token: None,
            scope: None,
            issued_at: at(0),
            expires_at: lifetime.map(at),
            refresh_token_expires_at: None,
        };
        SessionState::begin(ProviderId::new("p"), serde_json::Map::new(), tokens, at(0), &Fixed(id))
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds as i64)
    }

    #[test]
    fn nothing_is_fresh_beyond_the_life_of_a_token_that_is_issued_now() {
        let hour = Duration::from_secs(3600);
        let month = hour * 24 * 30;
        let table = [
            (Some(300), None, 300),
            (Some(300), Some(100), 100),
            (None, Some(100), 100),
            (None, None, 30 * 24 * 3600),
            (Some(u64::from(u32::MAX)), None, 30 * 24 * 3600),
        ];
        for (lifetime, renew_after, expected) in table {
            let policy =
                RenewalPolicy { renew_after: renew_after.map(Duration::from_secs), ..RenewalPolicy::default() };
            let state = session(1, lifetime, true);
            let until = fresh_until(&state, &policy, month, at(50));
            assert_eq!(until, at(50 + expected + 60), "{lifetime:?}, {renew_after:?}");
            // The newest token could have been issued at that very moment.
            let mut newest = state;
            if let Some(tokens) = newest.tokens.as_mut() {
                (tokens.issued_at, tokens.expires_at) = (at(50), lifetime.map(|lifetime| at(50 + lifetime)));
            }
            assert!(expected > 1_000_000 || decide(&newest, &policy, until) != Verdict::Fresh, "{lifetime:?}");
        }
    }

    #[test]
    fn verdicts_by_age() {
        let policy = RenewalPolicy::default();
        for (lifetime, refresh, now, expected) in [
            (Some(3600), true, 0, Verdict::Fresh),
            (Some(3600), true, 3539, Verdict::Fresh),
            (Some(3600), true, 3570, Verdict::Due),
            (Some(3600), true, 3599, Verdict::Due),
            (Some(3600), true, 3600, Verdict::Expired),
            // A third of a short life, never 60 s of it.
            (Some(6), true, 3, Verdict::Fresh),
            (Some(6), true, 5, Verdict::Due),
            (Some(3600), false, 3599, Verdict::Fresh),
            (Some(3600), false, 3600, Verdict::Bare),
            (None, true, 1_000_000, Verdict::Fresh),
        ] {
            assert_eq!(decide(&session(7, lifetime, refresh), &policy, at(now)), expected, "{lifetime:?} at {now}");
        }
    }

    #[test]
    fn verdicts_on_a_token_for_an_audience() {
        let policy = RenewalPolicy::default();
        let token = |lifetime: Option<u64>| AudienceToken {
            audience: crate::session::Audience::new("urn:api"),
            access_token: AccessToken::new("other"),
            generation: Generation(1),
            issued_at: at(100),
            expires_at: lifetime.map(|lifetime| at(100 + lifetime)),
        };
        for (token, renewable, now, expected) in [
            (Some(token(Some(3600))), true, 100, Verdict::Fresh),
            (Some(token(Some(3600))), true, 3639, Verdict::Fresh),
            (Some(token(Some(3600))), true, 3640, Verdict::Due),
            (Some(token(Some(3600))), true, 3700, Verdict::Expired),
            (Some(token(Some(3600))), false, 3640, Verdict::Fresh),
            (Some(token(Some(3600))), false, 3700, Verdict::Bare),
            // A third of a short life.
            (Some(token(Some(6))), true, 103, Verdict::Fresh),
            (Some(token(Some(6))), true, 104, Verdict::Due),
            (Some(token(None)), true, 1_000_000, Verdict::Fresh),
            (None, true, 100, Verdict::Expired),
            (None, false, 100, Verdict::Bare),
        ] {
            let verdict = judge_audience_token(token.as_ref(), renewable, &policy, at(now));
            assert_eq!(verdict, expected, "{token:?} at {now}, renewable: {renewable}");
        }
    }

    #[test]
    fn after_n_minutes_of_age_the_session_is_due_although_the_token_lives() {
        let policy = RenewalPolicy { renew_after: Some(Duration::from_secs(1800)), ..Default::default() };
        assert_eq!(decide(&session(7, Some(86400), true), &policy, at(1600)), Verdict::Fresh);
        assert_eq!(decide(&session(7, Some(86400), true), &policy, at(1800)), Verdict::Due);
        assert_eq!(decide(&session(7, None, true), &policy, at(1800)), Verdict::Due);
    }

    #[test]
    fn the_window_is_spread_over_sessions_and_generations_and_stays_inside_its_first_half() {
        let policy = RenewalPolicy::default();
        let mut seen = std::collections::BTreeSet::new();
        for id in 0..=255 {
            let session = session(id, Some(3600), true);
            let tokens = session.tokens.as_ref().expect("the fixture has tokens");
            for generation in 0..4 {
                let due =
                    due_at(session.id, Generation(generation), tokens, &policy).expect("an expiry gives a due time");
                assert!(due >= at(3540) && due <= at(3570), "{due:?}");
                assert_eq!(Some(due), due_at(session.id, Generation(generation), tokens, &policy));
                seen.insert(due);
            }
        }
        assert!(seen.len() > 900, "only {} distinct moments of 1024", seen.len());
    }

    #[test]
    fn backoff_doubles_is_bounded_and_obeys_the_provider() {
        assert_eq!(backoff(1, None, 0.999_999).as_millis(), 499);
        assert_eq!(backoff(3, None, 0.5), Duration::from_secs(1));
        assert_eq!(backoff(99, None, 1.0), Duration::from_secs(30));
        assert_eq!(backoff(1, Some(Duration::from_secs(7)), 0.1), Duration::from_secs(7));
    }
}
