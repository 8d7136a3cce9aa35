//! What is understood but not executed: refused by name, so that nobody is told "ok" about something
//! that was ignored.

use crate::dockerfile::{AddInstruction, Instruction, RunInstruction, SecurityMode};

/// Returns what an instruction asks for that is not executed, as a sentence; `None` where all of it is.
///
/// Asked when the build is planned, before anything runs, and again when the words are expanded.
pub(super) fn refusal(instruction: &Instruction) -> Option<String> {
    match instruction {
        Instruction::Run(run) => refusal_of_run(run),
        Instruction::Add(add) => refusal_of_add(add).map(not_yet),
        Instruction::Arg(_)
        | Instruction::Cmd(_)
        | Instruction::Copy(_)
        | Instruction::Entrypoint(_)
        | Instruction::Env(_)
        | Instruction::Expose(_)
        | Instruction::Healthcheck(_)
        | Instruction::Label(_)
        | Instruction::Maintainer(_)
        | Instruction::Onbuild(_)
        | Instruction::Shell(_)
        | Instruction::Stopsignal(_)
        | Instruction::User(_)
        | Instruction::Volume(_)
        | Instruction::Workdir(_) => None,
    }
}

fn refusal_of_run(run: &RunInstruction) -> Option<String> {
    if run.security == SecurityMode::Insecure {
        return Some("not supported: RUN --security=insecure".to_owned());
    }
    if !run.devices.is_empty() {
        return Some("not supported: RUN --device".to_owned());
    }
    None
}

fn refusal_of_add(add: &AddInstruction) -> Option<String> {
    let flags = [
        ("--checksum", add.checksum.is_some()),
        ("--keep-git-dir", add.keep_git_dir.is_some()),
    ];
    let missing = flags.iter().find(|(_, is_given)| *is_given);
    let remote = add.sources.paths.iter().find(|path| is_remote(path));
    missing
        .map(|(flag, _)| format!("ADD {flag}"))
        .or_else(|| remote.map(|path| format!("ADD of the remote file `{path}`")))
}

fn not_yet(what: String) -> String {
    format!("not yet supported: {what}")
}

/// Says whether a source is fetched from elsewhere: a URL, or a git repository.
fn is_remote(path: &str) -> bool {
    let schemes = ["http://", "https://", "git://", "ssh://", "git@"];
    schemes.iter().any(|scheme| path.starts_with(scheme))
}
