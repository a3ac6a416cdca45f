//! Secrets that lie in files: those that settings list, and those that variables with `_FILE` name, as Docker and Kubernetes
//! hand them over.

use std::collections::BTreeMap;

use perennial::ConfigFault;

use super::values::Values;

/// The secrets in the files that the setting `key` lists.
pub(super) fn listed(values: &Values, key: &str, faults: &mut Vec<ConfigFault>) -> Vec<String> {
    let paths = values.texts(key);
    paths
        .iter()
        .filter_map(|path| in_file(path).map_err(|remedy| faults.push(values.fault(key, remedy))).ok())
        .collect()
}

/// The content of a file, without the line's end.
///
/// # Errors
/// What to do if it cannot be read.
pub(super) fn in_file(path: &str) -> Result<String, String> {
    match std::fs::read_to_string(path) {
        Ok(secret) => Ok(secret.trim().to_owned()),
        Err(error) => Err(format!("make `{path}` readable: {error}")),
    }
}

/// The environment with `AUTH_SECRET_FILE` and its like replaced by what their files hold, and the paths of these files.
/// A variable that holds the secret itself goes before one that names a file.
pub(super) fn from_files(
    variables: impl IntoIterator<Item = (String, String)>,
    faults: &mut Vec<ConfigFault>,
) -> (BTreeMap<String, String>, Vec<String>) {
    let mut variables: BTreeMap<_, _> = variables.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let named: Vec<_> = variables
        .iter()
        .filter_map(|(name, path)| Some((name.strip_suffix("_FILE")?.to_owned(), path.clone())))
        .filter(|(name, _)| is_secret(name) && !variables.contains_key(name))
        .collect();
    let mut paths = Vec::new();
    for (name, path) in named {
        match in_file(&path) {
            Ok(secret) => drop(variables.insert(name, secret)),
            Err(remedy) => faults.push(ConfigFault::new(format!("{name}_FILE"), "environment", remedy)),
        }
        paths.push(path);
    }
    (variables, paths)
}

/// `AUTH_SECRET`, `AUTH_SECRET_1`, `AUTH_BACKEND_SECRET`, `AUTH_OIDC_SECRET`.
fn is_secret(name: &str) -> bool {
    let bare = name.trim_end_matches(|last: char| last.is_ascii_digit()).trim_end_matches('_');
    name.starts_with("AUTH_") && bare.ends_with("_SECRET")
}
