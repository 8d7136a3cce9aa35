//! Pushes that failed, as a user reads of them. Words only: this module must not try anything again.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use crate::image::{ImageFormat, Reference};
use crate::registry::{ErrorKind, RegistryError};

/// A push to one destination, or the question if it is permitted, that failed.
#[derive(Debug, Error)]
#[error("cannot push to `{destination}`")]
pub struct PushError {
    destination: Reference,
    attempt: Attempt,
    #[source]
    source: anyhow::Error,
}

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// An upload that is cancelled, before the build.
    Check,
    /// A push, of an image with media types of this family if of any.
    Push(Option<ImageFormat>),
}

/// All the pushes to several destinations that failed; at least one.
#[derive(Debug)]
pub struct PushFailures {
    failures: Vec<PushError>,
    /// How many destinations there were.
    destinations: usize,
    /// The layout that the image was kept in.
    kept: Option<PathBuf>,
}

impl PushError {
    pub(super) fn new(destination: &Reference, attempt: Attempt, source: anyhow::Error) -> Self {
        Self {
            destination: destination.clone(),
            attempt,
            source,
        }
    }

    /// Returns the registry's part in it. `None` if it has none.
    pub(super) fn registry_error(&self) -> Option<&RegistryError> {
        let mut causes = self.source.chain();
        causes.find_map(|cause| cause.downcast_ref::<RegistryError>())
    }

    /// Returns all of it on one line.
    pub(super) fn on_one_line(&self) -> String {
        format!("{self}: {:#}", self.source)
    }

    fn hints(&self) -> Vec<String> {
        let kind = self.registry_error().map(RegistryError::kind);
        let mut hints: Vec<String> = kind
            .and_then(|kind| self.hint_about(kind))
            .into_iter()
            .collect();
        if self.attempt == Attempt::Check {
            hints.push(
                "this was asked before the build; `--skip-push-permission-check` leaves that out"
                    .to_owned(),
            );
        }
        hints
    }

    fn hint_about(&self, kind: ErrorKind) -> Option<String> {
        let host = self.destination.registry();
        let text = match kind {
            ErrorKind::NotFound => format!(
                "some registries, such as ECR, want `{}` to be created before anything is pushed to it",
                self.destination.repository()
            ),
            ErrorKind::UnsupportedMediaType => {
                let other = match self.attempt {
                    Attempt::Push(Some(ImageFormat::Docker)) => "oci",
                    Attempt::Push(Some(ImageFormat::Oci)) => "docker",
                    Attempt::Push(None) | Attempt::Check => return None,
                };
                format!(
                    "`{host}` takes no images of this family of media types: build with `--image-format={other}`"
                )
            }
            ErrorKind::ContentTooLarge => format!(
                "`{host}`, or a proxy before it, limits the size of a request (nginx: `client_max_body_size`)"
            ),
            ErrorKind::TagImmutable => {
                "this tag cannot be overwritten: push another one, or let that be no error \
                with `--push-ignore-immutable-tag-errors`"
                    .to_owned()
            }
            ErrorKind::Unauthorized
            | ErrorKind::Forbidden
            | ErrorKind::TooManyRequests
            | ErrorKind::Unreachable
            | ErrorKind::Tls
            | ErrorKind::NotTls
            | ErrorKind::Interrupted
            | ErrorKind::Server
            | ErrorKind::Corrupt
            | ErrorKind::NoPlatform
            | ErrorKind::Local
            | ErrorKind::Refused => return None,
        };
        Some(text)
    }
}

impl PushFailures {
    /// Returns `Ok` if there are none.
    pub(super) fn check(
        failures: Vec<PushError>,
        destinations: usize,
        kept: Option<PathBuf>,
    ) -> Result<(), Self> {
        match failures.is_empty() {
            true => Ok(()),
            false => Err(Self {
                failures,
                destinations,
                kept,
            }),
        }
    }

    /// Returns the registries' part in it, of each failure that has one.
    pub fn registry_errors(&self) -> impl Iterator<Item = &RegistryError> {
        self.failures.iter().filter_map(PushError::registry_error)
    }

    /// Returns what can be done, each once. Empty if nobody knows.
    pub fn hints(&self) -> Vec<String> {
        let mut hints: Vec<String> = Vec::new();
        for hint in self.failures.iter().flat_map(PushError::hints) {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        hints.extend(self.kept.iter().map(|path| {
            let failed = self.failures.iter();
            let failed = failed.map(|failure| format!(" --destination {}", failure.destination));
            let failed: String = failed.collect();
            // What follows the mark is nothing to a shell that the line is pasted into.
            format!(
                "executor push {}{failed} # the image is kept there",
                path.display()
            )
        }));
        hints
    }

    /// Returns the only failure of the only destination.
    fn only(&self) -> Option<&PushError> {
        match &self.failures[..] {
            [only] if self.destinations == 1 => Some(only),
            _ => None,
        }
    }
}

impl fmt::Display for PushFailures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(only) = self.only() {
            return only.fmt(f);
        }
        let (failed, all) = (self.failures.len(), self.destinations);
        write!(f, "cannot push to {failed} of {all} destinations")?;
        for failure in &self.failures {
            write!(f, "\n  {}", failure.on_one_line())?;
        }
        Ok(())
    }
}

impl Error for PushFailures {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.only().and_then(Error::source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::error::{Call, Refusal};
    use anyhow::anyhow;

    fn failure(destination: &str) -> PushError {
        let destination = Reference::parse(destination).unwrap();
        PushError::new(&destination, Attempt::Check, anyhow!("no"))
    }

    fn refused(status: u16, body: &str) -> RegistryError {
        let url = url::Url::parse("https://reg.lan/v2/team/app/manifests/1").unwrap();
        RegistryError::Refused(Box::new(Refusal {
            call: Call::new(&reqwest::Method::PUT, &url),
            status: reqwest::StatusCode::from_u16(status).unwrap(),
            code: body.to_owned(),
            message: String::new(),
            retry_after: None,
            credentials_tried: Vec::new(),
        }))
    }

    #[test]
    fn what_can_be_done_is_told_for_each_kind_of_refusal() {
        let destination = Reference::parse("reg.lan/team/app:1").unwrap();
        let hints = |format, status, code: &str| {
            let error = refused(status, code);
            PushError::new(&destination, Attempt::Push(format), error.into()).hints()
        };
        let (docker, oci) = (Some(ImageFormat::Docker), Some(ImageFormat::Oci));
        for (format, status, code, part) in [
            (docker, 415, "MANIFEST_INVALID", "--image-format=oci"),
            (oci, 415, "", "--image-format=docker"),
            (oci, 404, "NAME_UNKNOWN", "want `team/app` to be created"),
            (oci, 413, "", "client_max_body_size"),
            (
                oci,
                400,
                "TAG_INVALID",
                "--push-ignore-immutable-tag-errors",
            ),
        ] {
            let [hint] = &hints(format, status, code)[..] else {
                panic!("{status}");
            };
            assert!(hint.contains(part), "{status}: {hint}");
        }
        for status in [401, 403, 429, 500] {
            assert_eq!(hints(oci, status, ""), Vec::<String>::new(), "{status}");
        }
    }

    #[test]
    fn one_failure_of_one_push_is_told_as_itself() {
        let failures = PushFailures::check(vec![failure("reg.lan/app:1")], 1, None).unwrap_err();
        assert_eq!(failures.to_string(), "cannot push to `reg.lan/app:1`");
        assert_eq!(failures.source().unwrap().to_string(), "no");
    }

    #[test]
    fn each_failure_of_several_pushes_is_listed_and_each_hint_given_once() {
        let failed = ["reg.lan/app:1", "reg.lan/app:2"].map(failure);
        let kept = Some(PathBuf::from("/kept"));
        let failures = PushFailures::check(failed.into(), 3, kept).unwrap_err();
        assert_eq!(
            failures.to_string(),
            "cannot push to 2 of 3 destinations\n  cannot push to `reg.lan/app:1`: no\n  cannot push to `reg.lan/app:2`: no"
        );
        assert!(failures.source().is_none());
        let [check, kept] = &failures.hints()[..] else {
            panic!("{:?}", failures.hints());
        };
        assert!(check.contains("--skip-push-permission-check"));
        assert!(kept.starts_with(
            "executor push /kept --destination reg.lan/app:1 --destination reg.lan/app:2 #"
        ));
    }
}
