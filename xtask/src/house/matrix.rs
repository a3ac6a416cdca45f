//! The feature matrix tells no stories: every "yes" and "partly" in our column names a test that is there.

use std::collections::BTreeMap;

use super::Breach;

/// The page that holds the matrix.
const PAGE: &str = "docs/features.md";

/// Where our own column stands among the cells of a row, after number and feature.
const OURS: usize = 2;

/// Every row that claims without a test, or says no without a reason.
pub(crate) fn breaches(files: &BTreeMap<String, String>) -> Vec<Breach> {
    let Some(page) = files.get(PAGE) else {
        return vec![Breach::new(PAGE, "is missing: the feature matrix stands there")];
    };
    let rows = page.lines().enumerate().filter_map(|(number, line)| Some((number + 1, row(line)?)));
    rows.flat_map(|(number, cells)| {
        let faults = faults(&cells, files);
        faults.into_iter().map(move |fault| Breach::new(format!("{PAGE}:{number}"), fault))
    })
    .collect()
}

/// The cells of a line that is a row of the matrix: one that begins with a number.
fn row(line: &str) -> Option<Vec<&str>> {
    let cells: Vec<&str> = line.trim().strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
    cells.first()?.parse::<u32>().ok()?;
    Some(cells)
}

fn faults(cells: &[&str], files: &BTreeMap<String, String>) -> Vec<String> {
    let (Some(ours), Some(last)) = (cells.get(OURS), cells.last()) else {
        return vec!["is no row of the matrix: number, feature, ours, theirs, proof".to_owned()];
    };
    let proofs = links(last);
    let mut found: Vec<String> = proofs.iter().filter_map(|(name, target)| unproven(name, target, files)).collect();
    match *ours {
        "Y" | "P" if proofs.is_empty() => {
            found.push("claims without a test: link one, [its name](../its/file)".to_owned())
        }
        "P" | "N" if spoken(last).is_empty() => found.push("says no, or partly, without a reason".to_owned()),
        "Y" | "P" | "N" => {}
        other => found.push(format!("says `{other}` in our column; it may say Y, P or N")),
    }
    found
}

/// What is wrong with a link to a test, if anything is.
fn unproven(name: &str, target: &str, files: &BTreeMap<String, String>) -> Option<String> {
    let path = target.trim_start_matches("../");
    match files.get(path) {
        None => Some(format!("names `{path}`, which is not there")),
        Some(text) if !text.contains(name) => Some(format!("names the test `{name}`, which `{path}` does not have")),
        Some(_) => None,
    }
}

/// The links of a cell into files of ours that hold tests, as text and target.
fn links(cell: &str) -> Vec<(&str, &str)> {
    let link = |part: &'_ str| -> Option<(usize, usize)> {
        let close = part.find("](")?;
        Some((close, close + 2 + part[close + 2..].find(')')?))
    };
    let found = cell.split('[').skip(1).filter_map(|part| {
        let (close, end) = link(part)?;
        Some((&part[..close], &part[close + 2..end]))
    });
    found.filter(|(_, target)| target.starts_with("../") && !target.contains('#')).collect()
}

/// What a cell says beside its links.
fn spoken(cell: &str) -> String {
    let links = links(cell).into_iter().map(|(name, target)| format!("[{name}]({target})"));
    links.fold(cell.to_owned(), |text, link| text.replace(&link, "")).trim_matches([' ', ',', '.', ';', ':']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(row: &str) -> Vec<String> {
        let files = BTreeMap::from([
            (PAGE.to_owned(), format!("| # | a |\n|---|---|\n{row}\n")),
            ("a/tests/x.rs".to_owned(), "fn it_holds() {}".to_owned()),
        ]);
        breaches(&files).into_iter().map(|breach| breach.sentence).collect()
    }

    #[test]
    fn a_yes_has_a_test_and_a_no_a_reason() {
        for (row, faults) in [
            ("| 1 | renews | Y | N | [it_holds](../a/tests/x.rs) |", 0),
            ("| 1 | renews | P | N | only at night: [it_holds](../a/tests/x.rs) |", 0),
            ("| 1 | renews | N | Y | nobody asked for it |", 0),
            ("| 1 | renews | Y | N | believe us |", 1),
            ("| 1 | renews | Y | N | [it_held](../a/tests/x.rs) |", 1),
            ("| 1 | renews | Y | N | [it_holds](../a/tests/y.rs) |", 1),
            ("| 1 | renews | P | N | [it_holds](../a/tests/x.rs) |", 1),
            ("| 1 | renews | N | Y | |", 1),
            ("| 1 | renews | perhaps | Y | later |", 1),
            ("| one | renews | Y | N | no row |", 0),
        ] {
            assert_eq!(check(row).len(), faults, "{row}: {:?}", check(row));
        }
    }

    #[test]
    fn without_the_page_there_is_no_matrix() {
        assert_eq!(breaches(&BTreeMap::new()).len(), 1);
    }
}
