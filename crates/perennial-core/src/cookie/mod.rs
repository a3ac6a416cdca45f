//! The session cookie as Auth.js writes it: RFC 7516 §3.1 and §7.1 · RFC 7518 §4.5, §5.2.5 and §5.3 · RFC 7638 · RFC 5869 ·
//! RFC 6265 §5.4.
//!
//! This module is the only one that knows the bytes. From the outside in:
//!
//! ```text
//! Cookie: authjs.session-token.0=<3936 characters>; authjs.session-token.1=<the rest>      chunk: join, split, clear
//!         └──────────── one string, cut at 3936; a short one is `authjs.session-token` alone
//! BASE64URL({"alg":"dir","enc":"A256CBC-HS512","kid":"<thumbprint>"})                      seal: seal, open
//!     . (no encrypted key) . BASE64URL(iv) . BASE64URL(ciphertext) . BASE64URL(tag)
//!         └──────────── plain text: the claims as a JSON object with iat, exp and jti
//! HKDF-SHA256(secret, salt = cookie name, "Auth.js Generated Encryption Key (<name>)")     keyring: KeyRing
//!         └──────────── 64 bytes for A256CBC-HS512 (first half MAC, second half AES), 32 for A256GCM
//! ```
//!
//! The key depends on the cookie's name, so a value moved from one cookie to another does not open. `kid` names the
//! derived key, so a list of secrets is a key rotation: the first seals, each opens. We write what Auth.js writes, byte
//! for byte, and read that and `A256GCM`, which next-auth 4 wrote.
//!
//! [`at_rest`] is ours alone: records of the store, under a key of which the cookie carries one half.
//!
//! ```
//! use perennial_core::cookie::{KeyRing, chunk, open, seal};
//! use perennial_core::secret::CookieSecret;
//! use perennial_core::{SecureRandom, Timestamp};
//! use std::time::Duration;
//!
//! # struct Random;
//! # impl SecureRandom for Random {
//! #     fn fill(&self, out: &mut [u8]) { out.fill(7) }
//! # }
//! let name = "__Secure-authjs.session-token";
//! let ring = KeyRing::new(&[CookieSecret::new("at least 32 random characters")], name)?;
//! let now = Timestamp::from_unix_seconds(1_800_000_000);
//!
//! let claims = serde_json::json!({ "sub": "ada" }).as_object().cloned().unwrap_or_default();
//! let sealed = seal(&ring, &claims, now, Duration::from_secs(3600), &Random);
//! let writes = chunk::split(name, &sealed, &[])?;
//! assert_eq!(writes.len(), 1);
//!
//! let joined = chunk::join(name, [(name, sealed.as_str())].into_iter()).expect("the cookie is there");
//! let opened = joined.open(&ring, now)?;
//! assert_eq!(opened.claims["sub"], "ada");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod at_rest;
pub mod chunk;
mod content_encryption;
mod error;
pub mod keyring;
mod roll_out;
pub mod seal;

pub use at_rest::{RecordKeys, open_at_rest, seal_at_rest};
pub use chunk::{ChunkWrite, Joined, TooLarge, clear, join, split};
pub use error::OpenError;
pub use keyring::{KeyRing, KeyRingError};
pub(crate) use keyring::{check_secrets, hkdf_sha256};
pub use roll_out::{Front, Sighting, front, misplaced, note_name, note_name_behind};
pub use seal::{Dates, FromSealed, Opened, ToSealed, open, open_as, seal};
