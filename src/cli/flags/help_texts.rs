//! What help must say of every flag that it shows.

use clap::{Arg, Command, CommandFactory};

use super::{ExecutorFlags, WarmerFlags, no_effect};

/// Runs `look` for the command and everything below it that help shows.
fn each(command: &Command, look: &mut dyn FnMut(&Command)) {
    look(command);
    let shown = command.get_subcommands();
    let shown = shown.filter(|inner| !inner.is_hide_set() && inner.get_name() != "help");
    shown.for_each(|inner| each(inner, look));
}

fn commands() -> [Command; 2] {
    [ExecutorFlags::command(), WarmerFlags::command()].map(|mut command| {
        command.build();
        command
    })
}

/// What help lacks on one flag. A program's many flags are in groups; those of its commands need not be.
fn missing(argument: &Arg, help: &str, is_of_program: bool) -> Vec<&'static str> {
    let defaults = argument.get_default_values();
    let defaults = defaults.iter().map(|value| value.to_string_lossy());
    // That a flag which nobody gives is not given needs no words.
    let is_told = |value: &str| {
        ["", "false"].contains(&value) || help.contains(&format!("[default: {value}]"))
    };
    let checks = [
        (argument.get_help().is_some(), "a text"),
        (
            !is_of_program || argument.get_help_heading().is_some(),
            "a group",
        ),
        (
            defaults.into_iter().all(|value| is_told(&value)),
            "its default",
        ),
    ];
    let missing = checks.into_iter().filter(|(is_there, _)| !is_there);
    missing.map(|(_, what)| what).collect()
}

#[test]
fn every_flag_has_a_text_a_group_and_its_default() {
    let mut complaints = Vec::new();
    for command in commands() {
        each(&command, &mut |command| {
            let help = command.clone().render_long_help().to_string();
            let is_of_program = ["executor", "warmer"].contains(&command.get_name());
            let shown = command
                .get_arguments()
                .filter(|argument| !argument.is_hide_set());
            // clap's own two are in the group without a name.
            let own =
                shown.filter(|argument| !["help", "version"].contains(&argument.get_id().as_str()));
            for argument in own {
                let name = argument.get_id();
                let missing = missing(argument, &help, is_of_program);
                complaints.extend(
                    missing
                        .iter()
                        .map(|what| format!("{}: {name} lacks {what}", command.get_name())),
                );
            }
        });
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn both_helps_have_examples_and_the_long_one_names_what_has_no_effect() {
    for command in commands() {
        for mut command in [
            command.clone(),
            command
                .find_subcommand("completion")
                .cloned()
                .expect("a command"),
        ] {
            for help in [command.render_help(), command.render_long_help()] {
                assert!(help.to_string().contains("Examples:\n"), "{help}");
            }
        }
    }
    let help = commands()[0].render_long_help().to_string();
    let end = format!("for them to do: {}.\n", no_effect::words().join(", "));
    assert!(help.ends_with(&end), "{help}");
    let short = commands()[0].render_help().to_string();
    assert!(short.lines().count() < help.lines().count());
}
