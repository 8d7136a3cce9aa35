//! From words to meaning: one instruction of the first level becomes one of the second.
//! Checks run in BuildKit's order, so that of several mistakes the same is reported.

use super::{
    AddInstruction, ArgDeclaration, CommandLine, CopyInstruction, From, Healthcheck, Instruction,
    InstructionError, NameValues, OnbuildInstruction, RunInstruction, StageName,
};
use crate::dockerfile::ast::Node;
use crate::dockerfile::flags::{FlagKind, Flags};
use crate::dockerfile::{Keyword, suggest};

/// What an instruction is to its file.
#[derive(Debug)]
pub(crate) enum Converted {
    /// FROM starts a stage.
    Stage(From),
    /// Anything else belongs to the stage above.
    Step(Instruction),
}

/// Reads the meaning of one instruction.
pub(crate) fn convert(node: &Node) -> Result<Converted, InstructionError> {
    let keyword = node.known_keyword().ok_or_else(|| unknown(&node.keyword))?;
    Ok(Converted::Step(match keyword {
        Keyword::From => return from(node).map(Converted::Stage),
        Keyword::Add => Instruction::Add(AddInstruction::of(node)?),
        Keyword::Arg => Instruction::Arg(arg(node)?),
        Keyword::Cmd => Instruction::Cmd(command_line(node)?),
        Keyword::Copy => Instruction::Copy(CopyInstruction::of(node)?),
        Keyword::Entrypoint => Instruction::Entrypoint(command_line(node)?),
        Keyword::Env => Instruction::Env(name_values(node, keyword)?),
        Keyword::Expose => Instruction::Expose(expose(node)?),
        Keyword::Healthcheck => Instruction::Healthcheck(Healthcheck::of(node)?),
        Keyword::Label => Instruction::Label(name_values(node, keyword)?),
        Keyword::Maintainer => Instruction::Maintainer(only_argument(node, keyword)?),
        Keyword::Onbuild => Instruction::Onbuild(OnbuildInstruction::of(node)?),
        Keyword::Run => Instruction::Run(RunInstruction::of(node)?),
        Keyword::Shell => Instruction::Shell(shell(node)?),
        Keyword::Stopsignal => Instruction::Stopsignal(stopsignal(node)?),
        Keyword::User => Instruction::User(only_argument(node, keyword)?),
        Keyword::Volume => Instruction::Volume(volume(node)?),
        Keyword::Workdir => Instruction::Workdir(only_argument(node, keyword)?),
    }))
}

fn unknown(name: &str) -> InstructionError {
    let known = Keyword::ALL.map(Keyword::as_str);
    InstructionError::Unknown {
        name: name.chars().take(80).collect(),
        suggestion: suggest::nearest_any_case(name, &known),
    }
}

fn from(node: &Node) -> Result<From, InstructionError> {
    let (base, name) = match node.args.as_slice() {
        [base] => (base, None),
        [base, as_word, name] if as_word.eq_ignore_ascii_case("as") => {
            (base, Some(stage_name(as_word, name)?))
        }
        _ => return Err(InstructionError::FromArguments),
    };
    let flags = Flags::read(&node.flags, &[("platform", FlagKind::Value)])?;
    Ok(From {
        base: base.clone(),
        name,
        platform: flags.value("platform"),
    })
}

fn stage_name(as_word: &str, written: &str) -> Result<StageName, InstructionError> {
    let name = written.to_lowercase();
    let is_part = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
    };
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) || !name.bytes().all(is_part) {
        return Err(InstructionError::StageName(written.to_owned()));
    }
    Ok(StageName {
        name,
        written: written.to_owned(),
        as_word: as_word.to_owned(),
    })
}

/// Checks that an instruction that has no flags is given none.
fn no_flags(node: &Node) -> Result<(), InstructionError> {
    Flags::read(&node.flags, &[])?;
    Ok(())
}

fn only_argument(node: &Node, keyword: Keyword) -> Result<String, InstructionError> {
    let [argument] = node.args.as_slice() else {
        return Err(InstructionError::ExactlyOne(keyword));
    };
    no_flags(node)?;
    Ok(argument.clone())
}

/// BuildKit never looks at the flags of STOPSIGNAL, so none of them is an error.
fn stopsignal(node: &Node) -> Result<String, InstructionError> {
    match node.args.as_slice() {
        [signal] => Ok(signal.clone()),
        _ => Err(InstructionError::ExactlyOne(Keyword::Stopsignal)),
    }
}

/// Nor does it look at those of ARG.
fn arg(node: &Node) -> Result<Vec<ArgDeclaration>, InstructionError> {
    if node.args.is_empty() {
        return Err(InstructionError::AtLeastOne(Keyword::Arg));
    }
    let declaration = |word: &String| {
        let (name, default) = match word.split_once('=') {
            Some(("", _)) => return Err(InstructionError::BlankName(Keyword::Arg)),
            Some((name, default)) => (name, Some(default.to_owned())),
            None => (word.as_str(), None),
        };
        Ok(ArgDeclaration {
            name: name.to_owned(),
            default,
        })
    };
    node.args.iter().map(declaration).collect()
}

fn name_values(node: &Node, keyword: Keyword) -> Result<NameValues, InstructionError> {
    no_flags(node)?;
    if node.args.is_empty() {
        return Err(InstructionError::AtLeastOne(keyword));
    }
    let mut pairs = Vec::with_capacity(node.args.len() / 2);
    for pair in node.args.chunks_exact(2) {
        if pair[0].is_empty() {
            return Err(InstructionError::BlankName(keyword));
        }
        pairs.push((pair[0].clone(), pair[1].clone()));
    }
    Ok(NameValues {
        pairs,
        legacy: node.legacy,
    })
}

fn expose(node: &Node) -> Result<Vec<String>, InstructionError> {
    if node.args.is_empty() {
        return Err(InstructionError::AtLeastOne(Keyword::Expose));
    }
    no_flags(node)?;
    let mut ports = node.args.clone();
    ports.sort();
    Ok(ports)
}

fn volume(node: &Node) -> Result<Vec<String>, InstructionError> {
    if node.args.is_empty() {
        return Err(InstructionError::AtLeastOne(Keyword::Volume));
    }
    no_flags(node)?;
    let volumes: Vec<String> = node.args.iter().map(|arg| arg.trim().to_owned()).collect();
    if volumes.iter().any(String::is_empty) {
        return Err(InstructionError::EmptyVolume);
    }
    Ok(volumes)
}

fn shell(node: &Node) -> Result<Vec<String>, InstructionError> {
    no_flags(node)?;
    if node.args.is_empty() {
        return Err(InstructionError::AtLeastOne(Keyword::Shell));
    }
    if !node.json {
        return Err(InstructionError::ShellNotJson);
    }
    Ok(node.args.clone())
}

fn command_line(node: &Node) -> Result<CommandLine, InstructionError> {
    no_flags(node)?;
    Ok(CommandLine::of(&node.args, node.json))
}

impl CommandLine {
    /// Reads the arguments of RUN and its like: a JSON array, or one text or none.
    pub(super) fn of(args: &[String], json: bool) -> Self {
        if json {
            Self::Exec(args.to_vec())
        } else {
            Self::Shell(args.join(" "))
        }
    }
}
