//! What a case says of its result: the file `expected`.

use crate::escapes::text_of;
use crate::file_line::FileLine;
use crate::sections::Section;
use serde_json::Value;

/// Stands for the URL above what the case serves.
const SERVER: &str = "{server}";

/// Stands for the machine's architecture, as images name it.
const ARCHITECTURE: &str = "{arch}";

#[derive(Debug)]
pub(crate) enum Expected {
    Image(ExpectedImage),
    /// No image: the exit code, and parts of the one error.
    Error {
        exit: i32,
        parts: Vec<String>,
    },
}

/// Whatever is not said is as in the base.
#[derive(Debug)]
pub(crate) struct ExpectedImage {
    pub(crate) base: String,
    /// Files that the image has otherwise than its base.
    pub(crate) files: Vec<FileLine>,
    /// The names in each layer above the base's, in the tar's order, where the case is about layers.
    pub(crate) layers: Option<Vec<Vec<String>>>,
    /// What to change in the base's config, as RFC 7396 (JSON Merge Patch) has it.
    pub(crate) config: Value,
    /// The entries after the base's.
    pub(crate) history: Vec<ExpectedEntry>,
    /// Parts of what the build prints.
    pub(crate) says: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ExpectedEntry {
    pub(crate) has_layer: bool,
    pub(crate) comment: &'static str,
    pub(crate) created_by: String,
}

/// BuildKit's mark on what its Dockerfile frontend did (reference, 2.1).
const FRONTEND: &str = "buildkit.dockerfile.v0";

/// And on layers that no instruction made.
const EXPORTER: &str = "buildkit.exporter.image.v0";

impl Expected {
    pub(crate) fn of(text: &str, url: &str) -> Self {
        let text = text
            .replace(ARCHITECTURE, architecture())
            .replace(SERVER, url);
        let sections = Section::all_of(&text);
        match &sections[..] {
            [error] if error.name == "error" => Self::Error {
                exit: error.value.parse().expect("an exit code"),
                parts: match error.lines.len() {
                    0 => panic!("an error is known by its text"),
                    _ => error.lines.clone(),
                },
            },
            _ => Self::Image(ExpectedImage::of(&sections)),
        }
    }
}

impl ExpectedImage {
    fn of(sections: &[Section]) -> Self {
        let mut names: Vec<&str> = sections
            .iter()
            .map(|section| section.name.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(
            names.len(),
            sections.len(),
            "each section comes once: {names:?}"
        );
        assert!(
            names.contains(&"history"),
            "an image has a history, an error stands alone"
        );
        let mut image = Self {
            base: "scratch".to_owned(),
            files: Vec::new(),
            layers: None,
            config: Value::Object(serde_json::Map::new()),
            history: Vec::new(),
            says: Vec::new(),
        };
        for section in sections {
            match section.name.as_str() {
                "base" => image.base = section.only_value().to_owned(),
                "files" => {
                    image.files = section
                        .only_lines()
                        .iter()
                        .map(|line| FileLine::of(line))
                        .collect()
                }
                "layers" => image.layers = Some(layers_of(section.only_lines())),
                "config" => {
                    let json = section.only_lines().join("\n");
                    image.config = serde_json::from_str(&json)
                        .unwrap_or_else(|error| panic!("{error} in {json}"));
                }
                "history" => {
                    image.history = section
                        .only_lines()
                        .iter()
                        .map(|line| ExpectedEntry::of(line))
                        .collect()
                }
                "says" => image.says = section.only_lines().to_vec(),
                other => panic!("`{other}:` means nothing in an expectation"),
            }
        }
        image
    }
}

impl ExpectedEntry {
    /// `layer TEXT` or `empty TEXT`; `unsaid` for a layer that no instruction made.
    fn of(line: &str) -> Self {
        let (kind, text) = line.split_once(' ').unwrap_or((line, ""));
        let (has_layer, comment) = match kind {
            "layer" => (true, FRONTEND),
            "empty" => (false, FRONTEND),
            "unsaid" => (true, EXPORTER),
            other => panic!("`layer`, `empty` or `unsaid`, not `{other}`"),
        };
        Self {
            has_layer,
            comment,
            created_by: text_of(text),
        }
    }
}

/// A line for each layer, `NUMBER: NAME …`, the first being 1.
fn layers_of(lines: &[String]) -> Vec<Vec<String>> {
    let numbered = lines.iter().enumerate();
    let layers = numbered.map(|(index, line)| {
        let (number, names) = line.split_once(':').expect("a number and `:`");
        assert_eq!(
            number,
            (index + 1).to_string(),
            "layers are numbered from 1"
        );
        names.split_whitespace().map(text_of).collect()
    });
    layers.collect()
}

/// The name in images of what this machine is.
pub(crate) fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    }
}
