//! Asking for base images and unpacking them again, as often as the user wants.
//!
//! The registry's client tries again by itself where the answer says that this may help. This is for what it cannot know:
//! a mirror that gives wrong bytes, a tag that a replica has not got yet, a disk that another job is just leaving.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::build::Event;
use crate::image::Reference;
use crate::registry::{ErrorKind, RegistryError};

use super::BaseImages;

/// Before the first time; doubled for each further one, as kaniko does (pkg/util/util.go, `Retry`).
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// kaniko doubles without end; nobody wants to wait for minutes.
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// How often what failed is done again. 0 means never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BaseRetries {
    /// `--image-download-retry`: finding out what an image is.
    pub download: u32,
    /// `--image-fs-extract-retry`: fetching and unpacking its layers.
    pub unpack: u32,
}

impl BaseImages {
    /// Has an image asked for until that succeeds, as often as the user wants.
    pub(super) async fn asked_again<T, F>(
        &self,
        reference: &Reference,
        ask: impl Fn() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        let mut used = 0;
        loop {
            // The client waits between its own tries: nobody waits for that once the build is asked to end.
            let error = match self.halt.or_halt(ask()).await? {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if used >= self.retries.download || !may_pass(error.kind()) {
                return Err(error.into());
            }
            used += 1;
            let error = error.into();
            let what = format!("`{reference}` will be asked for again");
            self.wait_before(used, self.retries.download, &what, &error)
                .await?;
        }
    }

    /// Has layers unpacked until that succeeds, as often as the user wants. What `unpack` leaves when it fails is its own
    /// to remove.
    pub(super) async fn unpacked_again<T, F>(&self, unpack: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut used = 0;
        loop {
            let error = match unpack().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if used >= self.retries.unpack || self.halt.is_requested() {
                return Err(error);
            }
            used += 1;
            self.wait_before(used, self.retries.unpack, "will unpack again", &error)
                .await?;
        }
    }

    /// Removes what a failed unpack has left. What stays is removed with the work directory.
    pub(super) async fn discard(&self, path: PathBuf) {
        let sandbox = self.sandbox.clone();
        let removing = tokio::task::spawn_blocking(move || sandbox.discard(&path)).await;
        if let Ok(Err(error)) = removing {
            tracing::debug!("what a failed unpack left stays: {error}: {}", error.source);
        }
    }

    async fn wait_before(
        &self,
        number: u32,
        of: u32,
        what: &str,
        error: &anyhow::Error,
    ) -> Result<()> {
        let delay = delay_before(number);
        let text = format!(
            "{what} in {} s (retry {number} of {of}): {error:#}",
            delay.as_secs()
        );
        (self.progress)(Event::Warning(&text));
        Ok(self.halt.or_halt(tokio::time::sleep(delay)).await?)
    }
}

fn delay_before(number: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(number.saturating_sub(1));
    FIRST_DELAY.saturating_mul(doubled).min(LONGEST_DELAY)
}

/// Tells whether a failure may be another's that passes: certificate files and an index without the platform do not.
fn may_pass(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Unauthorized
        | ErrorKind::Forbidden
        | ErrorKind::NotFound
        | ErrorKind::TooManyRequests
        | ErrorKind::TagImmutable
        | ErrorKind::UnsupportedMediaType
        | ErrorKind::ContentTooLarge
        | ErrorKind::Unreachable
        | ErrorKind::Tls
        | ErrorKind::NotTls
        | ErrorKind::Interrupted
        | ErrorKind::Server
        | ErrorKind::Corrupt
        | ErrorKind::Refused => true,
        ErrorKind::NoPlatform | ErrorKind::Local => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_ten_seconds() {
        let delays: Vec<u64> = [1, 2, 3, 4, 5, u32::MAX]
            .into_iter()
            .map(|number| delay_before(number).as_secs())
            .collect();
        assert_eq!(delays, [1, 2, 4, 8, 10, 10]);
    }
}
