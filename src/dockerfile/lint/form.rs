//! How instructions are written: blank lines in them, old ones, comments on them.

use super::findings::Findings;
use super::{Rule, config, sources};
use crate::dockerfile::{Dockerfile, Instruction, Source, Span};

/// `text` is the file's, for the lines above instructions.
pub(super) fn check(text: &str, file: &Dockerfile, findings: &mut Findings<'_>) {
    for source in sources(file) {
        check_blank_lines(source, findings);
    }
    for statement in file.stages.iter().flat_map(|stage| &stage.statements) {
        if let Instruction::Maintainer(_) = &statement.instruction {
            let message = "MAINTAINER is deprecated in favour of a label";
            findings.add(Rule::MaintainerDeprecated, &statement.source, message);
        }
    }
    check_descriptions(text, file, findings);
}

/// One warning for an instruction, at its blank lines.
fn check_blank_lines(source: &Source, findings: &mut Findings<'_>) {
    if source.empty_continuations.is_empty() {
        return;
    }
    let lines = source.empty_continuations.iter();
    let spans = lines.map(|&line| Span::line(line)).collect();
    let message = format!("{} goes on behind a blank line", source.keyword);
    findings.add_at(Rule::NoEmptyContinuation, source, spans, message);
}

/// A comment right above a FROM with a name, or above an ARG, is taken as its description.
fn check_descriptions(text: &str, file: &Dockerfile, findings: &mut Findings<'_>) {
    let lines: Vec<&str> = text.lines().collect();
    let mut check = |keyword: &str, names: &[&str], source: &Source| {
        let above = source
            .span
            .start
            .checked_sub(2)
            .and_then(|at| lines.get(at));
        let is_adjacent = above.is_some_and(|line| line.trim_start().starts_with('#'));
        let comment = source.comments.last().filter(|_| is_adjacent);
        let comment = comment.filter(|comment| config::of_comment(comment).is_none());
        let first = comment.map(|comment| comment.split(' ').next().unwrap_or_default());
        if let Some(first) = first
            && !names.contains(&first)
        {
            let name = match names {
                [name, others @ ..] if others.iter().all(|it| it.eq_ignore_ascii_case(name)) => {
                    name
                }
                _several => "<name>",
            };
            let message = format!(
                "the comment above {keyword} should be `# {name} DESCRIPTION`, or be set off by a blank line"
            );
            findings.add(Rule::InvalidDefinitionDescription, source, message);
        }
    };
    for arg in &file.meta_args {
        let names: Vec<&str> = arg.args.iter().map(|arg| arg.name.as_str()).collect();
        check("ARG", &names, &arg.source);
    }
    for stage in &file.stages {
        if let Some(name) = &stage.from.name {
            check("FROM", &[&name.name, &name.written], &stage.source);
        }
        for statement in &stage.statements {
            if let Instruction::Arg(args) = &statement.instruction {
                let names: Vec<&str> = args.iter().map(|arg| arg.name.as_str()).collect();
                check("ARG", &names, &statement.source);
            }
        }
    }
}
