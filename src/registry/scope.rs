//! What a token allows (distribution, "Token Scope Documentation"). This module knows the grammar, not the tokens.

use std::fmt;

/// What is to be done with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    /// Reading.
    Pull,
    /// Reading and writing; registries want both named.
    PullPush,
}

/// One permission, such as `repository:library/alpine:pull`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// One that we ask for ourselves.
    Repository {
        /// The repository's name.
        name: String,
        /// What is to be done with it.
        access: Access,
    },
    /// One that a registry demanded in words of its own.
    Demanded(String),
}

impl Scope {
    pub(super) fn new(name: &str, access: Access) -> Self {
        Self::Repository {
            name: name.to_owned(),
            access,
        }
    }

    /// Returns the repository that the scope is about. `None` for what a registry demanded.
    pub(super) fn repository(&self) -> Option<&str> {
        match self {
            Self::Repository { name, .. } => Some(name),
            Self::Demanded(_) => None,
        }
    }

    /// Tells whether the scope allows writing.
    pub(super) fn is_for_writing(&self) -> bool {
        match self {
            Self::Repository { access, .. } => *access == Access::PullPush,
            Self::Demanded(_) => false,
        }
    }

    /// Tells whether whoever holds `self` may do what `other` allows.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Repository { name, access },
                Self::Repository {
                    name: other_name,
                    access: other_access,
                },
            ) => name == other_name && access >= other_access,
            _ => self.to_string() == other.to_string(),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository { name, access } => {
                let actions = match access {
                    Access::Pull => "pull",
                    Access::PullPush => "pull,push",
                };
                write!(f, "repository:{name}:{actions}")
            }
            Self::Demanded(text) => f.write_str(text),
        }
    }
}

/// Returns the scopes to ask for: what the registry demanded and we did not think of goes first, because some token
/// servers look at the first scope only.
pub(super) fn merged(demanded: Option<&str>, own: &[Scope]) -> Vec<Scope> {
    let news = demanded.unwrap_or_default().split_ascii_whitespace();
    let news = news.filter(|text| {
        !own.iter()
            .any(|scope| scope.to_string() == *text || is_covered(text, scope))
    });
    let mut all: Vec<Scope> = news.map(|text| Scope::Demanded(text.to_owned())).collect();
    all.extend_from_slice(own);
    all
}

/// `repository:x:pull` is part of our `repository:x:pull,push`, and so is `repository:x:push,pull`.
fn is_covered(text: &str, scope: &Scope) -> bool {
    let (Some((resource, actions)), ours) = (text.rsplit_once(':'), scope.to_string()) else {
        return false;
    };
    let Some((our_resource, our_actions)) = ours.rsplit_once(':') else {
        return false;
    };
    let mut actions = actions.split(',');
    resource == our_resource
        && actions.all(|action| our_actions.split(',').any(|ours| ours == action))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scopes: &[Scope]) -> Vec<String> {
        scopes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_newly_demanded_goes_first() {
        let own = [
            Scope::new("app", Access::PullPush),
            Scope::new("base", Access::Pull),
        ];
        assert_eq!(
            texts(&merged(
                Some("repository:other:pull registry:catalog:*"),
                &own
            )),
            [
                "repository:other:pull",
                "registry:catalog:*",
                "repository:app:pull,push",
                "repository:base:pull"
            ]
        );
    }

    #[test]
    fn what_we_ask_for_anyway_is_not_asked_for_twice() {
        let own = [Scope::new("app", Access::PullPush)];
        for demanded in [
            "repository:app:push,pull",
            "repository:app:pull",
            "repository:app:pull,push",
        ] {
            assert_eq!(
                texts(&merged(Some(demanded), &own)),
                ["repository:app:pull,push"]
            );
        }
        assert_eq!(
            texts(&merged(Some("repository:app:delete"), &own)),
            ["repository:app:delete", "repository:app:pull,push"]
        );
    }

    #[test]
    fn writing_covers_reading_and_not_the_reverse() {
        let (read, write) = (
            Scope::new("a", Access::Pull),
            Scope::new("a", Access::PullPush),
        );
        assert!(write.covers(&read) && read.covers(&read));
        assert!(!read.covers(&write) && !write.covers(&Scope::new("b", Access::Pull)));
    }
}
