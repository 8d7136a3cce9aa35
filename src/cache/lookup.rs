//! What came of looking for a step's layer.

use jiff::Timestamp;

use super::entry::CacheEntry;

/// An answer.
#[derive(Debug)]
pub enum Lookup<H> {
    /// The layer is there.
    Hit(H),
    /// It is not, or not to be used.
    Miss(Miss),
}

/// Why nothing was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Miss {
    /// Nobody has made the step, as far as this cache knows.
    Absent,
    /// It is older than the user wants.
    Expired {
        /// When the step ran, or when the image was stored.
        created: Timestamp,
    },
    /// What is there is not what it should be. The user has been warned.
    Unusable {
        /// What is wrong.
        reason: String,
    },
    /// The cache could not be asked. The user has been warned.
    Unreachable {
        /// Why.
        reason: String,
    },
}

impl<H> Lookup<H> {
    /// Returns what was found.
    pub fn hit(self) -> Option<H> {
        match self {
            Self::Hit(hit) => Some(hit),
            Self::Miss(_) => None,
        }
    }

    /// Says whether something was found.
    pub fn is_hit(&self) -> bool {
        matches!(self, Self::Hit(_))
    }
}

/// Refuses an entry that was made before `oldest`.
pub(super) fn fresh(entry: CacheEntry, oldest: Timestamp) -> Result<CacheEntry, Miss> {
    if entry.created < oldest {
        let created = entry.created;
        return Err(Miss::Expired { created });
    }
    Ok(entry)
}
