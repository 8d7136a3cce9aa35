//! What a case has besides its Dockerfile, and git cannot store: the file `setup`.

use crate::archive;
use crate::escapes::text_of;
use crate::file_line::FileLine;
use crate::files;
use crate::sections::Section;
use std::fs;
use std::path::Path;

/// Stands for the directory that holds the context and what lies beside it.
const HERE: &str = "$HERE";

/// How a case is built, beyond its Dockerfile.
#[derive(Debug, Default)]
pub(crate) struct Setup {
    flags: Vec<String>,
    /// Where the Dockerfile is, relative to the directory that holds the context. `None` for the case's own.
    dockerfile: Option<String>,
    variables: Vec<(String, String)>,
    context: Vec<FileLine>,
    archives: Vec<Archive>,
    /// Name and files of each directory beside the context.
    beside: Vec<(String, Vec<FileLine>)>,
}

#[derive(Debug)]
struct Archive {
    path: String,
    encoding: String,
    lines: Vec<String>,
}

impl Setup {
    pub(crate) fn of(text: &str) -> Self {
        let mut setup = Self::default();
        for section in Section::all_of(text) {
            let as_files = || {
                section
                    .lines
                    .iter()
                    .map(|line| FileLine::of(line))
                    .collect()
            };
            match section.name.as_str() {
                "flag" => setup.flags.push(text_of(section.only_value())),
                "dockerfile" => setup.dockerfile = Some(section.only_value().to_owned()),
                "variable" => {
                    let (name, value) = section.only_value().split_once('=').expect("NAME=VALUE");
                    setup.variables.push((name.to_owned(), text_of(value)));
                }
                "context" => setup
                    .context
                    .extend(section.only_lines().iter().map(|line| FileLine::of(line))),
                "archive" => {
                    let (path, encoding) = section
                        .value
                        .split_once(' ')
                        .expect("a path and an encoding");
                    setup.archives.push(Archive {
                        path: path.to_owned(),
                        encoding: encoding.to_owned(),
                        lines: section.lines,
                    });
                }
                "beside" => setup.beside.push((section.value.clone(), as_files())),
                other => panic!("`{other}:` means nothing in a setup"),
            }
        }
        setup
    }

    /// Flags with the place of the case in them.
    pub(crate) fn flags(&self, here: &Path) -> Vec<String> {
        let here = here.to_str().expect("an ASCII path");
        let flags = self.flags.iter();
        flags.map(|flag| flag.replace(HERE, here)).collect()
    }

    pub(crate) fn dockerfile(&self) -> &str {
        self.dockerfile.as_deref().unwrap_or("Dockerfile")
    }

    pub(crate) fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// Makes the context, over what `committed` has of it, and the directories beside it.
    pub(crate) fn make(&self, here: &Path, committed: &Path) {
        let context = here.join("context");
        fs::create_dir(&context).expect("make the context");
        if committed.exists() {
            files::copy(committed, &context);
        }
        files::make(&context, &self.context);
        for made in &self.archives {
            let tar = archive::tar_of(&made.lines);
            let stored = archive::stored_as(&tar, &made.encoding);
            fs::write(context.join(&made.path), stored).expect("write an archive");
        }
        files::set_times(&context, &self.context);
        for (name, lines) in &self.beside {
            let dir = here.join(name);
            fs::create_dir(&dir).expect("make a directory beside the context");
            files::make(&dir, lines);
            files::set_times(&dir, lines);
        }
    }
}
