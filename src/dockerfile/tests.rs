mod grammar;
mod hostile;
mod properties;

use super::*;

const STAGES: &str = "\
ARG V=1
ARG W
FROM a AS One
FROM --platform=$P b as two
RUN x
FROM One AS one
COPY --from=0 a b
";

fn stage_error(text: &str) -> (usize, String) {
    match parse(text) {
        Err(error) => (error.span.start, error.to_string()),
        Ok(file) => panic!("{text:?} is {file:?}"),
    }
}

#[test]
fn a_file_is_args_and_stages() {
    let file = parse(STAGES).unwrap();
    assert_eq!(file.meta_args.len(), 2);
    assert_eq!(file.meta_args[0].args[0].name, "V");
    let names: Vec<_> = file.stages.iter().map(Stage::name).collect();
    assert_eq!(names, [Some("one"), Some("two"), Some("one")]);
    let two = &file.stages[1];
    assert_eq!(two.from.base, "b");
    assert_eq!(two.from.platform.as_deref(), Some("$P"));
    assert_eq!(two.from.name.as_ref().unwrap().as_word, "as");
    assert_eq!(two.statements.len(), 1);
    assert_eq!(two.source.span, Span::line(4));
    assert_eq!(file.stages[0].from.name.as_ref().unwrap().written, "One");
}

#[test]
fn a_name_means_the_last_stage_above_that_has_it() {
    let file = parse(STAGES).unwrap();
    assert_eq!(file.stage_named("ONE", 2), Some(0));
    assert_eq!(file.stage_named("one", 3), Some(2));
    assert_eq!(file.stage_named("one", 0), None);
    assert_eq!(file.stage_named("two", 1), None);
    assert_eq!(file.stage_named("three", 3), None);
}

#[test]
fn a_number_means_a_stage_above_for_copy_only() {
    let file = parse(STAGES).unwrap();
    assert_eq!(file.copy_source("1", 2), Ok(Some(1)));
    assert_eq!(file.copy_source("two", 2), Ok(Some(1)));
    assert_eq!(file.copy_source("busybox", 2), Ok(None));
    for name in ["two", "TWO"] {
        let not_yet = Err(StageError::NotYet(name.to_owned()));
        assert_eq!(file.copy_source(name, 0), not_yet);
        assert_eq!(file.mount_source(name, 1), not_yet);
    }
    assert_eq!(file.mount_source("two", 2), Ok(Some(1)));
    assert_eq!(file.mount_source("1", 2), Ok(None));
    assert_eq!(
        file.copy_source("2", 2),
        Err(StageError::NotYet("2".to_owned()))
    );
    assert_eq!(
        file.copy_source("3", 2),
        Err(StageError::Index("3".to_owned()))
    );
    assert_eq!(file.stage_named("0", 2), None);
}

#[test]
fn the_target_is_the_last_stage_or_one_by_name() {
    let file = parse(STAGES).unwrap();
    assert_eq!(file.target(None), Ok(2));
    assert_eq!(file.target(Some("TWO")), Ok(1));
    assert_eq!(file.target(Some("one")), Ok(2));
    assert_eq!(
        file.target(Some("tow")).unwrap_err().to_string(),
        "target stage `tow` could not be found (did you mean two?)"
    );
    assert!(file.target(Some("0")).is_err());
}

#[test]
fn instructions_without_a_stage_are_refused() {
    assert_eq!(
        stage_error("RUN a\nFROM b"),
        (1, "no build stage in current context".to_owned())
    );
    assert_eq!(
        stage_error("ARG a\nENV b=c\n"),
        (2, "no build stage in current context".to_owned())
    );
    assert_eq!(
        stage_error("ARG a\nARG b\n"),
        (2, "dockerfile contains no stages to build".to_owned())
    );
}

#[test]
fn a_mistake_in_the_grammar_comes_before_one_in_an_instruction() {
    assert_eq!(stage_error("FROM a\nNONSENSE\nCMD [1]\n").0, 3);
}

#[test]
fn directives_are_part_of_the_file() {
    let file = parse("# syntax=docker/dockerfile:1\n# escape=`\n# check=skip=all\nFROM a").unwrap();
    assert_eq!(file.directives.escape, '`');
    assert_eq!(file.directives.syntax.unwrap().value, "docker/dockerfile:1");
    assert_eq!(file.directives.check.unwrap().span, Span::line(3));
}

#[test]
fn mounts_without_variables_can_be_checked_without_a_build() {
    let file = parse("FROM a\nRUN --mount=type=$T true\nRUN --mount=type=x true").unwrap();
    assert_eq!(file.check_mounts().unwrap_err().span, Span::line(3));
}
