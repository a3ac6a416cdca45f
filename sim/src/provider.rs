//! A provider as small as it can be: families of refresh tokens in each class. It shares no code with the engine.

use std::fmt::Write;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::scenario::{Class, Millis, Scenario};
use crate::world::EPOCH;

/// The provider's books.
pub(crate) struct Provider {
    class: Class,
    at_kill: bool,
    id_tokens: bool,
    lifetime: Millis,
    key: Ed25519KeyPair,
    pub(crate) families: Vec<Family>,
}

/// All tokens that descend from one sign-in.
pub(crate) struct Family {
    nonce: String,
    began: Millis,
    refresh: Vec<Refresh>,
    pub(crate) access: Vec<Access>,
    /// Why its tokens are good no more, and since when.
    pub(crate) dead: Option<(Death, Millis)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// A spent refresh token was presented, by the request of this number.
    Reuse(Delivery),
    /// The client asked for it.
    Revoked,
}

/// One arrival of a request: which call it belongs to, and the how-many-eth of its arrivals it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) call: usize,
    pub(crate) copy: u32,
}

struct Refresh {
    spent: Option<(Millis, usize)>,
    used: bool,
    predecessor: Option<usize>,
}

pub(crate) struct Access {
    /// The refresh token it came with.
    with: Option<usize>,
    pub(crate) expires: Millis,
    pub(crate) killed: Option<Millis>,
}

/// What a redemption brought.
pub(crate) struct Redeemed {
    pub(crate) access: usize,
    pub(crate) body: String,
}

impl Provider {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Self {
            class: scenario.class,
            at_kill: scenario.at_kill,
            id_tokens: scenario.id_tokens,
            lifetime: scenario.lifetime,
            key: Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes are a seed"),
            families: Vec::new(),
        }
    }

    /// Somebody signs in: answers with the code that their browser takes back.
    pub(crate) fn authorize(&mut self, nonce: &str, now: Millis) -> (usize, String) {
        let family = self.families.len();
        self.families.push(Family {
            nonce: nonce.to_owned(),
            began: now,
            refresh: Vec::new(),
            access: Vec::new(),
            dead: None,
        });
        (family, format!("code.{family}.planted"))
    }

    pub(crate) fn exchange(&mut self, code: &str, now: Millis) -> Result<String, &'static str> {
        let family = parsed("code", code).map(|numbers| numbers.0).filter(|family| *family < self.families.len());
        let family = family.filter(|family| self.families[*family].access.is_empty()).ok_or("invalid_grant")?;
        let refresh = self.mint(family, None);
        let access = self.mint_access(family, Some(refresh), now);
        Ok(self.body(family, access, Some(refresh), true, now))
    }

    /// RFC 6749 §6 in the provider's class.
    pub(crate) fn refresh(&mut self, token: &str, delivery: Delivery, now: Millis) -> Result<Redeemed, &'static str> {
        let (family, serial) = parsed("rt", token).ok_or("invalid_grant")?;
        let books = self.families.get_mut(family).ok_or("invalid_grant")?;
        if books.dead.is_some() || serial >= books.refresh.len() {
            return Err("invalid_grant");
        }
        // Whoever shows a refresh token has it: with that its predecessor is done with.
        books.refresh[serial].used = true;
        let spent = books.refresh[serial].spent;
        let successor = match (self.class, spent) {
            (Class::Reusable, _) => None,
            (Class::Idempotent(window), Some((at, successor))) if now < at + window => {
                if books.refresh[successor].used {
                    return Err("invalid_grant");
                }
                Some(successor)
            }
            (Class::Overlap(window), Some((at, _))) if now < at + window => Some(self.mint(family, Some(serial))),
            (Class::Acknowledged, Some(_)) if !books.successor_used(serial) => Some(self.mint(family, Some(serial))),
            (Class::Idempotent(_) | Class::Acknowledged | Class::SingleUse, Some(_)) => return Err("invalid_grant"),
            (Class::Overlap(_) | Class::Family, Some(_)) => {
                books.die(Death::Reuse(delivery), now);
                return Err("invalid_grant");
            }
            (_, None) => Some(self.mint(family, Some(serial))),
        };
        let books = &mut self.families[family];
        if let Some(successor) = successor
            && books.refresh[serial].spent.is_none()
        {
            books.refresh[serial].spent = Some((now, successor));
        }
        if self.at_kill {
            books.kill_access(now);
        }
        let access = self.mint_access(family, successor, now);
        let body = self.body(family, access, successor, self.id_tokens, now);
        Ok(Redeemed { access, body })
    }

    /// RFC 7009; the family dies with any of its tokens.
    pub(crate) fn revoke(&mut self, token: &str, now: Millis) {
        if let Some((family, _)) = parsed("rt", token)
            && let Some(books) = self.families.get_mut(family)
        {
            books.die(Death::Revoked, now);
        }
    }

    /// Whether an upstream that asks now takes this access token.
    pub(crate) fn accepts(&self, family: usize, access: usize, now: Millis) -> bool {
        let token = self.families.get(family).and_then(|books| books.access.get(access));
        token.is_some_and(|token| now < token.expires && token.killed.is_none())
    }

    /// When the family died; the end of time while it lives.
    pub(crate) fn died_at(&self, family: usize) -> Millis {
        self.families[family].dead.map_or(Millis::MAX, |(_, at)| at)
    }

    /// Whether the refresh token that came with this access token was presented since.
    pub(crate) fn successor_was_used(&self, family: usize, access: usize) -> bool {
        let books = &self.families[family];
        let refresh = books.access[access].with.and_then(|serial| books.refresh.get(serial));
        refresh.is_some_and(|token| token.used)
    }

    pub(crate) fn metadata() -> String {
        format!(
            r#"{{"issuer":"{ISSUER}","authorization_endpoint":"{ISSUER}/authorize","token_endpoint":"{ISSUER}/token",
            "jwks_uri":"{ISSUER}/jwks","revocation_endpoint":"{ISSUER}/revoke","response_types_supported":["code"],
            "subject_types_supported":["public"],"id_token_signing_alg_values_supported":["EdDSA"],
            "code_challenge_methods_supported":["S256"],
            "token_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post"]}}"#
        )
    }

    pub(crate) fn keys(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.key.public_key().as_ref());
        format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"k","x":"{x}"}}]}}"#)
    }

    fn mint(&mut self, family: usize, predecessor: Option<usize>) -> usize {
        let refresh = &mut self.families[family].refresh;
        refresh.push(Refresh { spent: None, used: false, predecessor });
        refresh.len() - 1
    }

    fn mint_access(&mut self, family: usize, with: Option<usize>, now: Millis) -> usize {
        let access = &mut self.families[family].access;
        access.push(Access { with, expires: now + self.lifetime, killed: None });
        access.len() - 1
    }

    fn body(&self, family: usize, access: usize, refresh: Option<usize>, id_token: bool, now: Millis) -> String {
        let mut body = format!(
            r#"{{"access_token":"{}","token_type":"Bearer","expires_in":{}"#,
            access_token(family, access),
            self.lifetime / 1000
        );
        if let Some(refresh) = refresh {
            let _ = write!(body, r#","refresh_token":"rt.{family}.{refresh}.planted""#);
        }
        if id_token {
            let _ = write!(body, r#","id_token":"{}""#, self.id_token(family, now));
        }
        body.push('}');
        body
    }

    fn id_token(&self, family: usize, now: Millis) -> String {
        let seconds = |millis: Millis| (EPOCH + millis as i64) / 1000;
        let books = &self.families[family];
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"k"}"#);
        let claims = URL_SAFE_NO_PAD.encode(format!(
            r#"{{"iss":"{ISSUER}","aud":"app","sub":"user-{family}","name":"User {family}","nonce":"{}","auth_time":{},"iat":{},"exp":{}}}"#,
            books.nonce,
            seconds(books.began),
            seconds(now),
            seconds(now) + 3600
        ));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(format!("{header}.{claims}").as_bytes()).as_ref());
        format!("{header}.{claims}.{signature}")
    }
}

impl Family {
    fn successor_used(&self, serial: usize) -> bool {
        self.refresh.iter().any(|token| token.predecessor == Some(serial) && token.used)
    }

    fn kill_access(&mut self, now: Millis) {
        for token in &mut self.access {
            token.killed.get_or_insert(now);
        }
    }

    fn die(&mut self, why: Death, now: Millis) {
        self.dead.get_or_insert((why, now));
        self.kill_access(now);
    }
}

pub(crate) fn access_token(family: usize, access: usize) -> String {
    format!("at.{family}.{access}.planted")
}

/// Family and serial of a token of this provider: `rt.3.1.planted`.
pub(crate) fn parsed(kind: &str, token: &str) -> Option<(usize, usize)> {
    let mut parts = token.strip_prefix(kind)?.strip_prefix('.')?.split('.');
    let family = parts.next()?.parse().ok()?;
    Some((family, parts.next().and_then(|serial| serial.parse().ok()).unwrap_or(0)))
}

pub(crate) const ISSUER: &str = "https://idp.example";
