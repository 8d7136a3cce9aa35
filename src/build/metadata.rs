//! Instructions that change the image's config and no file.

use crate::dockerfile::{CommandLine, Healthcheck as HealthcheckInstruction};
use crate::image::config::Healthcheck;

use super::draft::ImageDraft;

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

/// Why an EXPOSE or STOPSIGNAL cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MetadataError {
    /// Not a port, nor a range of ports.
    #[error("invalid port `{0}`: expected PORT[-PORT][/tcp|udp|sctp]")]
    Port(String),
    /// Not a signal that Linux knows.
    #[error("invalid stop signal `{0}`")]
    Signal(String),
}

/// Reads the words of EXPOSE, `[ip:][host:]port[-range][/protocol]`, into `port/protocol`. Addresses
/// and host ports play no part in an image.
pub(super) fn exposed_ports(words: &[String]) -> Result<Vec<String>, MetadataError> {
    let mut ports = Vec::new();
    for word in words {
        let error = || MetadataError::Port(word.clone());
        let (numbers, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
        let protocol = protocol.to_ascii_lowercase();
        if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
            return Err(error());
        }
        let container = numbers.rsplit(':').next().unwrap_or(numbers);
        let (first, last) = container.split_once('-').unwrap_or((container, container));
        let first: u16 = first.parse().map_err(|_| error())?;
        let last: u16 = last.parse().map_err(|_| error())?;
        if last < first {
            return Err(error());
        }
        ports.extend((first..=last).map(|port| format!("{port}/{protocol}")));
    }
    Ok(ports)
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

    fn ports(words: &[&str]) -> Result<Vec<String>, MetadataError> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        exposed_ports(&words)
    }

    #[test]
    fn ports_are_expanded_and_protocols_lowered() {
        let expected = [
            "80/tcp", "53/udp", "7000/tcp", "7001/tcp", "9/sctp", "443/tcp",
        ];
        let words = ["80", "53/UDP", "7000-7001", "9/sctp", "127.0.0.1:8443:443"];
        assert_eq!(ports(&words).unwrap(), expected);
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for word in ["", "http", "80/icmp", "65536", "9-8", "80/", "-80"] {
            assert!(ports(&[word]).is_err(), "{word}");
        }
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
