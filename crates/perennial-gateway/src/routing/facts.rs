//! What a rule is asked about: who is there, and what they ask for.

use http::Uri;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, PROXY_AUTHORIZATION};
use http::request::Parts;
use perennial::{Auth, Session};
use serde_json::{Map, Value};

use super::Found;

/// What an expression may look at: four objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// The user's claims; empty for a stranger.
    pub(crate) claims: Map<String, Value>,
    /// How they are signed in.
    pub(crate) session: Map<String, Value>,
    /// What is asked for.
    pub(crate) request: Map<String, Value>,
    /// What the names in the route's path stand for.
    pub(crate) params: Map<String, Value>,
}

/// The part of the facts that does not depend on who is there.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestFacts {
    request: Map<String, Value>,
    params: Map<String, Value>,
}

impl RequestFacts {
    /// What a request asks for, as it came in; nothing is read unless the route asks about it.
    pub(crate) fn of(found: &Found<'_, '_>, host: &str, request: &Parts) -> Self {
        if found.route.rule.is_none() && found.route.request_headers.is_empty() {
            return Self::default();
        }
        let members = [
            ("method", request.method.as_str().into()),
            ("host", host.into()),
            ("path", found.path.as_ref().into()),
            ("query", query(&request.uri).into()),
            ("headers", readable(&request.headers).into()),
        ];
        Self {
            request: members.into_iter().map(|(name, value): (_, Value)| (name.to_owned(), value)).collect(),
            params: found.met().map(|met| met.params()).unwrap_or_default(),
        }
    }

    /// The facts once it is known who is there.
    pub(crate) fn with(&self, auth: &Auth, session: Option<&Session>) -> Facts {
        let claims = session.map(|session| auth.known_claims(session)).unwrap_or_default();
        let provider = session.map(|session| session.provider().as_str().to_owned());
        self.about(claims, provider, session.is_some())
    }

    /// The facts about somebody with these claims.
    pub(crate) fn about(&self, claims: Map<String, Value>, provider: Option<String>, signed_in: bool) -> Facts {
        let mut session = Map::from_iter([("signed_in".to_owned(), signed_in.into())]);
        session.extend(provider.map(|provider| ("provider".to_owned(), provider.into())));
        Facts { claims, session, request: self.request.clone(), params: self.params.clone() }
    }
}

impl Facts {
    pub(super) fn variables(&self) -> impl Iterator<Item = (&'static str, &Map<String, Value>)> {
        super::expression::VARIABLES.into_iter().zip([&self.claims, &self.session, &self.request, &self.params])
    }
}

/// All values of a name, because servers differ in which one they take.
fn query(uri: &Uri) -> Map<String, Value> {
    let mut members: Map<String, Value> = Map::new();
    for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        if let Value::Array(values) = members.entry(name.into_owned()).or_insert_with(|| Value::Array(Vec::new())) {
            values.push(value.into_owned().into());
        }
    }
    members
}

/// Headers by their small names, several of a name joined as RFC 9110 §5.3 says; without those that open something.
fn readable(headers: &HeaderMap) -> Map<String, Value> {
    let names = headers.keys().filter(|name| ![AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(name));
    let joined = names.map(|name| {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        (name.as_str().to_owned(), values.collect::<Vec<_>>().join(", ").into())
    });
    joined.collect()
}

#[cfg(test)]
mod tests {
    use http::{Method, Request};
    use serde_json::json;
    use url::Url;

    use super::super::{Asked, Expression, PathPattern, Route, Routes};
    use super::*;
    use crate::upstream::Upstream;

    #[test]
    fn a_request_is_told_without_its_secrets() {
        let upstream = Upstream::at(Url::parse("http://127.0.0.1:1").expect("a URL")).expect("an upstream");
        let route = Route {
            path: PathPattern::parse("/users/{id}").expect("a pattern"),
            rule: Some(Expression::parse("true").expect("a rule")),
            ..Route::to(upstream)
        };
        let routes = Routes::new(vec![route]);
        let uri: Uri = "/users/%61%20b?x=1&y=%20&x=2".parse().expect("a URI");
        let found = routes.find(Asked { host: "a", method: &Method::GET, path: uri.path() }).expect("found");
        let mut request = Request::builder().uri(&uri);
        for (name, value) in [("x-a", "1"), ("x-a", "2"), ("cookie", "secret"), ("authorization", "secret")] {
            request = request.header(name, value);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        let facts = RequestFacts::of(&found, "a", &parts).about(Map::new(), None, false);
        let told = json!({ "claims": facts.claims, "session": facts.session, "request": facts.request, "params": facts.params });
        let expected = json!({
            "claims": {},
            "session": { "signed_in": false },
            "request": {
                "method": "GET", "host": "a", "path": "/users/a%20b",
                "query": { "x": ["1", "2"], "y": [" "] },
                "headers": { "x-a": "1, 2" },
            },
            "params": { "id": "a b" },
        });
        assert_eq!(told, expected);
    }
}
