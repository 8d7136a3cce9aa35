//! Errors as a user reads them: what was tried, the lines that it is about, the causes, a hint.

use std::error::Error;

use crate::build::{LocatedError, SharedError};
use crate::http::says_nothing;
use crate::output::PushFailures;
use crate::registry::{ErrorKind, RegistryError};
use crate::remote::RemoteError;
use crate::sandbox::EnterError;

use super::progress::{Level, LogStyle};
use super::registry_hint::registry_hint;

/// Exit code of every error of ours, as kaniko's.
pub(super) const EXIT_FAILURE: u8 = 1;

/// Somebody asked the program to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted by {name}")]
pub(super) struct Interrupted {
    /// Name of the signal.
    pub(super) name: &'static str,
    /// Its number.
    pub(super) number: u8,
}

/// Prints an error once and returns the exit code that it asks for.
pub(super) fn report(style: LogStyle, error: &anyhow::Error) -> u8 {
    style.print(Level::Error, &describe(error));
    if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
        // As a shell reports a program that the signal ended.
        return 128 + interrupted.number;
    }
    let located = error.chain().find_map(located_in);
    let wanted = located.and_then(LocatedError::wanted_exit_code);
    // A process that a signal ended has no code of its own; 255 is what kaniko's -1 becomes.
    wanted.map_or(EXIT_FAILURE, |code| u8::try_from(code).unwrap_or(u8::MAX))
}

/// Returns the whole message, without the newline at its end.
fn describe(error: &anyhow::Error) -> String {
    let mut lines = Vec::new();
    let mut shown = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let text = cause.to_string();
        // A wrapper that only repeats its cause adds nothing.
        if depth == 0 {
            lines.push(format!("error: {text}"));
        } else if !shown.ends_with(&text) && !says_nothing(&text) {
            lines.push(format!("caused by: {text}"));
        }
        shown = text;
        if let Some(located) = located_in(cause) {
            lines.extend(excerpt(located));
        }
    }
    lines.extend(credentials_tried(error));
    lines.extend(hint(error).map(|hint| format!("hint: {hint}")));
    lines.join("\n")
}

/// Says, where registries refused access, which sources of credentials were asked, and what each gave.
fn credentials_tried(error: &anyhow::Error) -> Vec<String> {
    let mut lines = Vec::new();
    for refused in error.chain().flat_map(registry_errors) {
        if !is_about_access(refused.kind()) {
            continue;
        }
        let tried = refused.credentials_tried().iter();
        let tried = tried.map(|line| format!("  {line}"));
        let news: Vec<String> = tried.filter(|line| !lines.contains(line)).collect();
        lines.extend(news);
    }
    if !lines.is_empty() {
        lines.insert(0, "credentials that were looked for:".to_owned());
    }
    lines
}

/// The registries' part in an error: its own, or that of each push.
fn registry_errors<'a>(cause: &'a (dyn Error + 'static)) -> Vec<&'a RegistryError> {
    match found_in::<PushFailures>(cause) {
        Some(failures) => failures.registry_errors().collect(),
        None => found_in::<RegistryError>(cause).into_iter().collect(),
    }
}

/// Sources that fail are a trouble of this machine's.
fn is_about_access(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Unauthorized | ErrorKind::Forbidden | ErrorKind::Local => true,
        ErrorKind::NotFound
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
        | ErrorKind::NoPlatform
        | ErrorKind::Refused => false,
    }
}

/// Returns the error with a place in the Dockerfile that `cause` is.
fn located_in<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a LocatedError> {
    found_in(cause)
}

/// Returns the error of a type that `cause` is, also where several share it.
fn found_in<'a, T: Error + 'static>(cause: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let shared = cause.downcast_ref::<SharedError>();
    shared.map_or(cause, SharedError::inner).downcast_ref::<T>()
}

fn excerpt(error: &LocatedError) -> Vec<String> {
    let lines = error.excerpt();
    let width = lines
        .last()
        .map_or(1, |(number, _)| number.to_string().len());
    lines
        .iter()
        .map(|(number, line)| format!("  {number:width$} | {line}"))
        .collect()
}

/// Returns what the user can do, where anything in the chain knows.
fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(hint_of)
}

/// Returns what may help against each refusal, each once, and how to push again.
fn push_hint(error: &PushFailures) -> Option<String> {
    let mut hints: Vec<String> = Vec::new();
    let of_registries = error.registry_errors().filter_map(registry_hint);
    for hint in of_registries.chain(error.hints()) {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    (!hints.is_empty()).then(|| hints.join("\nhint: "))
}

fn hint_of(cause: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = cause.downcast_ref::<EnterError>() {
        let hints = error.hints();
        return (!hints.is_empty()).then(|| hints.join("\nhint: "));
    }
    if let Some(error) = cause.downcast_ref::<PushFailures>() {
        return push_hint(error);
    }
    if let Some(error) = found_in::<RegistryError>(cause) {
        return registry_hint(error);
    }
    if let Some(error) = cause.downcast_ref::<RemoteError>() {
        return error.hint().map(str::to_owned);
    }
    located_in(cause)
        .and_then(LocatedError::wanted_hint)
        .map(str::to_owned)
}
