//! Trying again. What is worth it is told by the error ([`Retryable`]); this module only counts and waits.
//!
//! A loop of our own instead of a crate: the advice comes with the error and the wait with the answer, which leaves little.

use std::error::Error;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use reqwest::StatusCode;
use tracing::warn;

use super::options::RetryPolicy;

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAdvice {
    /// The same request will fail in the same way.
    Never,
    /// Try again after a delay.
    Backoff,
    /// Try again after what the server asked for.
    After(Duration),
}

/// Returns what to do after an answer with this status, which may have said when to come back.
pub fn advice_after(status: StatusCode, retry_after: Option<Duration>) -> RetryAdvice {
    let is_transient = match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => true,
        // nginx's word for a client that went away: a proxy before the registry gave up, not we.
        status if status.as_u16() == 499 => true,
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
        status => status.is_server_error(),
    };
    match (is_transient, retry_after) {
        (true, Some(wait)) => RetryAdvice::After(wait),
        (true, None) => RetryAdvice::Backoff,
        (false, _) => RetryAdvice::Never,
    }
}

/// An error that knows whether trying again may help.
pub trait Retryable: Error {
    /// Returns what to do.
    fn retry_advice(&self) -> RetryAdvice;
}

/// Runs `attempt` until it succeeds, fails for good, or has used up the policy's retries.
pub async fn with_retries<T, E, F, Fut>(policy: &RetryPolicy, mut attempt: F) -> Result<T, E>
where
    E: Retryable,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let mut retries = Retries::new(*policy);
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => retries.wait_after(error).await?,
        }
    }
}

/// How many tries are left, and how long to wait before the next.
#[derive(Debug)]
pub struct Retries {
    policy: RetryPolicy,
    used: u32,
}

impl Retries {
    /// Begins to count.
    pub fn new(policy: RetryPolicy) -> Self {
        Self { policy, used: 0 }
    }

    /// Forgets earlier failures: there has been progress since.
    pub fn reset(&mut self) {
        self.used = 0;
    }

    /// Waits before the next try, or gives the error back if there is none.
    pub async fn wait_after<E: Retryable>(&mut self, error: E) -> Result<(), E> {
        let advice = error.retry_advice();
        self.wait(advice, error).await
    }

    /// As [`Self::wait_after`] for an error that says no to a session, not to what was asked.
    pub async fn wait_after_lost_session<E: Retryable>(&mut self, error: E) -> Result<(), E> {
        self.wait(RetryAdvice::Backoff, error).await
    }

    async fn wait<E: Retryable>(&mut self, advice: RetryAdvice, error: E) -> Result<(), E> {
        let Some(delay) = self.delay_after(advice) else {
            return Err(error);
        };
        self.used += 1;
        warn!(
            retry = self.used,
            of = self.policy.retries,
            delay_ms = delay.as_millis() as u64,
            "will try again: {error}{}",
            last_cause(&error)
        );
        tokio::time::sleep(delay).await;
        Ok(())
    }

    fn delay_after(&self, advice: RetryAdvice) -> Option<Duration> {
        if self.used >= self.policy.retries {
            return None;
        }
        let doubled = self
            .policy
            .first_delay
            .saturating_mul(2_u32.saturating_pow(self.used));
        let own = doubled.min(self.policy.longest_delay);
        match advice {
            RetryAdvice::Never => None,
            RetryAdvice::Backoff => Some(own),
            RetryAdvice::After(wait) => {
                (wait <= self.policy.longest_retry_after).then(|| wait.max(own))
            }
        }
    }
}

/// Returns what the chain of an error ends with, to stand behind it.
fn last_cause(error: &dyn Error) -> String {
    let Some(mut last) = error.source() else {
        return String::new();
    };
    while let Some(next) = last.source() {
        last = next;
    }
    format!(": {last}")
}

/// Reads `Retry-After`: seconds, or a date, which is in the past for a wait of zero. `None` if it is neither.
pub fn read_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?.timestamp();
    let now = Timestamp::try_from(now).ok()?;
    let wait = date.duration_since(now);
    Some(Duration::try_from(wait).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries(used: u32) -> Retries {
        let policy = RetryPolicy {
            retries: 10,
            first_delay: Duration::from_millis(100),
            longest_delay: Duration::from_secs(1),
            longest_retry_after: Duration::from_secs(60),
        };
        Retries { policy, used }
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        let delays: Vec<_> = (0..6)
            .map(|used| {
                retries(used)
                    .delay_after(RetryAdvice::Backoff)
                    .unwrap()
                    .as_millis()
            })
            .collect();
        assert_eq!(delays, [100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn there_is_an_end_to_it() {
        assert_eq!(retries(10).delay_after(RetryAdvice::Backoff), None);
        assert_eq!(retries(0).delay_after(RetryAdvice::Never), None);
        assert_eq!(
            retries(u32::MAX).delay_after(RetryAdvice::After(Duration::ZERO)),
            None
        );
    }

    #[test]
    fn what_the_registry_asks_for_is_waited_for_if_bearable() {
        let after =
            |seconds| retries(0).delay_after(RetryAdvice::After(Duration::from_secs(seconds)));
        assert_eq!(after(7), Some(Duration::from_secs(7)));
        assert_eq!(after(0), Some(Duration::from_millis(100)));
        assert_eq!(after(3600), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // RFC 9110's example date is 784111777 seconds after the epoch.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 30);
        assert_eq!(read_retry_after(" 5 ", now), Some(Duration::from_secs(5)));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(read_retry_after(date, now), Some(Duration::from_secs(30)));
        assert_eq!(
            read_retry_after(date, SystemTime::now()),
            Some(Duration::ZERO)
        );
        assert_eq!(read_retry_after("soon", now), None);
        assert_eq!(read_retry_after("-1", now), None);
    }
}
