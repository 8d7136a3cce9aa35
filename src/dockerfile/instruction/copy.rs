//! COPY and ADD: what to put where.

use std::collections::BTreeMap;

use super::InstructionError;
use crate::dockerfile::ast::Node;
use crate::dockerfile::flags::{FlagKind, FlagSpec, Flags};
use crate::dockerfile::{Heredoc, Keyword};

/// What COPY says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyInstruction {
    /// What to copy, and where to.
    pub sources: Sources,
    /// `--from`: a stage by name or index, a named context or an image. Never expanded;
    /// holds no `$`.
    pub from: Option<String>,
    /// `--chown`, unexpanded.
    pub chown: Option<String>,
    /// `--chmod`, unexpanded.
    pub chmod: Option<String>,
    /// `--link`
    pub link: bool,
    /// `--parents`
    pub parents: bool,
    /// `--exclude`: patterns in order; never expanded.
    pub exclude: Vec<String>,
}

/// What ADD says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddInstruction {
    /// What to add, and where to. Sources may be URLs.
    pub sources: Sources,
    /// `--chown`, unexpanded.
    pub chown: Option<String>,
    /// `--chmod`, unexpanded.
    pub chmod: Option<String>,
    /// `--link`
    pub link: bool,
    /// `--checksum`, unexpanded.
    pub checksum: Option<String>,
    /// `--keep-git-dir`; `None` leaves it to the URL.
    pub keep_git_dir: Option<bool>,
    /// `--unpack`; `None` means local archives only.
    pub unpack: Option<bool>,
    /// `--exclude`: patterns in order; never expanded.
    pub exclude: Vec<String>,
}

/// What is copied, and where to. Both lists may be empty, but not both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// Paths or URLs, in order, unexpanded.
    pub paths: Vec<String>,
    /// Files whose content is in the Dockerfile, in order; each name once.
    pub files: Vec<InlineFile>,
    /// The last argument, unexpanded.
    pub destination: String,
}

/// A file whose content is in the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineFile {
    /// Its name, which is the name of the here document.
    pub name: String,
    /// Its content, unexpanded; leading tabs are stripped if it was written `<<-`.
    pub content: String,
    /// Variables in the content are expanded.
    pub expand: bool,
}

const COPY_FLAGS: &[FlagSpec] = &[
    ("chmod", FlagKind::Value),
    ("chown", FlagKind::Value),
    ("exclude", FlagKind::Values),
    ("from", FlagKind::Value),
    ("link", FlagKind::Bool),
    ("parents", FlagKind::Bool),
];

const ADD_FLAGS: &[FlagSpec] = &[
    ("checksum", FlagKind::Value),
    ("chmod", FlagKind::Value),
    ("chown", FlagKind::Value),
    ("exclude", FlagKind::Values),
    ("keep-git-dir", FlagKind::Bool),
    ("link", FlagKind::Bool),
    ("unpack", FlagKind::Bool),
];

impl CopyInstruction {
    pub(super) fn of(node: &Node) -> Result<Self, InstructionError> {
        let (flags, sources) = read(node, Keyword::Copy, COPY_FLAGS)?;
        let from = flags.value("from");
        if from.as_ref().is_some_and(|from| from.contains('$')) {
            return Err(InstructionError::VariableFrom);
        }
        Ok(Self {
            sources,
            from,
            chown: flags.value("chown"),
            chmod: flags.value("chmod"),
            link: flags.boolean("link") == Some(true),
            parents: flags.boolean("parents") == Some(true),
            exclude: flags.values("exclude"),
        })
    }
}

impl AddInstruction {
    pub(super) fn of(node: &Node) -> Result<Self, InstructionError> {
        let (flags, sources) = read(node, Keyword::Add, ADD_FLAGS)?;
        Ok(Self {
            sources,
            chown: flags.value("chown"),
            chmod: flags.value("chmod"),
            link: flags.boolean("link") == Some(true),
            checksum: flags.value("checksum"),
            keep_git_dir: flags.boolean("keep-git-dir"),
            unpack: flags.boolean("unpack"),
            exclude: flags.values("exclude"),
        })
    }
}

fn read(
    node: &Node,
    keyword: Keyword,
    specs: &[FlagSpec],
) -> Result<(Flags, Sources), InstructionError> {
    let [paths @ .., destination] = node.args.as_slice() else {
        return Err(InstructionError::DestinationMissing(keyword));
    };
    if paths.is_empty() {
        return Err(InstructionError::DestinationMissing(keyword));
    }
    let flags = Flags::read(&node.flags, specs)?;
    if heredoc(destination).is_some() {
        return Err(InstructionError::HeredocDestination(keyword));
    }
    let mut plain = Vec::new();
    let mut inline = InlineWords::default();
    for path in paths {
        match heredoc(path) {
            Some(word) => inline.add(word),
            None => plain.push(path.clone()),
        }
    }
    let sources = Sources {
        paths: plain,
        files: inline.files(&node.heredocs),
        destination: destination.clone(),
    };
    Ok((flags, sources))
}

/// The words of here documents among the sources, each name once: a name written twice
/// is one file with one content, and to copy it for each could ask for any memory.
#[derive(Default)]
struct InlineWords {
    words: Vec<Heredoc>,
    places: BTreeMap<String, usize>,
}

impl InlineWords {
    fn add(&mut self, word: Heredoc) {
        match self.places.get(&word.name) {
            Some(&place) => self.words[place] = word,
            None => {
                self.places.insert(word.name.clone(), self.words.len());
                self.words.push(word);
            }
        }
    }

    fn files(self, documents: &[Heredoc]) -> Vec<InlineFile> {
        // Of several documents with one name the last counts, as in BuildKit.
        let documents = documents
            .iter()
            .map(|document| (document.name.as_str(), document));
        let documents: BTreeMap<&str, &Heredoc> = documents.collect();
        let words = self.words.into_iter();
        words.map(|word| inline_file(word, &documents)).collect()
    }
}

/// A word that cannot be read as a here document is a path.
fn heredoc(word: &str) -> Option<Heredoc> {
    Heredoc::of_word(word).ok().flatten()
}

/// In the JSON form, which has no documents, the file is empty: as BuildKit has it.
fn inline_file(word: Heredoc, documents: &BTreeMap<&str, &Heredoc>) -> InlineFile {
    let document = documents.get(word.name.as_str());
    let content = document.map_or_else(String::new, |document| {
        if word.chomp {
            document.without_tabs()
        } else {
            document.content.clone()
        }
    });
    InlineFile {
        name: word.name,
        content,
        expand: word.expand,
    }
}
