//! `executor lint`: what could be better in a Dockerfile, for people or as JSON.

use anyhow::{Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::build::{DockerfileText, LintReport, LocatedError, lint};
use crate::dockerfile::Span;
use crate::dockerfile::lint::Warning;

use super::executor::print_line;
use super::flags::{LintFlags, LintFormat};
use super::lint_input::{lint_options, read_input};
use super::progress::{Level, LogStyle};

/// Prints what is found. What keeps the Dockerfile from being built is an error, as it is of a build.
pub(super) fn run(flags: &LintFlags, style: LogStyle) -> Result<()> {
    let (flags_of_build, mut options) = lint_options(flags)?;
    let input = read_input(&flags_of_build, &mut options);
    let report = input.and_then(|input| lint(&input, &options));
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            if flags.format == LintFormat::Json {
                print_line(&unread(&error).to_string())?;
            }
            return Err(error);
        }
    };
    for text in &report.unknown_args {
        style.print(Level::Warning, &format!("warning: {text}"));
    }
    match flags.format {
        LintFormat::Text => print_line(&text(&report))?,
        LintFormat::Json => print_line(&json(&report).to_string())?,
    }
    match report.error {
        Some(error) => Err(anyhow!(error)),
        None => Ok(()),
    }
}

/// Each warning with its lines, and where to read more.
fn text(report: &LintReport) -> String {
    let mut lines = Vec::new();
    for warning in &report.warnings {
        let name = warning.rule.name();
        let first = warning.spans.first().map_or(1, |span| span.start);
        let file = report.text.name();
        lines.push(format!("{file}:{first}: {name}: {}", warning.message));
        lines.extend(excerpt(&report.text, &warning.spans));
        let more = warning.rule.description().to_owned();
        lines.push(match warning.rule.url() {
            Some(url) => format!("  {more}. See {url}"),
            None => format!("  {more}."),
        });
    }
    lines.push(match report.warnings.len() {
        0 => "no warnings".to_owned(),
        1 => "1 warning".to_owned(),
        count => format!("{count} warnings"),
    });
    lines.join("\n")
}

fn excerpt(text: &DockerfileText, spans: &[Span]) -> Vec<String> {
    let lines: Vec<_> = spans.iter().flat_map(|span| text.lines_of(*span)).collect();
    let width = lines
        .last()
        .map_or(1, |(number, _)| number.to_string().len());
    let lines = lines.iter();
    lines
        .map(|(number, line)| format!("  {number:width$} | {line}"))
        .collect()
}

/// The answer of BuildKit's `lint` request. Positions are whole lines, as there.
fn json(report: &LintReport) -> Value {
    let warnings: Vec<Value> = report.warnings.iter().map(warning).collect();
    let error = report.error.as_ref();
    answer(warnings, vec![source(&report.text)], error.map(build_error))
}

/// The answer about a file that could not be read or understood.
fn unread(error: &anyhow::Error) -> Value {
    match error.downcast_ref::<LocatedError>() {
        Some(located) => {
            let sources = vec![source(located.file())];
            answer(Vec::new(), sources, Some(build_error(located)))
        }
        None => {
            let error = json!({ "message": format!("{error:#}") });
            answer(Vec::new(), Vec::new(), Some(error))
        }
    }
}

fn answer(warnings: Vec<Value>, sources: Vec<Value>, error: Option<Value>) -> Value {
    let mut answer = json!({ "warnings": warnings, "sources": sources });
    if let Some(error) = error {
        answer["buildError"] = error;
    }
    answer
}

fn warning(warning: &Warning) -> Value {
    let mut value = json!({
        "ruleName": warning.rule.name(),
        "description": warning.rule.description(),
    });
    if let Some(url) = warning.rule.url() {
        value["url"] = url.into();
    }
    value["detail"] = warning.message.as_str().into();
    value["location"] = location(&warning.spans);
    value
}

fn build_error(error: &LocatedError) -> Value {
    json!({ "message": error.message(), "location": location(&[error.span()]) })
}

fn location(spans: &[Span]) -> Value {
    let position = |line| json!({ "line": line, "character": 0 });
    let range = |span: &Span| json!({ "start": position(span.start), "end": position(span.end) });
    let ranges: Vec<Value> = spans.iter().map(range).collect();
    json!({ "sourceIndex": 0, "ranges": ranges })
}

fn source(text: &DockerfileText) -> Value {
    json!({
        "filename": text.name(),
        "language": "Dockerfile",
        "data": STANDARD.encode(text.as_str()),
    })
}
