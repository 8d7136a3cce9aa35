//! `RUN --mount`: first a request with unexpanded values, then, once variables have
//! values, the mount it asks for.

mod error;
mod resolve;
mod size;

pub use error::MountError;
pub(super) use resolve::boolean;
pub use size::parse as parse_size;

use super::csv;

/// One `--mount` as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountRequest {
    /// The fields of its value, in order; at least one.
    fields: Vec<Field>,
}

/// One `key=value` of a mount, or a key alone.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    /// As written.
    text: String,
    /// In lower case.
    key: String,
    /// Unexpanded; `None` without `=`.
    value: Option<String>,
}

/// A mount, complete and checked. Targets are as written: relative ones are meant below
/// the working directory, and an empty one is that directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// Files of the build context, a stage or an image.
    Bind {
        /// Where they appear.
        target: String,
        /// A stage, a named context or an image; `None` is the build context.
        from: Option<String>,
        /// The path in there; `None` is its root.
        source: Option<String>,
        /// Writing is refused; otherwise what is written is thrown away.
        read_only: bool,
    },
    /// A directory that outlives the build.
    Cache {
        /// Where it appears.
        target: String,
        /// What it is kept under; `None` is the cleaned target.
        id: Option<String>,
        /// Who may use it at the same time.
        sharing: Sharing,
        /// A stage, a named context or an image that a new cache starts with.
        from: Option<String>,
        /// The path in there; `None` is its root.
        source: Option<String>,
        /// Writing is refused.
        read_only: bool,
        /// Who owns a new cache.
        owner: Owner,
    },
    /// A directory in memory.
    Tmpfs {
        /// Where it appears.
        target: String,
        /// Its limit in bytes; `None` is no limit.
        size: Option<u64>,
        /// Writing is refused.
        read_only: bool,
    },
    /// A file, a variable, or both, that leave no trace in the image.
    Secret {
        /// What the secret is called; never empty.
        id: String,
        /// Where the file appears; `None` is `/run/secrets/` and the id's last part, or
        /// no file at all if there is a variable.
        target: Option<String>,
        /// The variable that holds it.
        env: Option<String>,
        /// Without the secret the build fails.
        required: bool,
        /// Who owns the file.
        owner: Owner,
    },
    /// The socket of an SSH agent.
    Ssh {
        /// What the agent is called; never empty.
        id: String,
        /// Where the socket appears; `None` leaves it to the build.
        target: Option<String>,
        /// Without the agent the build fails.
        required: bool,
        /// Who owns the socket.
        owner: Owner,
    },
}

/// Owner and mode of what is mounted; `None` is the default of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Owner {
    /// Unix mode bits.
    pub mode: Option<u32>,
    /// The user's id.
    pub uid: Option<u32>,
    /// The group's id.
    pub gid: Option<u32>,
}

/// Who may use a cache at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Everyone.
    Shared,
    /// Everyone a copy of their own.
    Private,
    /// One after the other.
    Locked,
}

impl MountRequest {
    /// Takes the value of a `--mount` apart. Of its fields only `from` can be checked
    /// already: it is never expanded, for it says which stages a build needs.
    pub(super) fn of(value: &str) -> Result<Self, MountError> {
        let fields = csv::fields(value).map_err(MountError::Csv)?;
        let fields: Vec<Field> = fields.into_iter().map(Field::of).collect();
        let names_variable = |field: &Field| {
            let value = field.value.as_deref().unwrap_or_default();
            let sign = value.find('$');
            // As BuildKit: a `$` that nothing follows is no variable.
            field.key == "from" && sign.is_some_and(|at| at + 1 < value.len())
        };
        if fields.iter().any(names_variable) {
            return Err(MountError::VariableFrom);
        }
        Ok(Self { fields })
    }

    /// Returns where the files come from, as far as that is another place than the build
    /// context: a stage by name, a named context or an image.
    #[must_use]
    pub fn from(&self) -> Option<&str> {
        let mut values = self.fields.iter().rev();
        let field = values.find(|field| field.key == "from")?;
        field.value.as_deref().filter(|value| !value.is_empty())
    }

    /// Says whether resolving needs the value of no variable.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        let mut values = self.fields.iter().filter_map(|field| field.value.as_ref());
        values.all(|value| !value.contains('$'))
    }
}

impl Field {
    fn of(text: String) -> Self {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value.to_owned())),
            None => (text.to_lowercase(), None),
        };
        Self { text, key, value }
    }
}

#[cfg(test)]
mod tests;
