//! A browser as far as the provider can tell: one cookie, and forms it fills in.

use crate::harness::{Answer, CALLBACK, CHALLENGE, Idp, encoded};

/// A browser as far as the provider can tell.
#[derive(Default)]
pub(crate) struct Browser {
    pub(crate) cookie: Option<String>,
}

impl Browser {
    /// A complete authorization request of `app`, with some parameters changed; an empty value takes one away.
    pub(crate) async fn authorize(&mut self, idp: &Idp, changes: &[(&str, &str)]) -> Answer {
        let query = authorization_query(changes);
        self.go(idp, &format!("/authorize?{query}")).await
    }

    pub(crate) async fn go(&mut self, idp: &Idp, path: &str) -> Answer {
        let cookie = self.cookie.clone().unwrap_or_default();
        let answer = idp.visit(path, &[("cookie", &cookie)]).await;
        self.keep(&answer);
        answer
    }

    fn keep(&mut self, answer: &Answer) {
        if let Some(cookie) = answer.headers.get("set-cookie") {
            self.cookie = Some(cookie.to_str().unwrap().split(';').next().unwrap().to_owned());
        }
    }

    /// Clicks on the page that is shown.
    pub(crate) async fn click(&self, idp: &Idp, page: &Answer, path: &str, button: (&str, &str)) -> Answer {
        let origin = format!("http://{}", idp.authority());
        let cookie = self.cookie.clone().unwrap_or_default();
        let headers = [("cookie", cookie.as_str()), ("origin", origin.as_str()), ("sec-fetch-site", "same-origin")];
        idp.post(path, &headers, &[("transaction", &transaction(page)), button]).await.unwrap()
    }

    pub(crate) async fn choose(&self, idp: &Idp, page: &Answer, account: &str) -> Answer {
        self.click(idp, page, "/authorize/choose", ("account", account)).await
    }

    /// The whole way as Alice; returns the redirect to the client.
    pub(crate) async fn sign_in(&mut self, idp: &Idp, changes: &[(&str, &str)]) -> Answer {
        let page = self.authorize(idp, changes).await;
        assert_eq!(page.status, 200, "{page:?}");
        let answer = self.choose(idp, &page, "alice").await;
        assert_eq!(answer.status, 303, "{answer:?}");
        answer
    }
}

pub(crate) fn authorization_query(changes: &[(&str, &str)]) -> String {
    let mut params = vec![
        ("response_type", "code"),
        ("client_id", "app"),
        ("redirect_uri", CALLBACK),
        ("scope", "openid profile email offline_access"),
        ("state", "st&te"),
        ("nonce", "n-once"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in changes {
        params.retain(|(known, _)| known != name);
        if !value.is_empty() {
            params.push((name, value));
        }
    }
    encoded(&params)
}

/// The hidden field of a page.
pub(crate) fn transaction(page: &Answer) -> String {
    let html = page.text();
    let (_, rest) = html.split_once("name=\"transaction\" value=\"").unwrap_or_else(|| panic!("no form: {html}"));
    rest.split('"').next().unwrap().to_owned()
}
