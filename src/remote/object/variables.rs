//! The variables that say where object stores are, and what opens Azure's, as somebody else has read them. This module
//! reads no environment.

use std::collections::BTreeMap;
use std::fmt;

/// Values of [`StoreVariables::NAMES`]. Some of them are secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreVariables(BTreeMap<String, String>);

impl StoreVariables {
    /// Every variable that is looked at.
    pub const NAMES: [&str; 7] = [
        // Where S3 is: AWS's names, and kaniko's two.
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "S3_ENDPOINT",
        "S3_FORCE_PATH_STYLE",
        // Google's.
        "STORAGE_EMULATOR_HOST",
        // Azure's.
        "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_STORAGE_CONNECTION_STRING",
    ];

    /// Takes names and values; empty values are unset ones.
    pub fn new(values: impl IntoIterator<Item = (String, String)>) -> Self {
        let values = values.into_iter().filter(|(_, value)| !value.is_empty());
        Self(values.collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        debug_assert!(Self::NAMES.contains(&name), "{name} is not read");
        self.0.get(name).map(String::as_str)
    }

    /// Returns the value of the first of them that is set.
    pub(super) fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

/// Names only.
impl fmt::Debug for StoreVariables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_printed() {
        let variables = StoreVariables::new([
            ("AZURE_STORAGE_ACCESS_KEY".to_owned(), "hunter2".to_owned()),
            ("S3_ENDPOINT".to_owned(), String::new()),
        ]);
        assert_eq!(format!("{variables:?}"), "{\"AZURE_STORAGE_ACCESS_KEY\"}");
        assert_eq!(variables.get("S3_ENDPOINT"), None);
    }
}
