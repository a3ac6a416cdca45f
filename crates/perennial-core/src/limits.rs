//! Every limit of the engine, each with its reason. Each has a test at its edge.

use std::time::Duration;

/// Characters of cookie value in one chunk: 4096 less the 160 that Auth.js sets aside for name and attributes.
pub const COOKIE_CHUNK_CHARS: usize = 3936;

/// Chunks read or written for one session. Five are 19.7 kB of request header, beyond which common servers answer 431.
pub const COOKIE_CHUNKS: usize = 5;

/// How far past `exp` a session cookie still opens, as in Auth.js: clocks of two replicas differ.
pub const COOKIE_EXPIRY_TOLERANCE: Duration = Duration::from_secs(15);

/// Characters of a sealed cookie's protected header: ours take 176, a foreign one with `typ` and `cty` under 300.
pub const COOKIE_HEADER_CHARS: usize = 512;

/// Secrets in one list: a cookie without a key id is tried under each, and Auth.js knows four by environment.
pub const COOKIE_SECRETS: usize = 16;

/// Whole values of one cookie name that are looked at: a sub-domain or a path can plant some beside the honest one.
pub const COOKIE_NAMESAKES: usize = 3;

/// How long a sign-in may take from the first redirect to the callback, as in Auth.js.
pub const SIGN_IN_MAX_AGE: Duration = Duration::from_secs(900);

/// Sign-ins that one browser may have under way at once; the oldest gives way. Each costs about 700 bytes of header.
pub const SIGN_INS_IN_FLIGHT: usize = 4;

/// Bytes read of any answer of a provider: the largest key sets seen are under 100 kB.
pub const PROVIDER_ANSWER_BYTES: usize = 1 << 20;

/// Bytes of a form that is kept over a sign-in: sealed they are 16 kB of base64url, which fit into [`COOKIE_CHUNKS`] cookies beside
/// the form's target.
pub const KEPT_FORM_BYTES: usize = 12 << 10;

/// Bytes of a form or JSON body that our own endpoints read.
pub const ENDPOINT_BODY_BYTES: usize = 64 << 10;

/// Keys taken from one JWKS document.
pub const JWKS_KEYS: usize = 100;

/// The clocks of provider and client may differ by this much when an ID token's times are judged.
pub const ID_TOKEN_CLOCK_SKEW: Duration = Duration::from_secs(60);

/// The longest access-token lifetime believed; a longer one is treated as this long.
pub const TOKEN_LIFETIME_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// The longest `Retry-After` obeyed: beyond it a user would rather see a fresh attempt.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// Characters of a return URL.
pub const RETURN_URL_CHARS: usize = 2048;

/// The longest refresh-token lifetime believed: the longest any known provider can be set to.
pub const REFRESH_TOKEN_LIFETIME_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Characters of an issuer or endpoint URL: common servers refuse longer request lines.
pub const ENDPOINT_CHARS: usize = 2048;

/// Characters of the URL that signs a user out at the provider: common servers read 8 kB of request line, and the ID token in it
/// is only a hint.
pub const END_SESSION_CHARS: usize = 8000;

/// Characters of a callback's query: authorization codes of 2 kB exist, and the state is ours.
pub const CALLBACK_QUERY_CHARS: usize = 16 << 10;

/// Access tokens for other audiences that one session keeps: an application calls a handful of APIs, and each token may be
/// several kilobytes of the record.
pub const SESSION_AUDIENCES: usize = 8;

/// How far the clocks of two replicas may be apart: servers that keep time at all are within a second, and every moment that one
/// replica writes and another goes by is moved by this much to the safe side.
pub const REPLICA_CLOCK_SKEW: Duration = Duration::from_secs(5);

/// Characters kept of a provider's `error` code: the registered ones have at most 26.
pub const ERROR_CODE_CHARS: usize = 64;

/// Characters kept of a provider's `error_description`: enough for a sentence on a page or in a log line.
pub const ERROR_DESCRIPTION_CHARS: usize = 300;

/// Characters of a `claims` challenge passed on to the next sign-in: it travels in a URL and, sealed, in one cookie.
pub const CLAIMS_CHALLENGE_CHARS: usize = 2048;

/// Characters of an ID token: it has to fit beside others into [`COOKIE_CHUNKS`] cookies, so a larger one is of no use.
pub const ID_TOKEN_CHARS: usize = 64 << 10;

/// How long a client assertion is good for (RFC 7523 §3): one request, with a slow network and a slow clock.
pub const CLIENT_ASSERTION_LIFETIME: Duration = Duration::from_secs(60);

/// Language ranges of an `Accept-Language` that are read: browsers send one or two for each language a person speaks.
pub const LANGUAGE_RANGES: usize = 32;

/// Refresh tokens of one session that are kept to be revoked: the newest at its end, and those that calls under way bring later,
/// of which there is one at a time.
pub const OWED_REVOCATIONS: usize = 4;

/// Entries in a session's history: a day of hourly renewals, or all that led to a loss.
pub const HISTORY_ENTRIES: usize = 16;

/// Bytes of a session's history: a record that is written at every renewal must stay small.
pub const HISTORY_BYTES: usize = 2 << 10;

/// Characters of an error code or a replica's name in a history: the registered codes have at most 26, a pod's name ends with
/// what tells it apart.
pub const HISTORY_WORD_CHARS: usize = 32;
