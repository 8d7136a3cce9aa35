//! What is understood but not executed: refused by name, so that nobody is told "ok" about something
//! that was ignored.

use crate::dockerfile::{Instruction, RunInstruction, SecurityMode};

/// Returns what an instruction asks for that is not executed, as a sentence; `None` where all of it is.
///
/// Asked when the build is planned, before anything runs, and again when the words are expanded.
pub(super) fn refusal(instruction: &Instruction) -> Option<String> {
    match instruction {
        Instruction::Run(run) => refusal_of_run(run),
        Instruction::Add(_)
        | Instruction::Arg(_)
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
