//! The project stands alone: no file names a developer's machine or the address that a package was fetched from.

use std::collections::BTreeMap;

use super::Breach;

/// What no file may say. Each is put together here, so that this list does not find itself.
const DENIED: &[(&str, &str)] = &[
    (concat!("/ho", "me/"), "the path of somebody's home"),
    (concat!("/Us", "ers/"), "the path of somebody's home"),
    (concat!("/ro", "ot/"), "the path of somebody's home"),
    (concat!("/wo", "rk/"), "the path of a work folder"),
    (concat!("registry.", "npmjs"), "the address of a package registry"),
    (concat!("registry.", "yarnpkg"), "the address of a package registry"),
    (concat!("npm", "mirror"), "the address of a package registry"),
    (concat!("static.", "crates.io"), "the address of a package registry"),
    (concat!("index.", "crates.io"), "the address of a package registry"),
    (concat!("deb.", "debian.org"), "the address of a package registry"),
    (concat!("\"resol", "ved\": \"http"), "the address of a package registry"),
];

/// Every line that says what no file may say.
pub(crate) fn breaches(files: &BTreeMap<String, String>) -> Vec<Breach> {
    let mut found = Vec::new();
    for (path, text) in files {
        for (number, line) in text.lines().enumerate() {
            for (pattern, what) in DENIED.iter().filter(|(pattern, _)| mentions(line, pattern)) {
                found.push(Breach::new(
                    format!("{path}:{}", number + 1),
                    format!("says `{pattern}`, {what}: take it out"),
                ));
            }
        }
    }
    found
}

/// Whether `line` holds `pattern`; an absolute path only where one begins, so that `https://host/home/` is no trace.
fn mentions(line: &str, pattern: &str) -> bool {
    line.match_indices(pattern).any(|(at, _)| {
        !pattern.starts_with('/')
            || !line[..at].ends_with(|before: char| before.is_alphanumeric() || "-_.~%}>)*".contains(before))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> usize {
        breaches(&BTreeMap::from([("a/file.md".to_owned(), text.to_owned())])).len()
    }

    #[test]
    fn every_denied_pattern_is_found_where_it_stands() {
        for (pattern, _) in DENIED {
            assert_eq!(check(&format!("one\ntwo {pattern}x three")), 1, "{pattern}");
            assert_eq!(check(&format!("\"{pattern}x\"")), 1, "{pattern}");
            assert_eq!(check(&format!("{pattern}x")), 1, "{pattern}");
        }
    }

    #[test]
    fn a_path_inside_an_address_or_below_a_folder_is_no_trace() {
        let home = concat!("/ho", "me/");
        assert_eq!(check(&format!("https://example.org{home}page and src{home}file")), 0);
    }

    #[test]
    fn the_usual_line_of_cargo_lock_is_no_trace() {
        assert_eq!(check("source = \"registry+https://github.com/rust-lang/crates.io-index\""), 0);
    }
}
