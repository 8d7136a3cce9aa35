//! How a case must end in a mode.

use crate::support::executor::Build;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It pushes an image.
    Image,
    /// It pushes nothing, ends with one error, and that has all of these parts.
    Error {
        /// `None` where any code but 0 will do.
        exit: Option<i32>,
        parts: Vec<String>,
    },
}

impl Outcome {
    /// Reads `exit=CODE` and the error's parts, a line each; `#` begins a comment.
    pub(crate) fn error_of(text: &str) -> Self {
        let mut exit = None;
        let mut parts = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            match line.strip_prefix("exit=") {
                Some(code) => exit = Some(code.parse().expect("an exit code")),
                None if line.starts_with('#') => {}
                None => parts.push(line.to_owned()),
            }
        }
        assert!(!parts.is_empty(), "an error is known by its text: {text:?}");
        Self::Error { exit, parts }
    }

    /// Fails the test unless the build ended so, with nothing left behind.
    pub(crate) fn assert_of(&self, build: &Build) {
        match self {
            Self::Image => {
                build.assert_success();
            }
            Self::Error { exit, parts } => {
                let code = exit.unwrap_or_else(|| build.code());
                assert_ne!(code, 0, "it must fail here\n{}", build.report());
                let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
                build.assert_error(code, &parts);
            }
        }
    }
}
