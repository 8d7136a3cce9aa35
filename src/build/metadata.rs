//! Instructions that change the image's config and no file.

use crate::dockerfile::{CommandLine, Healthcheck as HealthcheckInstruction};
use crate::image::config::Healthcheck;

use super::draft::ImageDraft;
use super::ports::PortError;

/// Returns the words of a command as the config keeps them: the shell form with its shell.
pub(super) fn command_words(command: &CommandLine, draft: &ImageDraft) -> Vec<String> {
    match command {
        CommandLine::Exec(words) => words.clone(),
        CommandLine::Shell(text) => {
            let mut words = draft.shell();
            words.push(text.clone());
            words
        }
    }
}

/// Returns a HEALTHCHECK as the config keeps it. SHELL plays no part in it: the shell form is run by
/// the container's own `/bin/sh`.
pub(super) fn healthcheck(instruction: &HealthcheckInstruction) -> Healthcheck {
    let probe = match instruction {
        HealthcheckInstruction::None => {
            return Healthcheck {
                test: vec!["NONE".to_owned()],
                ..Healthcheck::default()
            };
        }
        HealthcheckInstruction::Probe(probe) => probe,
    };
    let test = match &probe.command {
        CommandLine::Exec(words) => std::iter::once("CMD".to_owned())
            .chain(words.iter().cloned())
            .collect(),
        CommandLine::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
    };
    Healthcheck {
        test,
        interval: probe.interval,
        timeout: probe.timeout,
        start_period: probe.start_period,
        start_interval: probe.start_interval,
        retries: probe.retries.into(),
        ..Healthcheck::default()
    }
}

/// Why an EXPOSE, STOPSIGNAL or VOLUME cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MetadataError {
    /// EXPOSE.
    #[error(transparent)]
    Port(#[from] PortError),
    /// Not a signal that Linux knows.
    #[error("invalid stop signal `{0}`")]
    Signal(String),
    /// A variable in it is empty.
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
}

/// Checks the paths of VOLUME once their variables are expanded: an empty word of the file is an error of its grammar.
pub(super) fn check_volumes(paths: &[String]) -> Result<(), MetadataError> {
    match paths.iter().any(String::is_empty) {
        true => Err(MetadataError::EmptyVolume),
        false => Ok(()),
    }
}

/// Signals by name without `SIG`, as `signal(7)` lists them for Linux.
const SIGNALS: [&str; 37] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "UNUSED", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN",
    "RTMAX",
];

/// Checks a STOPSIGNAL: a number other than 0, or a name with or without `SIG`, also `RTMIN+1`.
pub(super) fn check_signal(signal: &str) -> Result<(), MetadataError> {
    let is_valid = match signal.parse::<u32>() {
        Ok(number) => number != 0,
        Err(_) => is_signal_name(&signal.to_ascii_uppercase()),
    };
    if is_valid {
        Ok(())
    } else {
        Err(MetadataError::Signal(signal.to_owned()))
    }
}

fn is_signal_name(name: &str) -> bool {
    let name = name.strip_prefix("SIG").unwrap_or(name);
    let offset = |text: &str| {
        text.parse::<u8>()
            .is_ok_and(|offset| (1..=15).contains(&offset))
    };
    SIGNALS.contains(&name)
        || name.strip_prefix("RTMIN+").is_some_and(offset)
        || name.strip_prefix("RTMAX-").is_some_and(|text| {
            text.parse::<u8>()
                .is_ok_and(|offset| (1..=14).contains(&offset))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_needs_a_path() {
        let check = |paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
            check_volumes(&paths)
        };
        assert_eq!(check(&["/a", " "]), Ok(()));
        assert_eq!(check(&["/a", ""]), Err(MetadataError::EmptyVolume));
    }

    #[test]
    fn stop_signals_are_numbers_or_known_names() {
        for signal in ["9", "SIGKILL", "term", "SIGRTMIN+3", "rtmax-2", "99"] {
            assert_eq!(check_signal(signal), Ok(()), "{signal}");
        }
        for signal in ["0", "", "SIGNOPE", "-1", "RTMIN+16"] {
            assert!(check_signal(signal).is_err(), "{signal}");
        }
    }
}
