//! Paths that differ from build to build, and why: the file `volatile`.

/// Patterns, one per line, each under a comment that gives the reason. `*` stands for anything but a slash.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    patterns: Vec<String>,
}

impl Patterns {
    pub(crate) fn of(text: &str) -> Self {
        let mut has_reason = false;
        let mut patterns = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if line.starts_with('#') {
                has_reason = true;
            } else {
                assert!(has_reason, "`{line}` is volatile without a reason");
                patterns.push(line.to_owned());
            }
        }
        Self { patterns }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        self.patterns.iter().any(|pattern| matches(pattern, path))
    }
}

fn matches(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((start, rest)) => path.strip_prefix(start).is_some_and(|left| {
            let until_slash = left.find('/').unwrap_or(left.len());
            let cuts = (0..=until_slash).filter(|cut| left.is_char_boundary(*cut));
            cuts.into_iter().any(|cut| matches(rest, &left[cut..]))
        }),
    }
}
