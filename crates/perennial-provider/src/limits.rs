//! Every bound of the provider, each with its reason: it runs for days beside a developer and must not grow.

use std::time::Duration;

/// RFC 6749 §4.1.2 recommends ten minutes at most; a browser needs seconds.
pub(crate) const CODE_LIFETIME: Duration = Duration::from_secs(60);
/// A person may go and make coffee in front of the sign-in page.
pub(crate) const TRANSACTION_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// How many sign-ins may wait for a choice; the oldest gives way.
pub(crate) const TRANSACTIONS: usize = 1_000;
/// How many browsers may be signed in at the provider; the oldest gives way.
pub(crate) const BROWSERS: usize = 1_000;
/// How many codes are remembered, spent ones included, so that a second use is noticed.
pub(crate) const CODES: usize = 1_000;
/// How many families are remembered; a revoked one gives way before a live one.
pub(crate) const FAMILIES: usize = 1_000;
/// How many refresh tokens of one family are remembered: 40 minutes of renewals every 5 s. An older one is then merely unknown.
pub(crate) const REFRESH_TOKENS_PER_FAMILY: usize = 512;
/// How many access tokens are remembered; the oldest gives way.
pub(crate) const ACCESS_TOKENS: usize = 20_000;
/// How many former signing keys stay published after rotation.
pub(crate) const FORMER_KEYS: usize = 3;
/// How many events a slow listener may lag behind before it misses some.
pub(crate) const EVENTS: usize = 1_024;
/// Forms and queries are small; anything larger is not ours.
pub(crate) const BODY_BYTES: usize = 64 * 1024;
/// The `oversized` fault pads its answer to this: more than any client should read.
pub(crate) const OVERSIZED_BYTES: usize = 4 * 1024 * 1024;
