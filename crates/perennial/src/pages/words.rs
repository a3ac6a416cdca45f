//! What the pages say, in each language they speak: `words/*.json`, a file for each.

use std::sync::LazyLock;

use serde::Deserialize;

/// A language of the pages.
pub(crate) struct Language {
    /// BCP 47, for `lang` and for `Accept-Language`.
    pub(crate) tag: &'static str,
    /// `ltr` or `rtl`, for `dir`.
    pub(crate) direction: &'static str,
    /// Its words.
    pub(crate) words: Words,
}

/// Everything that any page says. A file that lacks one of them, or has one more, does not load.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Words {
    pub(crate) sign_in: String,
    pub(crate) sign_in_with: Phrase,
    pub(crate) choose: String,
    pub(crate) session_required: String,
    pub(crate) provider_refused: String,
    pub(crate) took_too_long: String,
    pub(crate) cookie_missing: String,
    pub(crate) did_not_work: String,
    pub(crate) sign_out: String,
    pub(crate) sign_out_question: String,
    pub(crate) stay_signed_in: String,
    pub(crate) signed_out_here: String,
    pub(crate) signed_out_here_text: String,
    pub(crate) access_denied: String,
    pub(crate) access_denied_text: String,
    pub(crate) configuration: String,
    pub(crate) configuration_text: String,
    pub(crate) store_down: String,
    pub(crate) store_down_text: String,
    pub(crate) used_link: String,
    pub(crate) used_link_text: String,
    pub(crate) something_wrong: String,
    pub(crate) something_wrong_text: String,
    pub(crate) sign_in_again: String,
    pub(crate) check_email: String,
    pub(crate) check_email_text: String,
    pub(crate) one_moment: String,
    pub(crate) one_moment_text: String,
    pub(crate) one_moment_store_text: String,
    pub(crate) try_now: String,
    pub(crate) not_allowed: String,
    pub(crate) not_allowed_text: String,
    pub(crate) kept_form: String,
    pub(crate) kept_form_text: String,
    pub(crate) carry_on: String,
    pub(crate) code: String,
}

/// A sentence around a provider's name.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Phrase {
    pub(crate) before: String,
    pub(crate) after: String,
}

impl TryFrom<String> for Phrase {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (before, after) = text.split_once("{provider}").ok_or("the sentence has no place for {provider}")?;
        Ok(Self { before: before.to_owned(), after: after.to_owned() })
    }
}

/// All languages, English, which stands in for those we do not speak, first.
pub(crate) fn languages() -> &'static [Language] {
    &LANGUAGES
}

static LANGUAGES: LazyLock<Vec<Language>> = LazyLock::new(|| {
    FILES
        .iter()
        .map(|&(tag, direction, file)| Language {
            tag,
            direction,
            words: serde_json::from_str(file).expect("the files are part of the program, and a test reads each"),
        })
        .collect()
});

const FILES: [(&str, &str, &str); 8] = [
    ("en", "ltr", include_str!("../../words/en.json")),
    ("de", "ltr", include_str!("../../words/de.json")),
    ("es", "ltr", include_str!("../../words/es.json")),
    ("fr", "ltr", include_str!("../../words/fr.json")),
    ("ja", "ltr", include_str!("../../words/ja.json")),
    ("pt", "ltr", include_str!("../../words/pt.json")),
    ("hi", "ltr", include_str!("../../words/hi.json")),
    ("ar", "rtl", include_str!("../../words/ar.json")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value};

    #[test]
    fn every_language_has_every_word_and_no_other() {
        let read = |file: &str| serde_json::from_str::<Map<String, Value>>(file).expect("a JSON object");
        let english = read(FILES[0].2);
        for (tag, _, file) in FILES {
            serde_json::from_str::<Words>(file).unwrap_or_else(|error| panic!("{tag}: {error}"));
            for (name, text) in read(file) {
                let text = text.as_str().expect("a text");
                assert!(!text.trim().is_empty(), "{tag}: {name} is empty");
                assert!(tag == "en" || english[&name] != text, "{tag}: {name} is still English");
            }
        }
        assert_eq!(languages().len(), FILES.len());
    }
}
