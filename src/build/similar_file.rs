//! "Did you mean" for files: what lies where something was looked for and is called almost so.

use std::path::{Component, Path, PathBuf};

use crate::context::select::Chooser;
use crate::dockerfile::nearest_name;
use crate::fs::{Choice, Root};

/// Names of one directory that are compared: a hint is not worth reading a million of them.
const NAMES_MAX: usize = 10_000;

/// Returns `, did you mean ...?` with the path of something that takes part; empty where nothing is
/// near, or where it could not be looked at.
pub(super) fn similar_file(root: &Root, path: &Path, choose: &Chooser<'_>) -> String {
    let found = find(root, path, choose);
    found.map_or_else(String::new, |path| format!(", did you mean `{path}`?"))
}

/// Looks where the path leaves what is there: its other names, if any, are taken as right.
fn find(root: &Root, path: &Path, choose: &Chooser<'_>) -> Option<String> {
    let is_there = |path: &&Path| matches!(root.metadata(path), Ok(Some(_)));
    let parent = path.ancestors().skip(1).find(is_there)?;
    let mut rest = path.strip_prefix(parent).ok()?.components();
    let wrong = rest.next()?.as_os_str().to_str()?;
    let dir = root.open_dir(parent).ok()?;
    let names = dir.names().ok()?;
    let names: Vec<&str> = names.iter().filter_map(|name| name.to_str()).collect();
    let close = nearest_name(wrong, names.get(..NAMES_MAX).unwrap_or(&names))?;
    let similar: PathBuf = std::iter::once(Component::Normal(close.as_ref()))
        .chain(rest)
        .collect();
    let similar = parent.join(similar);
    let metadata = root.metadata(&similar).ok()??;
    let takes_part = choose(&similar, &metadata) == Choice::Take;
    takes_part.then(|| similar.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_is_wrong_is_found_at_any_depth() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(temp.path().join("src/inner")).unwrap();
        for name in ["requirements.txt", "src/main.rs", "src/inner/a", "secret"] {
            std::fs::write(temp.path().join(name), "").unwrap();
        }
        let root = Root::open(temp.path()).unwrap();
        let choose = |path: &Path, _: &_| match path == Path::new("secret") {
            true => Choice::Skip,
            false => Choice::Take,
        };
        let similar = |path: &str| similar_file(&root, Path::new(path), &choose);
        assert_eq!(
            similar("requirement.txt"),
            ", did you mean `requirements.txt`?"
        );
        assert_eq!(similar("scr/main.rs"), ", did you mean `src/main.rs`?");
        assert_eq!(similar("src/mian.rs"), ", did you mean `src/main.rs`?");
        assert_eq!(similar("src/iner/b"), "");
        assert_eq!(similar("secrets"), "");
        assert_eq!(similar("other"), "");
    }
}
