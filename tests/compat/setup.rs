//! What a case has besides its Dockerfile, and git cannot store: the file `setup`.

use crate::archive;
use crate::escapes::{bytes_of, text_of};
use crate::file_line::FileLine;
use crate::files;
use crate::sections::Section;
use crate::server::{Answer, Server};
use std::fs;
use std::path::Path;

/// Stands for the directory that holds the context and what lies beside it.
const HERE: &str = "$HERE";

/// Stands for the URL above what the case serves.
const SERVER: &str = "$SERVER";

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
    /// What can be had by HTTP, by path.
    served: Vec<(String, Answer)>,
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
                "served" => setup.served.push(served(&section)),
                other => panic!("`{other}:` means nothing in a setup"),
            }
        }
        setup
    }

    /// Flags with the place of the case, and the URL of what it serves, in them.
    pub(crate) fn flags(&self, here: &Path, url: &str) -> Vec<String> {
        let here = here.to_str().expect("an ASCII path");
        let flags = self.flags.iter();
        flags
            .map(|flag| flag.replace(HERE, here).replace(SERVER, url))
            .collect()
    }

    pub(crate) fn dockerfile(&self) -> &str {
        self.dockerfile.as_deref().unwrap_or("Dockerfile")
    }

    pub(crate) fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    pub(crate) fn serve(&self, server: &Server, case: &str) {
        for (path, answer) in &self.served {
            server.serve(case, path, answer.clone());
        }
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

/// `PATH [ENCODING] [@SECONDS]` with the lines of an archive, or one line of contents; or `PATH -> OTHER`.
fn served(section: &Section) -> (String, Answer) {
    if let Some((path, other)) = section.value.split_once(" -> ") {
        return (path.to_owned(), Answer::Redirect(other.to_owned()));
    }
    let mut words: Vec<&str> = section.value.split(' ').collect();
    let time = words.pop_if(|word| word.starts_with('@'));
    let time = time.map(|time| time[1..].parse().expect("seconds"));
    let (path, body) = match (&words[..], &section.lines[..]) {
        ([path], [content]) => (path, bytes_of(content)),
        ([path, encoding], lines) => (path, archive::stored_as(&archive::tar_of(lines), encoding)),
        _ => panic!("a path with its contents: {section:?}"),
    };
    ((*path).to_owned(), Answer::File(body, time))
}
