//! The people one may sign in as: OIDC Core §5.1 standard claims.

/// Somebody the sign-in page offers; there is no password.
///
/// ```
/// let dana = perennial_provider::Account::new("dana", "Dana Doe", "dana@example.test");
/// assert_eq!(dana.id, "dana");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The `sub` claim; never reassigned.
    pub id: String,
    /// The `name` claim.
    pub name: String,
    /// The `email` claim; always given out as verified.
    pub email: String,
    /// The `picture` claim, a URL.
    pub picture: Option<String>,
    /// The `groups` claim, given out for the scope `groups`.
    pub groups: Vec<String>,
}

impl Account {
    /// An account without a picture and in no group.
    pub fn new(id: impl Into<String>, name: impl Into<String>, email: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into(), email: email.into(), picture: None, groups: Vec::new() }
    }

    /// The same account in these groups.
    #[must_use]
    pub fn in_groups<T: Into<String>>(mut self, groups: impl IntoIterator<Item = T>) -> Self {
        self.groups = groups.into_iter().map(Into::into).collect();
        self
    }

    /// Alice, Bob and Carol, who are there unless the builder names others; Alice is in the groups `staff` and `admins`, Bob in
    /// `staff`.
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::new("alice", "Alice Archer", "alice@example.test").in_groups(["staff", "admins"]),
            Self::new("bob", "Bob Baker", "bob@example.test").in_groups(["staff"]),
            Self::new("carol", "Carol Carpenter", "carol@example.test"),
        ]
    }

    /// Whether a `login_hint` means this account: its id or its e-mail address.
    pub(crate) fn is_hinted_by(&self, hint: &str) -> bool {
        self.id == hint || self.email.eq_ignore_ascii_case(hint)
    }

    pub(crate) fn initial(&self) -> char {
        self.name.chars().next().map_or('?', |first| first.to_ascii_uppercase())
    }
}
