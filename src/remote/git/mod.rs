//! git repositories: which commit a name stands for, and the files of a commit.
//!
//! An own client instead of a library or the program `git`: docs/dependencies.md says what was looked at. Only the files
//! of one commit are wanted, from a server that is not trusted, so there is no configuration, no hook, no filter and no
//! negotiation here, and every file is made through `fs::Dir`.
//!
//! ```text
//! GitSource ──connection──▶ advertisement ──references──▶ Commit ──protocol──▶ Pack ──checkout──▶ files, submodules
//! ```

mod budget;
mod checkout;
mod connection;
mod delta;
mod error;
mod failure;
mod git_dir;
mod object;
mod pack;
mod pkt_line;
mod protocol;
mod references;
mod ssh;
mod submodules;
mod url;

use std::io;
use std::path::Path;

use self::budget::Budget;
use self::checkout::{Checkout, Gitlink};
use self::connection::Connection;
use self::error::malformed;
use self::object::{CommitObject, ObjectId, ObjectKind, tagged};
use self::pack::Pack;
use self::protocol::Advertisement;
use super::Fetcher;
use super::error::RemoteError;
use crate::fs::{Dir, PathContext, Timestamp};
use crate::http::Untrusted;

pub use error::GitError;
pub use url::{GitSource, GitUrlError, RepositoryUrl, ServerPath};

/// What we call ourselves: some servers give nothing to a client that is not called `git/…`.
const AGENT: &str = concat!("git/sawagani-", env!("CARGO_PKG_VERSION"));

/// A tag may be about a tag; nobody goes on like this for long.
const TAGS_MAX: usize = 16;

/// How deep submodules may have submodules.
const SUBMODULE_DEPTH_MAX: usize = 32;

/// A commit of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its full hash.
    id: ObjectId,
    /// What the server is asked for: the commit, or the annotated tag that is about it.
    wanted: ObjectId,
    /// The full name that it was found under. Empty where it was asked for by its hash.
    reference: String,
}

impl Commit {
    /// Returns the full hash in hexadecimal digits.
    pub fn hash(&self) -> String {
        self.id.to_string()
    }

    /// Returns all that a kept `.git` says of how the commit was found: the reference, and the object that it is.
    pub fn name(&self) -> String {
        format!("{} {}", self.reference, self.wanted)
    }
}

/// What of a repository becomes files.
struct Wanted<'a> {
    repository: &'a RepositoryUrl,
    /// What the user named: this one, or the one whose submodule it is in the end.
    named: &'a RepositoryUrl,
    commit: &'a Commit,
    subdir: &'a str,
    submodules: bool,
    has_commit_times: bool,
    keeps_git_dir: bool,
}

impl Fetcher {
    /// Finds out which commit a source stands for at present. Blocks.
    pub fn resolve(&self, source: &GitSource) -> Result<Commit, RemoteError> {
        let by_hash = match source.by_commit {
            true => ObjectId::from_hex(&source.checksum),
            false => ObjectId::from_hex(&source.reference),
        };
        let commit = match by_hash {
            Some(id) => Commit {
                id,
                wanted: id,
                reference: String::new(),
            },
            None => self.retrying(|| self.look_up(source))?,
        };
        let is_expected = |id: &ObjectId| id.to_string().starts_with(&source.checksum);
        if !is_expected(&commit.id) && !is_expected(&commit.wanted) {
            return Err(RemoteError::Git(GitError::Checksum {
                repository: source.repository.to_string(),
                reference: source.shown_reference().to_owned(),
                expected: source.checksum.clone(),
                actual: commit.hash(),
            }));
        }
        Ok(commit)
    }

    /// Fetches a commit and writes its files into `target`, which is empty; returns when it was committed, in seconds since
    /// the Unix epoch. `scratch` is a directory for a file that has no name. Blocks.
    pub fn checkout(
        &self,
        source: &GitSource,
        commit: &Commit,
        keeps_git_dir: bool,
        scratch: &Path,
        target: &Dir,
    ) -> Result<i64, RemoteError> {
        let wanted = Wanted {
            repository: &source.repository,
            named: &source.repository,
            commit,
            subdir: &source.subdir,
            submodules: source.submodules,
            has_commit_times: source.has_commit_times.unwrap_or(false),
            // A part of a repository is none (BuildKit, `source/git`).
            keeps_git_dir: keeps_git_dir && source.subdir.is_empty(),
        };
        self.check_out(&wanted, scratch, target, &mut Budget::new(), 0)
    }

    /// Asks the server what the reference stands for.
    fn look_up(&self, source: &GitSource) -> Result<Commit, RemoteError> {
        let repository = &source.repository;
        let broken = |error| self.request_broken(repository, error);
        let mut connection = Connection::open(self, repository, repository)?;
        let names = references::candidates(&source.reference);
        let advertisement = self.read_advertisement(&mut connection, repository, &names)?;
        let references = match advertisement {
            Advertisement::Older { references, .. } => references,
            Advertisement::Two { capabilities } => {
                let listed = protocol::list_references(&mut connection, &capabilities, &names);
                listed.map_err(broken)?
            }
        };
        if references.is_empty() && source.reference.is_empty() {
            return Err(RemoteError::Git(GitError::Empty {
                repository: repository.to_string(),
            }));
        }
        let found = references::choose(&references, &source.reference);
        let found = found.ok_or_else(|| GitError::NoReference {
            repository: repository.to_string(),
            reference: source.shown_reference().to_owned(),
        })?;
        Ok(Commit {
            id: found.peeled.unwrap_or(found.id),
            wanted: found.id,
            reference: found.name.clone(),
        })
    }

    fn check_out(
        &self,
        wanted: &Wanted<'_>,
        scratch: &Path,
        target: &Dir,
        budget: &mut Budget,
        depth: usize,
    ) -> Result<i64, RemoteError> {
        let pack = self.retrying(|| self.fetch(wanted, scratch))?;
        let broken = |error| self.broken(wanted.repository, error);
        let id = commit_of(&pack, wanted.commit.wanted).map_err(broken)?;
        if id != wanted.commit.id && wanted.commit.wanted != wanted.commit.id {
            return Err(broken(malformed("another commit than the tag is about")));
        }
        let commit = pack.get(&id, ObjectKind::Commit);
        let commit = commit.and_then(|bytes| CommitObject::parse(&bytes));
        let commit = commit.map_err(broken)?;
        let times = wanted.has_commit_times.then_some(Timestamp {
            seconds: commit.time,
            nanos: 0,
        });
        let checkout = Checkout::new(&pack, wanted.repository, id, &self.stop, budget);
        let mut checkout = checkout
            .with_times(times)
            .keeping_files(wanted.keeps_git_dir);
        let tree = checkout.subtree(commit.tree, wanted.subdir)?;
        checkout.tree(tree, target, wanted.subdir)?;
        let (links, files) = checkout.finish();
        if wanted.submodules && !links.is_empty() {
            let modules = submodules::read(&pack, commit.tree).map_err(broken)?;
            for link in &links {
                self.submodule(wanted, &modules, link, scratch, budget, depth)?;
            }
        }
        if let (true, Some(times)) = (wanted.has_commit_times, times) {
            target.set_own_mtime(times)?;
        }
        if wanted.keeps_git_dir {
            let about = git_dir::About {
                repository: wanted.repository,
                commit: id,
                wanted: wanted.commit.wanted,
                reference: &wanted.commit.reference,
            };
            let written = git_dir::write(&pack, &about, &files, &links, target);
            written.map_err(broken)?;
        }
        Ok(commit.time)
    }

    /// Fetches the commit that a gitlink names from where `.gitmodules` says.
    fn submodule(
        &self,
        parent: &Wanted<'_>,
        modules: &submodules::Modules,
        link: &Gitlink,
        scratch: &Path,
        budget: &mut Budget,
        depth: usize,
    ) -> Result<(), RemoteError> {
        let failed = |problem: String| GitError::Submodule {
            repository: parent.repository.to_string(),
            path: Untrusted(&link.path).to_string(),
            problem: Untrusted(&problem).to_string(),
        };
        if depth >= SUBMODULE_DEPTH_MAX {
            return Err(failed(format!(
                "more than {SUBMODULE_DEPTH_MAX} levels of submodules"
            ))
            .into());
        }
        let Some(url) = modules.url_of(&link.path).map_err(failed)? else {
            return Ok(());
        };
        let counted = budget.submodule();
        counted.map_err(|problem| failed(problem.to_owned()))?;
        let repository = submodules::resolve(parent.repository, url).map_err(failed)?;
        let commit = Commit {
            id: link.id,
            wanted: link.id,
            reference: String::new(),
        };
        let wanted = Wanted {
            repository: &repository,
            named: parent.named,
            commit: &commit,
            subdir: "",
            submodules: true,
            has_commit_times: parent.has_commit_times,
            keeps_git_dir: false,
        };
        self.check_out(&wanted, scratch, &link.dir, budget, depth + 1)?;
        Ok(())
    }

    fn fetch(&self, wanted: &Wanted<'_>, scratch: &Path) -> Result<Pack, RemoteError> {
        let repository = wanted.repository;
        let mut connection = Connection::open(self, repository, wanted.named)?;
        let advertisement = self.read_advertisement(&mut connection, repository, &[])?;
        let fetched = protocol::fetch(&mut connection, &advertisement, wanted.commit.wanted);
        let mut bytes = fetched.map_err(|error| self.request_broken(repository, error))?;
        let mut file = tempfile::tempfile_in(scratch).on("create a file in", scratch)?;
        let broken = |error| self.broken(repository, error);
        copy(&mut bytes, &mut file, scratch).map_err(broken)?;
        Pack::read(file, &self.stop).map_err(broken)
    }

    fn read_advertisement(
        &self,
        connection: &mut Connection<'_>,
        repository: &RepositoryUrl,
        names: &[String],
    ) -> Result<Advertisement, RemoteError> {
        let read = connection
            .advertisement()
            .and_then(|mut reader| protocol::read_advertisement(&mut reader, names));
        read.map_err(|error| self.broken(repository, error))
    }
}

/// Follows annotated tags to a commit.
fn commit_of(pack: &Pack, id: ObjectId) -> io::Result<ObjectId> {
    let mut id = id;
    for _ in 0..TAGS_MAX {
        match pack.find(&id)? {
            Some((ObjectKind::Commit, _)) => return Ok(id),
            Some((ObjectKind::Tag, bytes)) => id = tagged(&bytes)?,
            Some((ObjectKind::Tree | ObjectKind::Blob, _)) => {
                return Err(malformed(format!("{id} is no commit")));
            }
            None => return Err(malformed(format!("{id} was not sent"))),
        }
    }
    Err(malformed("a tag about a tag about a tag without end"))
}

/// Copies what comes into a file of ours in `scratch`.
fn copy(from: &mut dyn io::Read, to: &mut std::fs::File, scratch: &Path) -> io::Result<()> {
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        let written = io::Write::write_all(to, &buffer[..read]);
        written
            .on("write to a file in", scratch)
            .map_err(io::Error::other)?;
    }
}
