//! Which rules apply: what `# check=` says, at the top of a file or above an instruction.
//!
//! `skip=A,B|all;error=BOOL;experimental=A,B|all` (Dockerfile reference, "check").

use std::collections::BTreeSet;

use super::Rule;

/// Which rules apply, and what breaking one means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckConfig {
    skip: Selection,
    experimental: Selection,
    /// Whether a file that breaks a rule is not built.
    pub is_error: bool,
}

/// Some rules, by name, or all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Selection {
    names: BTreeSet<String>,
    has_all: bool,
}

/// A check directive that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// Something other than the three options.
    #[error("invalid check option `{0}`, expected skip=, error= or experimental=")]
    Option(String),
    /// `error=` is neither true nor false.
    #[error("invalid value `{0}` of the check option error, expected true or false")]
    NotBoolean(String),
}

/// As many options as there are; BuildKit reads no more.
const OPTIONS_MAX: usize = 3;

impl CheckConfig {
    /// Reads the value of a check directive.
    ///
    /// # Errors
    /// If it is not of the form above.
    pub fn parse(text: &str) -> Result<Self, CheckError> {
        let mut config = Self::default();
        for option in text.splitn(OPTIONS_MAX, ';').map(str::trim) {
            let unknown = || CheckError::Option(option.to_owned());
            let (name, value) = option.split_once('=').ok_or_else(unknown)?;
            let value = value.trim();
            match name.trim() {
                "skip" => config.skip = Selection::parse(value),
                "experimental" => config.experimental = Selection::parse(value),
                "error" => config.is_error = boolean(value)?,
                _ => return Err(unknown()),
            }
        }
        Ok(config)
    }

    /// Says whether a rule applies to an instruction with these comments above it. A comment may
    /// skip rules and ask for experimental ones; one that only looks like a directive is a comment.
    /// Whoever asks for an experimental rule gets it: `skip` is for the others (BuildKit frontend,
    /// "check").
    pub(super) fn applies(&self, rule: Rule, comments: &[String]) -> bool {
        let nearby = comments.iter().filter_map(|comment| of_comment(comment));
        let nearby: Vec<Self> = nearby.collect();
        let mut configs = std::iter::once(self).chain(&nearby);
        match rule.is_experimental() {
            true => configs.any(|config| config.experimental.has(rule)),
            false => !configs.any(|config| config.skip.has(rule)),
        }
    }
}

impl Selection {
    fn parse(text: &str) -> Self {
        let names = text.split(',').map(|name| name.trim().to_owned());
        Self {
            names: names.collect(),
            has_all: text == "all",
        }
    }

    fn has(&self, rule: Rule) -> bool {
        self.has_all || self.names.contains(rule.name())
    }
}

/// Reads a comment as a directive; `None` where it is none.
pub(super) fn of_comment(comment: &str) -> Option<CheckConfig> {
    let (key, value) = comment.split_once('=')?;
    if !key.trim().eq_ignore_ascii_case("check") {
        return None;
    }
    CheckConfig::parse(value.trim()).ok()
}

/// As Go's `strconv.ParseBool`.
fn boolean(text: &str) -> Result<bool, CheckError> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(CheckError::NotBoolean(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applies(text: &str, comments: &[&str], rule: Rule) -> bool {
        let comments: Vec<String> = comments.iter().map(|&text| text.to_owned()).collect();
        CheckConfig::parse(text).unwrap().applies(rule, &comments)
    }

    #[test]
    fn skipped_rules_do_not_apply_and_experimental_ones_only_if_wanted() {
        use Rule::{
            InvalidDefinitionDescription as Experimental, UndefinedVar, WorkdirRelativePath,
        };
        assert!(!applies("skip=UndefinedVar", &[], UndefinedVar));
        assert!(applies("skip=UndefinedVar", &[], WorkdirRelativePath));
        assert!(!applies("skip=all", &[], WorkdirRelativePath));
        assert!(applies("error=true", &[], WorkdirRelativePath));
        assert!(!applies("error=true", &[], Experimental));
        let named = "error=false; experimental=InvalidDefinitionDescription";
        assert!(applies(named, &[], Experimental));
        assert!(applies("experimental=all", &[], Experimental));
        assert!(applies("skip=all;experimental=all", &[], Experimental));
    }

    #[test]
    fn a_comment_above_an_instruction_adds_to_the_directive() {
        use Rule::{UndefinedVar, WorkdirRelativePath};
        let above = ["check=skip=UndefinedVar, StageNameCasing"];
        assert!(!applies("error=true", &above, UndefinedVar));
        assert!(applies("error=true", &above, WorkdirRelativePath));
        assert!(applies("error=true", &["check=this twice"], UndefinedVar));
    }

    #[test]
    fn anything_else_is_refused() {
        let option = |text: &str| Err(CheckError::Option(text.to_owned()));
        assert_eq!(CheckConfig::parse("skip"), option("skip"));
        assert_eq!(
            CheckConfig::parse("skip=all;fail=true"),
            option("fail=true")
        );
        let error = CheckConfig::parse("error=yes");
        assert_eq!(error, Err(CheckError::NotBoolean("yes".to_owned())));
    }
}
