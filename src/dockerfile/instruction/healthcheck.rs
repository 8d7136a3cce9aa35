//! HEALTHCHECK: how a container tells whether it works.

use super::{CommandLine, InstructionError};
use crate::dockerfile::ast::Node;
use crate::dockerfile::flags::{FlagKind, FlagSpec, Flags};
use crate::dockerfile::{Keyword, duration};

/// What HEALTHCHECK says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// `NONE`: a check of the base image is switched off.
    None,
    /// `CMD`
    Probe(HealthProbe),
}

/// A command that is run again and again. Times are in nanoseconds; 0 means not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthProbe {
    /// The command; its shell form goes to the container's own shell, not to SHELL.
    pub command: CommandLine,
    /// `--interval`
    pub interval: i64,
    /// `--timeout`
    pub timeout: i64,
    /// `--start-period`
    pub start_period: i64,
    /// `--start-interval`
    pub start_interval: i64,
    /// `--retries`; 0 means not given.
    pub retries: i32,
}

const FLAGS: &[FlagSpec] = &[
    ("interval", FlagKind::Value),
    ("retries", FlagKind::Value),
    ("start-interval", FlagKind::Value),
    ("start-period", FlagKind::Value),
    ("timeout", FlagKind::Value),
];

/// The shortest time that is possible, in nanoseconds.
const SHORTEST: i64 = 1_000_000;

impl Healthcheck {
    pub(super) fn of(node: &Node) -> Result<Self, InstructionError> {
        let Some((kind, args)) = node.args.split_first() else {
            return Err(InstructionError::AtLeastOne(Keyword::Healthcheck));
        };
        let kind = kind.to_uppercase();
        // BuildKit never looks at the flags of NONE, so none of them is an error.
        if kind == "NONE" {
            return if args.is_empty() {
                Ok(Self::None)
            } else {
                Err(InstructionError::HealthcheckNone)
            };
        }
        let flags = Flags::read(&node.flags, FLAGS)?;
        if kind != "CMD" {
            return Err(InstructionError::HealthcheckType(kind));
        }
        if args.is_empty() {
            return Err(InstructionError::HealthcheckCommandMissing);
        }
        Ok(Self::Probe(HealthProbe {
            command: CommandLine::of(args, node.json),
            interval: interval(&flags, "interval")?,
            timeout: interval(&flags, "timeout")?,
            start_period: interval(&flags, "start-period")?,
            start_interval: interval(&flags, "start-interval")?,
            retries: retries(&flags)?,
        }))
    }
}

fn interval(flags: &Flags, flag: &'static str) -> Result<i64, InstructionError> {
    let Some(value) = flags.value(flag) else {
        return Ok(0);
    };
    match duration::parse(&value) {
        None => Err(InstructionError::Duration { flag, value }),
        Some(nanoseconds) if nanoseconds != 0 && nanoseconds < SHORTEST => {
            Err(InstructionError::IntervalTooShort(flag))
        }
        Some(nanoseconds) => Ok(nanoseconds),
    }
}

fn retries(flags: &Flags) -> Result<i32, InstructionError> {
    let Some(value) = flags.value("retries") else {
        return Ok(0);
    };
    let retries: i32 = value
        .parse()
        .map_err(|_| InstructionError::Retries(value.clone()))?;
    if retries < 0 {
        return Err(InstructionError::NegativeRetries(retries));
    }
    Ok(retries)
}
