//! A token endpoint's memory of one family of refresh tokens, in its own words: it shares no code with the engine.

use perennial_core::Timestamp;
use perennial_core::provider::RefreshClass;

/// A refresh token, by the order in which the provider minted it.
pub(crate) type Serial = u8;

/// What the provider knows of one family of refresh tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Provider {
    tokens: Vec<Minted>,
    revoked: bool,
    /// The refresh tokens that were refused so far.
    refused: Vec<Serial>,
    /// The refresh tokens that came with an ID token which speaks of somebody else.
    anothers: Vec<Serial>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Minted {
    parent: Option<Serial>,
    /// When it was exchanged first; the time matters only to classes with a window.
    spent_at: Option<Timestamp>,
    /// Whether it, or the access token minted beside it, was ever used.
    used: bool,
}

/// What the provider answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    /// New tokens. `first`: the presented token was good before and is spent now.
    Tokens { refresh_token: Serial, first: bool },
    /// `invalid_grant`.
    Refused,
}

impl Provider {
    /// Signed in: one refresh token is out.
    pub(crate) fn signed_in() -> Self {
        let first = Minted { parent: None, spent_at: None, used: true };
        Self { tokens: vec![first], revoked: false, refused: Vec::new(), anothers: Vec::new() }
    }

    /// Judges a presented refresh token.
    pub(crate) fn present(&mut self, class: RefreshClass, presented: Serial, now: Timestamp) -> Answer {
        if self.revoked {
            return self.refuse(presented);
        }
        // A new one each time, and the old one stays good: nothing to remember.
        if class == RefreshClass::Reusable {
            return Answer::Tokens { refresh_token: presented + 1, first: false };
        }
        self.access_token_used(class, presented);
        let Some(spent_at) = self.tokens[usize::from(presented)].spent_at else {
            let windowed = matches!(class, RefreshClass::Overlap(_) | RefreshClass::Idempotent(_));
            self.tokens[usize::from(presented)].spent_at =
                Some(if windowed { now } else { Timestamp::from_unix_seconds(0) });
            return self.mint(presented, true);
        };
        match class {
            RefreshClass::Acknowledged if self.children(presented).all(|(_, child)| !child.used) => {
                self.mint(presented, false)
            }
            RefreshClass::Idempotent(window) if now < spent_at + window => {
                let successor = self.children(presented).next().map(|(serial, _)| serial);
                Answer::Tokens { refresh_token: successor.expect("a spent token has a successor"), first: false }
            }
            RefreshClass::Overlap(window) if now < spent_at + window => self.mint(presented, false),
            RefreshClass::Acknowledged
            | RefreshClass::Idempotent(_)
            | RefreshClass::SingleUse
            | RefreshClass::Reusable => self.refuse(presented),
            // The strictest of those with an overlap detect reuse once it is over.
            RefreshClass::Overlap(_) | RefreshClass::Family | RefreshClass::Unknown => {
                self.revoked = true;
                self.refuse(presented)
            }
        }
    }

    /// The access token minted beside `refresh_token` is seen at an upstream.
    pub(crate) fn access_token_used(&mut self, class: RefreshClass, refresh_token: Serial) {
        if class == RefreshClass::Acknowledged {
            self.tokens[usize::from(refresh_token)].used = true;
        }
    }

    /// From here on this refresh token and all that descend from it are somebody else's.
    pub(crate) fn give_to_another(&mut self, refresh_token: Serial) {
        self.anothers.push(refresh_token);
    }

    /// Whether this refresh token is somebody else's.
    pub(crate) fn is_anothers(&self, refresh_token: Serial) -> bool {
        self.anothers.contains(&refresh_token)
    }

    /// Whether any refresh token is somebody else's.
    pub(crate) fn knows_another(&self) -> bool {
        !self.anothers.is_empty()
    }

    /// How many redemptions lie between the sign-in and this refresh token.
    pub(crate) fn depth(&self, class: RefreshClass, refresh_token: Serial) -> u64 {
        // These are counted and not remembered.
        if class == RefreshClass::Reusable {
            return refresh_token.into();
        }
        let parent = |serial: &Serial| self.tokens.get(usize::from(*serial)).and_then(|token| token.parent);
        std::iter::successors(parent(&refresh_token), parent).count() as u64
    }

    /// RFC 7009: the whole grant goes.
    pub(crate) fn revoke(&mut self) {
        self.revoked = true;
    }

    /// RFC 7662: whether a refresh token could be redeemed now, without doing so.
    pub(crate) fn introspect(&self, refresh_token: Serial) -> bool {
        !self.revoked && self.tokens[usize::from(refresh_token)].spent_at.is_none()
    }

    /// Whether all refresh tokens of the family are dead.
    pub(crate) fn is_revoked(&self) -> bool {
        self.revoked
    }

    /// Whether this refresh token was ever refused.
    pub(crate) fn has_refused(&self, refresh_token: Serial) -> bool {
        self.refused.contains(&refresh_token)
    }

    /// Whether any refresh token was ever refused.
    pub(crate) fn has_refused_any(&self) -> bool {
        !self.refused.is_empty()
    }

    fn mint(&mut self, parent: Serial, first: bool) -> Answer {
        let refresh_token = Serial::try_from(self.tokens.len()).expect("a bounded model mints few tokens");
        self.tokens.push(Minted { parent: Some(parent), spent_at: None, used: false });
        if self.is_anothers(parent) {
            self.give_to_another(refresh_token);
        }
        Answer::Tokens { refresh_token, first }
    }

    fn refuse(&mut self, presented: Serial) -> Answer {
        if !self.has_refused(presented) {
            self.refused.push(presented);
            self.refused.sort_unstable();
        }
        Answer::Refused
    }

    fn children(&self, parent: Serial) -> impl Iterator<Item = (Serial, &Minted)> {
        (0..).zip(&self.tokens).filter(move |(_, token)| token.parent == Some(parent))
    }
}
