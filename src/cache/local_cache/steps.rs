//! What steps depended on the last time: so that a miss can be explained.

use serde::{Deserialize, Serialize};

use super::names::{self, NameKind};
use super::{LocalCache, LocalCacheError};
use crate::cache::encoding::Encoder;
use crate::cache::fingerprint::Fingerprint;
use crate::cache::key::CacheKey;
use crate::fs::PathError;

/// A step as it was when it was last built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastTime {
    /// Its key.
    pub key: CacheKey,
    /// What the key was taken over.
    pub fingerprint: Fingerprint,
}

impl LocalCache {
    /// Notes what a step depends on now. `place` says which step of which build it is, in words that stay the same when
    /// its inputs change: repository or context, stage, number and instruction.
    pub fn remember_step(
        &self,
        place: &[&str],
        fingerprint: &Fingerprint,
    ) -> Result<(), LocalCacheError> {
        self.check_writable()?;
        let now = LastTime {
            key: fingerprint.key(),
            fingerprint: fingerprint.clone(),
        };
        let _lock = self.lock_shared()?;
        self.write_name(NameKind::Step, &file_name(place), &now)
    }

    /// Returns what the step depended on the last time. `None` if it was never noted here.
    pub fn last_time(&self, place: &[&str]) -> Result<Option<LastTime>, PathError> {
        let path = self.name_path(NameKind::Step, &file_name(place));
        let _lock = self.lock_shared()?;
        Ok(names::read(&path)?.map(|(last, _)| last))
    }
}

fn file_name(place: &[&str]) -> String {
    let add = |encoder: Encoder, word: &&str| encoder.text(word);
    let digest = Encoder::new("place").list(place.iter(), add).finish();
    digest.hex().to_owned()
}
