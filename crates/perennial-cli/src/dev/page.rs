//! The page's HTML: signed out, or everything known about the session at this moment.

use std::time::Duration;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};

use super::actions::catalogue::EXPERIMENTS;
use super::view::{Bead, Kind, Line, Link, Outcome, Progress, SessionView, Snapshot};
use super::words;

/// Somebody to sign in as.
#[derive(Clone, Debug)]
pub(super) struct Person {
    /// What the provider knows them by.
    pub(super) hint: &'static str,
    pub(super) name: &'static str,
}

/// What stays the same from one page to the next.
#[derive(Clone, Debug)]
pub(super) struct Pages {
    people: Vec<Person>,
    lifetime: String,
    policy: HeaderValue,
}

impl Pages {
    /// Pages of a demo whose access tokens live for `lifetime`, and whose forms may end at `provider_origin`.
    pub(super) fn new(people: Vec<Person>, lifetime: Duration, provider_origin: &str) -> Self {
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
             form-action 'self' {provider_origin}; base-uri 'none'; frame-ancestors 'none'"
        );
        Self {
            people,
            lifetime: match lifetime.as_secs() {
                1 => "1 second".into(),
                n => format!("{n} seconds"),
            },
            policy: HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'")),
        }
    }

    /// The page of somebody who is not signed in.
    pub(super) fn welcome(&self) -> Response {
        self.answer(&Welcome { people: &self.people, lifetime: &self.lifetime })
    }

    /// The page of a session.
    pub(super) fn home(&self, shown: &Snapshot, session: &SessionView) -> Response {
        let experiments = EXPERIMENTS
            .iter()
            .map(|one| {
                let stands = shown.actions.iter().find(|action| action.name == one.name);
                Experiment {
                    name: one.name,
                    title: one.title,
                    here: one.here,
                    elsewhere: one.elsewhere,
                    about: one.about,
                    state: stands.map(|action| action.state).unwrap_or_default(),
                    text: stands.map(|action| action.text.as_str()).unwrap_or_default(),
                }
            })
            .collect();
        self.answer(&Home {
            shown,
            session,
            lifetime: &self.lifetime,
            experiments,
            kinds: &Kind::ALL,
            marks: &words::MARKS,
            blank: &Blank::default(),
        })
    }

    fn answer(&self, page: &impl Template) -> Response {
        let Ok(html) = page.render() else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let mut answer = Html(html).into_response();
        let headers = answer.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        answer
    }
}

#[derive(Template)]
#[template(path = "welcome.html", config = "src/dev/page/askama.toml")]
struct Welcome<'a> {
    people: &'a [Person],
    lifetime: &'a str,
}

#[derive(Template)]
#[template(path = "home.html", config = "src/dev/page/askama.toml")]
struct Home<'a> {
    shown: &'a Snapshot,
    session: &'a SessionView,
    lifetime: &'a str,
    experiments: Vec<Experiment<'a>>,
    kinds: &'a [(Kind, &'static str)],
    marks: &'a [(&'static str, &'static str)],
    blank: &'a Blank,
}

/// An experiment and how it stands.
struct Experiment<'a> {
    name: &'static str,
    title: &'static str,
    here: &'static str,
    elsewhere: &'static str,
    about: &'static str,
    state: Progress,
    text: &'a str,
}

/// Empty values for the `<template>` elements, which the scripts fill.
#[derive(Default)]
struct Blank {
    bead: Bead,
    line: Line,
    link: Link,
    outcome: Outcome,
}
