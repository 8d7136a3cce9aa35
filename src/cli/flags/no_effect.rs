//! kaniko's flags that steer a mechanism which does not exist here: accepted, so that a job's
//! `script:` works unchanged, and each said to be without effect, with the reason.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

/// A flag without effect.
struct NoEffect {
    name: &'static str,
    /// Whether it needs a value; the others are booleans.
    takes_value: bool,
    /// Why there is nothing to do, as a sentence without its full stop.
    reason: &'static str,
}

const fn boolean(name: &'static str, reason: &'static str) -> NoEffect {
    NoEffect {
        name,
        takes_value: false,
        reason,
    }
}

const FLAGS: [NoEffect; 11] = [
    boolean(
        "force",
        "the builder need not be told that it runs in a container",
    ),
    NoEffect {
        name: "snapshot-mode",
        takes_value: true,
        reason: "what a step changed is found exactly, by an overlay or by times that cannot be set",
    },
    boolean(
        "use-new-run",
        "what a step changed is found without reading the files",
    ),
    boolean(
        "skip-unused-stages",
        "stages that the target does not need are always skipped",
    ),
    boolean(
        "force-build-metadata",
        "layers and history are those that BuildKit makes",
    ),
    boolean("compressed-caching", "no layer is held in memory"),
    boolean(
        "ignore-var-run",
        "what the machine mounts in /var/run is in no image, and what a step writes there is",
    ),
    boolean(
        "materialize",
        "the files of a stage are unpacked when a step needs them",
    ),
    boolean(
        "cleanup",
        "after a build, the root directory is what it was before",
    ),
    boolean(
        "pre-cleanup",
        "files of the root directory are never part of a stage",
    ),
    boolean(
        "preserve-context",
        "after a build, the root directory is what it was before",
    ),
];

/// Those of the flags that were given, in the order of the list.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct NoEffectFlags {
    given: Vec<&'static str>,
}

/// Returns all of them as they are typed.
pub(in crate::cli) fn words() -> Vec<String> {
    let names = FLAGS.iter().map(|flag| flag.name);
    names.map(|name| format!("--{name}")).collect()
}

impl NoEffectFlags {
    /// Returns one line for each flag that was given.
    pub(in crate::cli) fn notes(&self) -> Vec<String> {
        FLAGS
            .iter()
            .filter(|flag| self.given.contains(&flag.name))
            .map(|flag| format!("--{} has no effect: {}", flag.name, flag.reason))
            .collect()
    }
}

impl FromArgMatches for NoEffectFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = FLAGS.iter().map(|flag| flag.name);
        Ok(Self {
            given: given.filter(|name| matches.contains_id(name)).collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for NoEffectFlags {
    fn augment_args(command: Command) -> Command {
        FLAGS
            .iter()
            .fold(command, |command, flag| command.arg(argument(flag)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(flag: &NoEffect) -> Arg {
    let argument = Arg::new(flag.name)
        .long(flag.name)
        .hide(true)
        .action(ArgAction::Append);
    if flag.takes_value {
        // The deprecated spelling of the one flag that has a value.
        return argument.value_name("VALUE").alias("snapshotMode");
    }
    let argument = match flag.name {
        "ignore-var-run" => argument.alias("whitelist-var-run"),
        _ => argument,
    };
    argument
        .value_parser(super::values::go_bool)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
}

#[cfg(test)]
mod tests {
    use super::super::ExecutorFlags;
    use clap::Parser;

    #[test]
    fn kanikos_flags_are_accepted_and_each_says_that_it_has_no_effect() {
        let arguments = [
            "executor",
            "--snapshot-mode",
            "redo",
            "--cleanup",
            "--use-new-run=false",
        ];
        let flags = ExecutorFlags::try_parse_from(arguments).unwrap();
        let notes = flags.no_effect.notes();
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert!(notes[0].starts_with("--snapshot-mode has no effect: "));
        assert!(ExecutorFlags::try_parse_from(["executor", "--cleanup=maybe"]).is_err());
    }
}
