//! An instruction's flags: which it has, and what was given for them.

use std::collections::BTreeMap;

use super::suggest;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlagKind {
    /// Nothing, `true` or `false`.
    Bool,
    /// One value, once.
    Value,
    /// One value, any number of times.
    Values,
}

/// A flag that an instruction has, without its dashes.
pub(super) type FlagSpec = (&'static str, FlagKind);

/// What was given for an instruction's flags.
#[derive(Debug, Default)]
pub(super) struct Flags(BTreeMap<&'static str, Vec<String>>);

/// Why a flag cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// The instruction has no such flag.
    #[error("unknown flag: --{name}{}", suggest::hint(.suggestion.as_deref()))]
    Unknown {
        /// The name as written, without dashes.
        name: String,
        /// A flag that the instruction has and that looks alike.
        suggestion: Option<String>,
    },
    /// The flag is given twice.
    #[error("duplicate flag specified: --{0}")]
    Duplicate(&'static str),
    /// The flag needs `=value`, or has nothing behind its `=`.
    #[error("missing a value on flag: --{0}")]
    ValueMissing(&'static str),
    /// The flag takes `true` or `false`.
    #[error("expecting boolean value for flag --{name}, not: {value}")]
    NotBoolean {
        /// The flag, without dashes.
        name: &'static str,
        /// What was given.
        value: String,
    },
}

impl Flags {
    /// Reads flag words, dashes included, against the flags that the instruction has.
    pub(super) fn read(words: &[String], specs: &[FlagSpec]) -> Result<Self, FlagError> {
        let mut flags = Self::default();
        for word in words {
            let text = word.strip_prefix("--").unwrap_or(word);
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (text, None),
            };
            let &(name, kind) = specs
                .iter()
                .find(|spec| spec.0 == name)
                .ok_or_else(|| unknown(name, specs))?;
            let given = flags.0.entry(name).or_default();
            if !given.is_empty() && kind != FlagKind::Values {
                return Err(FlagError::Duplicate(name));
            }
            given.push(match kind {
                FlagKind::Bool => boolean(name, value)?,
                FlagKind::Value | FlagKind::Values => {
                    value.ok_or(FlagError::ValueMissing(name))?.to_owned()
                }
            });
        }
        Ok(flags)
    }

    /// Returns the value of a flag; `None` if it is not given or given empty, which
    /// means the same.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        let value = self.values(name).into_iter().next();
        value.filter(|value| !value.is_empty())
    }

    /// Returns all values of a flag, in order.
    pub(super) fn values(&self, name: &str) -> Vec<String> {
        self.0.get(name).cloned().unwrap_or_default()
    }

    /// Returns what was given for a flag that takes `true` or `false`.
    pub(super) fn boolean(&self, name: &str) -> Option<bool> {
        self.value(name).map(|value| value == "true")
    }
}

fn boolean(name: &'static str, value: Option<&str>) -> Result<String, FlagError> {
    let Some(value) = value else {
        return Ok("true".to_owned());
    };
    match value.to_lowercase().as_str() {
        "" => Err(FlagError::ValueMissing(name)),
        known @ ("true" | "false") => Ok(known.to_owned()),
        _ => Err(FlagError::NotBoolean {
            name,
            value: value.to_owned(),
        }),
    }
}

fn unknown(name: &str, specs: &[FlagSpec]) -> FlagError {
    let known: Vec<&str> = specs.iter().map(|spec| spec.0).collect();
    FlagError::Unknown {
        name: name.to_owned(),
        suggestion: suggest::nearest(name, &known).map(|name| format!("--{name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECS: &[FlagSpec] = &[
        ("from", FlagKind::Value),
        ("link", FlagKind::Bool),
        ("exclude", FlagKind::Values),
    ];

    fn read(words: &[&str]) -> Result<Flags, FlagError> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        Flags::read(&words, SPECS)
    }

    #[test]
    fn values_booleans_and_lists_are_read() {
        let flags = read(&["--from=a=b", "--link", "--exclude=x", "--exclude=y"]).unwrap();
        assert_eq!(flags.value("from").as_deref(), Some("a=b"));
        assert_eq!(flags.boolean("link"), Some(true));
        assert_eq!(flags.values("exclude"), ["x", "y"]);
        assert_eq!(
            read(&["--link=FALSE"]).unwrap().boolean("link"),
            Some(false)
        );
        assert_eq!(read(&["--from="]).unwrap().value("from"), None);
        assert_eq!(read(&[]).unwrap().boolean("link"), None);
    }

    #[test]
    fn a_flag_that_cannot_be_used_is_named() {
        for (words, expected) in [
            (
                &["--form=a"][..],
                "unknown flag: --form (did you mean --from?)",
            ),
            (&["--zzzzz"], "unknown flag: --zzzzz"),
            (&["--From=a"], "unknown flag: --From (did you mean --from?)"),
            (
                &["--from=a", "--from=b"],
                "duplicate flag specified: --from",
            ),
            (&["--from=", "--from=b"], "duplicate flag specified: --from"),
            (
                &["--link", "--link=false"],
                "duplicate flag specified: --link",
            ),
            (&["--from"], "missing a value on flag: --from"),
            (&["--exclude"], "missing a value on flag: --exclude"),
            (&["--link="], "missing a value on flag: --link"),
            (
                &["--link=yes"],
                "expecting boolean value for flag --link, not: yes",
            ),
        ] {
            assert_eq!(read(words).unwrap_err().to_string(), expected);
        }
    }
}
