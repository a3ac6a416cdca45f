//! Every odd way in which a known provider refuses, kept as data: `tests/vectors/odd_answers.json`.

use http::{HeaderMap, StatusCode};
use perennial_core::provider::{PRESETS, preset as row_of};
use perennial_core::secret::RefreshToken;
use perennial_core::token::{TokenExchange, TokenFailure, Verdict, read_token_response};
use serde::Deserialize;
use serde_json::Value;

use crate::{NOW, preset};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    provider: String,
    status: u16,
    body: String,
    verdict: String,
    why: String,
}

fn answers() -> Vec<Answer> {
    serde_json::from_str(include_str!("../vectors/odd_answers.json")).expect("a list of answers")
}

impl Answer {
    fn judged(&self) -> TokenFailure {
        let provider = preset(&self.provider);
        let presented = RefreshToken::new("old-rt");
        let exchange = TokenExchange { provider: &provider, presented: Some(&presented), started: NOW, answered: NOW };
        let status = StatusCode::from_u16(self.status).expect("a status");
        read_token_response(&exchange, status, &HeaderMap::new(), self.body.as_bytes()).expect_err("a failure")
    }
}

fn name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Ambiguous => "ambiguous",
        Verdict::InDoubt => "in_doubt",
        Verdict::Misconfigured => "misconfigured",
        Verdict::NotProcessed { .. } => "not_processed",
        Verdict::NotSent => "not_sent",
        Verdict::Reauthenticate { .. } => "reauthenticate",
        Verdict::Rejected => "rejected",
    }
}

#[test]
fn each_odd_answer_has_its_verdict() {
    for answer in answers() {
        let Answer { provider, status, body, verdict, why } = &answer;
        assert_eq!(name(&answer.judged().verdict), verdict, "{provider}: HTTP {status} {body} ({why})");
    }
}

/// A pattern that no answer shows is one that nobody can judge when a provider changes its words.
#[test]
fn each_wording_of_a_row_is_shown_by_an_answer() {
    let answers = answers();
    let said = |body: &str, names: &[&str]| {
        let members: Value = serde_json::from_str(body).unwrap_or_default();
        names.iter().find_map(|name| members.get(name)?.as_str().map(str::to_owned))
    };
    for row in PRESETS {
        for pattern in row.failures {
            let shown = answers.iter().filter(|answer| answer.provider == row.id).any(|answer| {
                let error = said(&answer.body, &["error"]);
                let description = said(&answer.body, &["error_description", "message", "reason"]).unwrap_or_default();
                let status = StatusCode::from_u16(answer.status).expect("a status");
                pattern.matches(status, error.as_deref(), &description)
            });
            assert!(shown, "{}: no answer of odd_answers.json shows {pattern:?}", row.id);
        }
    }
}

#[test]
fn each_answer_is_of_a_provider_we_know() {
    for answer in answers() {
        assert!(row_of(&answer.provider).is_some(), "{}", answer.provider);
    }
}
