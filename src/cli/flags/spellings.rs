//! Every flag of kaniko's in every spelling that its own parser takes (pflag): all must be read as the same.
//!
//! What a flag does is seen by `tests/e2e/flags`, which reads the same list.

use std::fmt::Debug;

use clap::{CommandFactory, Parser};

use super::{ExecutorFlags, WarmerFlags};

const LIST: &str = include_str!("../../../testdata/flags/kaniko.txt");

const TRUE: [&str; 6] = ["1", "t", "T", "TRUE", "true", "True"];
const FALSE: [&str; 6] = ["0", "f", "F", "FALSE", "false", "False"];

/// Returns the words of each line.
fn lines() -> impl Iterator<Item = Vec<&'static str>> {
    let lines = LIST.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split(' ').collect())
}

/// How a program reads words: all that it knows afterwards.
type Read = dyn Fn(&[String]) -> Result<String, String>;

fn read<F: Parser + Debug>(begin: &'static [&'static str]) -> Box<Read> {
    Box::new(move |words| {
        let begin = begin.iter().map(ToString::to_string);
        let flags = F::try_parse_from(begin.chain(words.iter().cloned()));
        let shown = flags.map(|flags| format!("{flags:?}"));
        shown.map_err(|error| error.to_string())
    })
}

/// Returns the reader of a program's words, if it takes the flag.
fn reader(program: &str, flag: &str) -> Option<Box<Read>> {
    let takes = |command: &clap::Command| {
        let mut arguments = command.get_arguments();
        let is_it = |name: Option<Vec<&str>>| name.is_some_and(|names| names.contains(&flag));
        arguments.any(|argument| {
            is_it(argument.get_long_and_visible_aliases()) || is_it(argument.get_all_aliases())
        })
    };
    let executor = ExecutorFlags::command();
    match program {
        "executor" => takes(&executor).then(|| read::<ExecutorFlags>(&["executor"])),
        "warmer" => takes(&WarmerFlags::command()).then(|| read::<WarmerFlags>(&["warmer"])),
        "push" => {
            let push = executor.find_subcommand("push")?;
            takes(push).then(|| read::<ExecutorFlags>(&["executor", "push", "image.tar"]))
        }
        other => panic!("unknown program `{other}`"),
    }
}

/// Every way to write one flag with a value.
fn ways(names: &[String], value: &str) -> Vec<Vec<String>> {
    let mut ways = Vec::new();
    for name in names {
        ways.push(vec![format!("{name}={value}")]);
        ways.push(vec![name.clone(), value.to_owned()]);
        if !name.starts_with("--") {
            ways.push(vec![format!("{name}{value}")]);
        }
    }
    ways
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// What is wrong with how the flag is read; empty for nothing.
fn complaints(read: &Read, names: &[String], kind: &str, value: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let name = &names[0];
    let mut same = |first: &[String], second: &[String]| {
        let (left, right) = (read(first), read(second));
        if left.is_err() || left != right {
            complaints.push(format!(
                "{first:?} and {second:?} are not the same:\n{left:?}\n{right:?}"
            ));
        }
    };
    match kind {
        "bool" => {
            for name in names {
                for value in TRUE {
                    same(&words(&[name]), &[format!("{name}={value}")]);
                }
                for value in FALSE {
                    same(
                        &[format!("{name}=false")],
                        &words(&[name, &format!("{name}={value}")]),
                    );
                }
            }
            for wrong in [
                vec![format!("{name}=yes")],
                vec![format!("{name}=")],
                words(&[name, "true"]),
            ] {
                if read(&wrong).is_ok() {
                    complaints.push(format!("{wrong:?} is no error"));
                }
            }
        }
        "many" | "list" => {
            let twice = [format!("{name}=other"), format!("{name}={value}")];
            for way in ways(names, value) {
                same(&[format!("{name}={value}")], &way);
                let mut again = vec![format!("{name}=other")];
                again.extend(way);
                same(&twice, &again);
            }
            match kind {
                "list" => same(&twice, &[format!("{name}=other,{value}")]),
                _ if read(&twice) == read(&twice[1..]) => {
                    complaints.push(format!("{twice:?} are not two values"));
                }
                _ => {}
            }
        }
        "one" => {
            let ways = ways(names, value);
            ways.iter().for_each(|way| same(&ways[0], way));
        }
        "text" | "number" | "duration" | "choice" => {
            for value in value.split('|') {
                for way in ways(names, value) {
                    same(&[format!("{name}={value}")], &way);
                    // The last counts.
                    let first = value_of_another(kind, value);
                    let mut again = vec![format!("{name}={first}")];
                    again.extend(way);
                    same(&[format!("{name}={value}")], &again);
                }
            }
            let is_free = kind == "text";
            for wrong in ["", "no such value"] {
                let wrong = [format!("{name}={wrong}")];
                if read(&wrong).is_ok() != is_free {
                    complaints.push(format!("{wrong:?}: {:?}", read(&wrong)));
                }
            }
        }
        other => panic!("unknown kind `{other}`"),
    }
    complaints
}

/// A value that the flag takes, and another than `value` where that matters.
fn value_of_another<'a>(kind: &str, value: &'a str) -> &'a str {
    match kind {
        "number" => "7",
        "duration" => "-1s",
        "choice" => value,
        _ => "another",
    }
}

#[test]
fn every_flag_of_kanikos_is_read_in_every_spelling() {
    let mut complaints = Vec::new();
    for line in lines() {
        let [program, flag, kind, value, others @ ..] = &line[..] else {
            panic!("too few words: {line:?}");
        };
        let Some(read) = reader(program, flag) else {
            complaints.push(format!("{program} has no --{flag}"));
            continue;
        };
        let others = others.iter().map(ToString::to_string);
        let names: Vec<String> = [format!("--{flag}")].into_iter().chain(others).collect();
        let wrong = self::complaints(&*read, &names, kind, value);
        complaints.extend(wrong.into_iter().map(|text| format!("{program}: {text}")));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_list_has_as_many_flags_as_kaniko() {
    let count = |program: &str| lines().filter(|line| line[0] == program).count();
    // Four of the executor's 68 are deprecated spellings: `others` here.
    let deprecated = lines().flatten().filter(|word| {
        let camel = ["--customPlatform", "--tarPath", "--snapshotMode"];
        camel.contains(word) || *word == "--whitelist-var-run"
    });
    assert_eq!(count("executor") + deprecated.count(), 68);
    assert_eq!((count("warmer"), count("push")), (19, 17));
}
