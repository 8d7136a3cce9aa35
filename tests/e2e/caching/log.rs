//! What a build says of its steps: `[stage 2/5] CACHED RUN make` where it was answered, `[stage 2/5] RUN make` where not.

use crate::support::executor::Build;

/// The instructions that change files, and so are answered from a cache or executed.
const CHANGING: [&str; 4] = ["RUN", "COPY", "ADD", "WORKDIR"];

/// A step that a build needed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Step {
    /// The instruction in one line, with single spaces.
    pub(crate) text: String,
    pub(crate) is_hit: bool,
}

/// The steps that a build needed, in the order of its lines; stages that nothing was needed of are not among them.
pub(crate) fn steps(build: &Build) -> Vec<Step> {
    build.stderr().lines().filter_map(step).collect()
}

/// Fails the test unless the build needed steps, and the cache had all of them.
pub(crate) fn assert_all_cached(build: &Build) {
    let steps = steps(build);
    let is_cached = !steps.is_empty() && steps.iter().all(|step| step.is_hit);
    assert!(is_cached, "{}", build.report());
}

/// Fails the test if the cache had any step.
pub(crate) fn assert_none_cached(build: &Build) {
    let steps = steps(build);
    let is_executed = !steps.is_empty() && steps.iter().all(|step| !step.is_hit);
    assert!(is_executed, "{}", build.report());
}

/// The warnings of a build.
pub(crate) fn warnings(build: &Build) -> Vec<&str> {
    let lines = build.stderr().lines();
    lines.filter(|line| line.starts_with("warning: ")).collect()
}

fn step(line: &str) -> Option<Step> {
    let (name, text) = line.strip_prefix('[')?.split_once("] ")?;
    let (_, position) = name.rsplit_once(' ')?;
    let is_position = position.split('/').all(|part| part.parse::<u32>().is_ok());
    let (is_hit, text) = match text.strip_prefix("CACHED ") {
        Some(text) => (true, text),
        None => (false, text),
    };
    let word = text.split(' ').next()?.to_uppercase();
    let is_step = is_position && CHANGING.contains(&word.as_str());
    is_step.then(|| Step {
        text: spaced(text),
        is_hit,
    })
}

/// The text with single spaces.
pub(crate) fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
