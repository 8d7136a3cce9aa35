//! Values that several tasks need and one of them makes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::sync::OnceCell;

/// Values that are made once, by the first who asks; others wait for it.
pub(super) struct Once<K, V>(Mutex<BTreeMap<K, Arc<OnceCell<V>>>>);

impl<K, V> Default for Once<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord, V: Clone> Once<K, V> {
    /// Returns the value of `key`, made by `make` if nobody has made it.
    pub(super) async fn get<F: Future<Output = Result<V>>>(
        &self,
        key: K,
        make: impl FnOnce() -> F,
    ) -> Result<V> {
        let cell = {
            let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(cells.entry(key).or_default())
        };
        cell.get_or_try_init(make).await.cloned()
    }
}
