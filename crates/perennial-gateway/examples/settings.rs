//! Writes what the documentation has of the table of settings: `cargo xtask docs` runs it.

use std::path::Path;

use perennial_gateway::settings;

fn main() -> std::io::Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let page = docs.join("configuration.md");
    let text = std::fs::read_to_string(&page)?;
    std::fs::write(page, settings::page(&text))?;
    std::fs::write(docs.join("perennial.schema.json"), settings::schema())?;
    std::fs::write(docs.join("perennial.example.toml"), settings::example())
}
