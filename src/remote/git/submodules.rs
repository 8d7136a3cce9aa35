//! `.gitmodules`: where the repositories are that a commit names. Only path, URL and `update = none` are heeded; all else
//! that such a file could say is git's configuration, and not the repository's to choose.

use std::io;

use url::Url;

use super::object::{EntryKind, ObjectId, ObjectKind, TreeEntry, tree_entries};
use super::pack::Pack;
use super::url::{GitSource, RepositoryUrl, ServerPath};

/// Name of the file, in the root of a repository.
const FILE: &[u8] = b".gitmodules";

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The submodules of a commit.
#[derive(Debug, Default)]
pub(super) struct Modules(Vec<Module>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Module {
    path: String,
    url: String,
    is_left_out: bool,
}

/// Reads the file of a commit. Empty where there is none, or where it is no file.
pub(super) fn read(pack: &Pack, tree: ObjectId) -> io::Result<Modules> {
    let bytes = pack.get(&tree, ObjectKind::Tree)?;
    let is_it =
        |entry: &TreeEntry<'_>| entry.name == FILE && matches!(entry.kind, EntryKind::File { .. });
    let found = tree_entries(&bytes).find(|entry| entry.as_ref().map_or(true, is_it));
    match found.transpose()? {
        Some(entry) => {
            let text = pack.get_within(&entry.id, ObjectKind::Blob, FILE_BYTES_MAX)?;
            Ok(Modules::parse(&String::from_utf8_lossy(&text)))
        }
        None => Ok(Modules::default()),
    }
}

impl Modules {
    /// Returns where the submodule at `path` is; `None` for one that is not to be fetched.
    pub(super) fn url_of(&self, path: &str) -> Result<Option<&str>, String> {
        let found = self.0.iter().rfind(|module| module.path == path);
        match found {
            Some(module) if module.is_left_out => Ok(None),
            Some(module) if !module.url.is_empty() => Ok(Some(&module.url)),
            Some(_) | None => Err("`.gitmodules` has no URL for it".to_owned()),
        }
    }

    /// git documentation, "git-config", "Syntax", as far as it concerns submodules.
    fn parse(text: &str) -> Self {
        let mut modules: Vec<Module> = Vec::new();
        let mut is_module = false;
        for line in text.lines() {
            let line = line.trim();
            if let Some(header) = line.strip_prefix('[') {
                let name = header.trim_start().get(.."submodule".len());
                is_module = name.is_some_and(|name| name.eq_ignore_ascii_case("submodule"));
                if is_module {
                    modules.push(Module::default());
                }
                continue;
            }
            let (Some(module), Some((key, value))) = (modules.last_mut(), line.split_once('='))
            else {
                continue;
            };
            if !is_module || line.starts_with(['#', ';']) {
                continue;
            }
            let value = unquoted(value.trim());
            match key.trim().to_ascii_lowercase().as_str() {
                "path" => module.path = value.trim_end_matches('/').to_owned(),
                "url" => module.url = value,
                "update" => module.is_left_out = value == "none",
                _ => {}
            }
        }
        Self(modules)
    }
}

/// Takes quotes, escapes and a comment away.
fn unquoted(text: &str) -> String {
    let mut value = String::new();
    let mut is_quoted = false;
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => is_quoted = !is_quoted,
            '\\' => value.extend(chars.next()),
            '#' | ';' if !is_quoted => break,
            other => value.push(other),
        }
    }
    value.trim_end().to_owned()
}

/// Returns where a submodule is, of a repository that is at `parent`. A URL that begins with `./` or `../` goes on from
/// the parent's. Nothing on this machine is one: paths, `file:` and the programs behind `ext::` are refused.
pub(super) fn resolve(parent: &RepositoryUrl, url: &str) -> Result<RepositoryUrl, String> {
    if url.contains(char::is_control) {
        return Err("its URL has control characters".to_owned());
    }
    if url.starts_with("./") || url.starts_with("../") {
        return relative(parent, url);
    }
    // A web server has repositories under names without `.git` too.
    if url.starts_with("http://") || url.starts_with("https://") {
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        return Ok(RepositoryUrl::Http(url));
    }
    let source = GitSource::parse(url).map_err(|error| error.to_string())?;
    let source = source.ok_or_else(|| "its URL is none that is fetched from".to_owned())?;
    Ok(source.repository)
}

fn relative(parent: &RepositoryUrl, url: &str) -> Result<RepositoryUrl, String> {
    let joined = |base: &str| join(base, url).ok_or_else(|| "its URL leads too far up".to_owned());
    let on_server = |server: &ServerPath| {
        Ok::<_, String>(ServerPath {
            path: joined(&server.path)?,
            ..server.clone()
        })
    };
    Ok(match parent {
        RepositoryUrl::Http(base) => {
            let mut url = base.clone();
            url.set_path(&joined(base.path())?);
            RepositoryUrl::Http(url)
        }
        RepositoryUrl::Git(server) => RepositoryUrl::Git(on_server(server)?),
        RepositoryUrl::Ssh(server) => RepositoryUrl::Ssh(on_server(server)?),
    })
}

/// Each `../` takes an element of the path away. The server stays the same.
fn join(base: &str, url: &str) -> Option<String> {
    let is_absolute = base.starts_with('/');
    let mut names: Vec<&str> = base.split('/').filter(|name| !name.is_empty()).collect();
    for name in url.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop()?;
            }
            name => names.push(name),
        }
    }
    let joined = names.join("/");
    match is_absolute {
        true => Some(format!("/{joined}")),
        false if joined.is_empty() || joined.starts_with('-') => None,
        false => Some(joined),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_urls_are_read_and_nothing_else() {
        let text = "[core]\n\tfsmonitor = rm\n[submodule \"a\"]\n\tpath = libs/a/\n\turl = \"../a.git\" # near\n\
            \tupdate = !rm -rf /\n[SubModule \"b\"]\npath=b\nurl=https://h/b?x\\;y\n[submodule \"c\"]\npath=c\nupdate=none\n";
        let modules = Modules::parse(text);
        assert_eq!(modules.url_of("libs/a"), Ok(Some("../a.git")));
        assert_eq!(modules.url_of("b"), Ok(Some("https://h/b?x;y")));
        assert_eq!(modules.url_of("c"), Ok(None));
        assert!(modules.url_of("d").is_err());
    }

    #[test]
    fn a_relative_url_stays_on_its_server() {
        let parent = |text: &str| GitSource::parse(text).unwrap().unwrap().repository;
        let shown = |base: &str, url: &str| {
            let resolved = resolve(&parent(base), url);
            resolved.map_or_else(|error| error, |url| url.to_string())
        };
        assert_eq!(
            shown("https://h/g/r.git", "../lib.git"),
            "https://h/g/lib.git"
        );
        assert_eq!(shown("https://u:p@h/g/r.git", "./x"), "https://h/g/r.git/x");
        assert_eq!(shown("git://h:99/r", "../s"), "git://h:99/s");
        assert_eq!(shown("git@h:g/r.git", "../lib"), "ssh://git@h/g/lib");
        assert_eq!(
            shown("https://h/r.git", "../../../x"),
            "its URL leads too far up"
        );
        assert_eq!(
            shown("https://h/r.git", "https://other/x"),
            "https://other/x"
        );
    }

    #[test]
    fn what_is_on_this_machine_is_no_submodule() {
        let parent = RepositoryUrl::Http(Url::parse("https://h/r.git").unwrap());
        for url in [
            "/etc",
            "file:///etc",
            "ext::sh -c id",
            "-oProxyCommand=id",
            "ssh://-oProxyCommand=id/x",
            "git@-oProxyCommand=id:x",
            "../x\u{1b}]0;y",
            "",
        ] {
            assert!(resolve(&parent, url).is_err(), "{url}");
        }
    }
}
