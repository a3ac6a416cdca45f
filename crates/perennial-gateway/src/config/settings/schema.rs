//! The JSON Schema of a configuration file, draft 2020-12, for editors.

use serde_json::{Map, Value, json};

use super::super::kind;
use super::super::setting::{Fallback, Kind, Range, Section, Setting};
use super::super::top::TOP;
use super::{capitalised, plain};

/// The schema, as a file.
pub fn schema() -> String {
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("The configuration of a Perennial gateway"));
    schema.extend(table(&TOP));
    // A map of strings, numbers and maps: writing it cannot fail.
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

fn table(section: &Section) -> Map<String, Value> {
    let properties: Map<_, _> =
        section.settings.iter().map(|row| (row.key.to_owned(), Value::Object(property(row)))).collect();
    let required = section.settings.iter().filter(|row| matches!(row.fallback, Fallback::Required)).map(|row| row.key);
    let required: Vec<_> = required.collect();
    let mut table = Map::new();
    table.insert("description".to_owned(), json!(plain(section.about)));
    table.insert("type".to_owned(), json!("object"));
    table.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        table.insert("required".to_owned(), json!(required));
    }
    table.insert("additionalProperties".to_owned(), json!(false));
    table
}

fn property(row: &Setting) -> Map<String, Value> {
    let mut property = Map::new();
    property.insert("description".to_owned(), json!(capitalised(&plain(row.meaning))));
    let kind = match row.kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Number(range) => number(range),
        Kind::Size(range) => json!({ "anyOf": [number(range), { "type": "string", "pattern": SIZE }] }),
        Kind::Time(_) => json!({ "type": "string", "pattern": TIME }),
        Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::Choice(choices) => json!({ "enum": choices }),
        Kind::Map => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        Kind::Table(inner) => Value::Object(table(inner)),
        Kind::Tables(inner) => {
            let mut items = table(inner);
            items.remove("description");
            json!({ "type": "array", "items": items })
        }
    };
    property.extend(kind.as_object().cloned().unwrap_or_default());
    if let Fallback::Value(text) = row.fallback
        && let Some(value) = row.kind.parse(text)
    {
        property.insert("default".to_owned(), written(row, text, value));
    }
    property
}

fn number(range: Range<u64>) -> Value {
    json!({ "type": "integer", "minimum": range.least, "maximum": range.most })
}

/// A default as it would stand in a file.
fn written(row: &Setting, text: &str, value: kind::Value) -> Value {
    match (row.kind, value) {
        (Kind::Flag, kind::Value::Flag(on)) => json!(on),
        (Kind::Number(_), kind::Value::Number(number)) => json!(number),
        (Kind::Texts, kind::Value::Texts(texts)) => json!(texts),
        _ => json!(text),
    }
}

/// Numbers with units, as humantime reads them; `perennial check` knows the units.
const TIME: &str = r"^(0|\s*(\d+\s*[A-Za-z]+\s*)+)$";

const SIZE: &str = r"^\d+ ?(B|KiB|MiB|GiB)?$";
