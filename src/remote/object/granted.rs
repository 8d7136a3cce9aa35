//! Keys and tokens for the crate that speaks to stores: kept as long as they are good, then asked for again. This module
//! must not know how they are found.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use object_store::CredentialProvider;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::cloud::Failure;

/// What somebody gave, and until when to use it; `None` for ever.
pub(super) type Grant<C> = (C, Option<Instant>);

type Ask<C> = Box<dyn Fn() -> BoxFuture<'static, Result<Grant<C>, Failure>> + Send + Sync>;

/// Asks when it is needed.
pub(super) struct Granted<C> {
    ask: Ask<C>,
    kept: Mutex<Grant<Arc<C>>>,
}

impl<C> Granted<C> {
    /// Begins with what has been given.
    pub(super) fn new<F>(
        (first, until): Grant<C>,
        ask: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Grant<C>, Failure>> + Send + 'static,
    {
        Self {
            ask: Box::new(move || Box::pin(ask())),
            kept: Mutex::new((Arc::new(first), until)),
        }
    }

    async fn get(&self) -> object_store::Result<Arc<C>> {
        let mut kept = self.kept.lock().await;
        if kept.1.is_some_and(|until| until <= Instant::now()) {
            let asked = (self.ask)().await;
            let (new, until) = asked.map_err(|failure| object_store::Error::Generic {
                store: "credentials",
                source: failure.to_string().into(),
            })?;
            *kept = (Arc::new(new), until);
        }
        Ok(Arc::clone(&kept.0))
    }
}

/// What is in it is secret.
impl<C> fmt::Debug for Granted<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Granted(..)")
    }
}

/// As `async_trait` would write it.
impl<C: Send + Sync> CredentialProvider for Granted<C> {
    type Credential = C;

    fn get_credential<'a, 'async_trait>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<C>>> + Send + 'async_trait>>
    where
        'a: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(self.get())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_is_good_is_kept_and_what_has_expired_is_asked_for_again() {
        let asked = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&asked);
        let hour = Duration::from_secs(3600);
        // The first and the second have expired as soon as they are there.
        let ask = move || {
            let number = counter.fetch_add(1, Ordering::Relaxed) + 1;
            let until = Instant::now() + hour * (number - 1);
            async move { Ok((number, Some(until))) }
        };
        let granted = Granted::new((0, Some(Instant::now())), ask);
        for expected in [1, 2, 2] {
            assert_eq!(*granted.get_credential().await.unwrap(), expected);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        let nobody = || async { Err(Failure::NotConfigured("nobody".to_owned())) };
        let lasting = Granted::new((7, None), nobody);
        assert_eq!(*lasting.get_credential().await.unwrap(), 7);
        let expired = Granted::new((7, Some(Instant::now())), nobody);
        let error = expired.get_credential().await.unwrap_err().to_string();
        assert!(error.contains("nobody"), "{error}");
    }
}
