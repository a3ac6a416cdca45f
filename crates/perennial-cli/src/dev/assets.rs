//! The page's style sheet, scripts and picture, compiled in.

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use http::StatusCode;

const STYLE: &str = concat!(
    include_str!("assets/base.css"),
    include_str!("assets/layout.css"),
    include_str!("assets/session.css"),
    include_str!("assets/strand.css"),
    include_str!("assets/provider.css"),
    include_str!("assets/break.css"),
    include_str!("assets/log.css"),
    include_str!("assets/welcome.css"),
);

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// `/demo/assets/{file}`.
pub(super) async fn asset(Path(file): Path<String>) -> Response {
    match find(&file) {
        Some((kind, text)) => {
            let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
            (headers, text).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn find(file: &str) -> Option<(&'static str, &'static str)> {
    Some(match file {
        "page.css" => ("text/css; charset=utf-8", STYLE),
        "mark.svg" => ("image/svg+xml", include_str!("assets/mark.svg")),
        "actions.js" => (SCRIPT, include_str!("assets/actions.js")),
        "announce.js" => (SCRIPT, include_str!("assets/announce.js")),
        "bind.js" => (SCRIPT, include_str!("assets/bind.js")),
        "clock.js" => (SCRIPT, include_str!("assets/clock.js")),
        "heartbeat.js" => (SCRIPT, include_str!("assets/heartbeat.js")),
        "log.js" => (SCRIPT, include_str!("assets/log.js")),
        "main.js" => (SCRIPT, include_str!("assets/main.js")),
        "provider.js" => (SCRIPT, include_str!("assets/provider.js")),
        "session.js" => (SCRIPT, include_str!("assets/session.js")),
        "spark.js" => (SCRIPT, include_str!("assets/spark.js")),
        "strand.js" => (SCRIPT, include_str!("assets/strand.js")),
        "stream.js" => (SCRIPT, include_str!("assets/stream.js")),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_that_a_script_imports_is_served() {
        let mut seen = vec!["main.js".to_owned()];
        let mut next = 0;
        while let Some(file) = seen.get(next).cloned() {
            let (_, text) = find(&file).unwrap_or_else(|| panic!("{file} is imported but not served"));
            for import in text.split("from './").skip(1) {
                let name = import.split('\'').next().expect("split yields a first part");
                if !seen.iter().any(|known| known == name) {
                    seen.push(name.to_owned());
                }
            }
            next += 1;
        }
        assert!(seen.len() > 10, "{seen:?}");
    }

    #[test]
    fn braces_of_the_style_sheet_are_in_balance() {
        let count = |brace| STYLE.matches(brace).count();
        assert_eq!(count('{'), count('}'));
    }
}
