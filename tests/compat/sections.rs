//! The form that `setup` and `expected` share: headings at the line's start, and indented lines below them.

/// `NAME: VALUE`, and what is indented below it.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: String,
    /// What stands on the heading's own line; empty where nothing does.
    pub(crate) value: String,
    /// Without the indentation of two spaces.
    pub(crate) lines: Vec<String>,
}

impl Section {
    /// Reads all of a file. `#` at a line's start begins a comment; whatever else is no heading and not indented, fails.
    pub(crate) fn all_of(text: &str) -> Vec<Self> {
        let mut sections: Vec<Self> = Vec::new();
        for line in text.lines() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(indented) = line.strip_prefix("  ") {
                let section = sections
                    .last_mut()
                    .expect("a heading before the first line");
                section.lines.push(indented.to_owned());
                continue;
            }
            let (name, value) = line
                .split_once(':')
                .unwrap_or_else(|| panic!("no heading: `{line}`"));
            sections.push(Self {
                name: name.to_owned(),
                value: value.trim().to_owned(),
                lines: Vec::new(),
            });
        }
        sections
    }

    /// The heading's value, of a section that has nothing else.
    pub(crate) fn only_value(&self) -> &str {
        assert!(
            self.lines.is_empty() && !self.value.is_empty(),
            "`{}:` takes a value and no lines",
            self.name
        );
        &self.value
    }

    /// The lines, of a section that has nothing else, and at least one.
    pub(crate) fn only_lines(&self) -> &[String] {
        assert!(
            self.value.is_empty() && !self.lines.is_empty(),
            "`{}:` takes lines and no value",
            self.name
        );
        &self.lines
    }
}
