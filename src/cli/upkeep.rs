//! `executor cache`: looking after a cache directory, with tables on standard output.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;

use crate::cache::LocalCache;
use crate::cache::local_cache::{DiskUse, Listed, ListedKind, PruneRules};

use super::cache_options::{DEFAULT_DIR, oldest};
use super::environment::{self, absolute};
use super::executor::print_line;
use super::flags::{DirFlag, PruneFlags, UpkeepCommand, VerifyFlags};
use super::progress::show_bytes;

/// Digits of a name in a list: enough to tell names apart.
const NAME_DIGITS: usize = 12;

pub(super) fn run(command: &UpkeepCommand) -> Result<()> {
    // An ordinary user's builds leave files of users that are only theirs in a namespace.
    crate::sandbox::become_owner();
    match command {
        UpkeepCommand::Ls(flag) => list(&open(flag)?),
        UpkeepCommand::Du(flag) => disk_use(&open(flag)?),
        UpkeepCommand::Prune(flags) => prune(&open(&flags.dir)?, flags),
        UpkeepCommand::Verify(flags) => verify(&open(&flags.dir)?, flags),
    }
}

/// Opens a directory that is there: nobody wants one made to look after it.
fn open(flag: &DirFlag) -> Result<LocalCache> {
    let given = &flag.cache_dir;
    let dir = match given.as_os_str().is_empty() {
        true => PathBuf::from(DEFAULT_DIR),
        false => absolute(given, &environment::current_dir()?),
    };
    if !dir.is_dir() {
        bail!("there is no cache directory `{}`", dir.display());
    }
    let failed = || format!("cannot use the cache directory `{}`", dir.display());
    LocalCache::open(&dir, Timestamp::MIN).with_context(failed)
}

fn list(cache: &LocalCache) -> Result<()> {
    let listed = cache.list().with_context(|| cannot("list", cache))?;
    print_line(&table(&listed))
}

fn disk_use(cache: &LocalCache) -> Result<()> {
    let used = cache.disk_use().with_context(|| cannot("measure", cache))?;
    let DiskUse {
        layers,
        images,
        mounts,
        trees,
        unused,
    } = used;
    let rows = [
        ["images".to_owned(), show_bytes(images)],
        ["layers".to_owned(), show_bytes(layers)],
        ["cache mounts".to_owned(), show_bytes(mounts)],
        ["unpacked".to_owned(), show_bytes(trees)],
        ["unused".to_owned(), show_bytes(unused)],
        [
            "total".to_owned(),
            show_bytes(layers + images + mounts + trees + unused),
        ],
    ];
    print_line(&aligned(&rows))
}

fn prune(cache: &LocalCache, flags: &PruneFlags) -> Result<()> {
    let rules = PruneRules {
        unused_since: flags.older_than.map(oldest),
        keep_size: flags.keep_size,
    };
    let pruned = cache
        .prune(&rules)
        .with_context(|| cannot("prune", cache))?;
    if !pruned.removed.is_empty() {
        print_line(&table(&pruned.removed))?;
    }
    let (removed, freed) = (pruned.removed.len(), show_bytes(pruned.freed));
    let in_use = match pruned.in_use {
        0 => String::new(),
        count => format!("; {count} that nothing leads to are in use and stay"),
    };
    print_line(&format!("removed {removed} entries, freed {freed}{in_use}"))
}

fn verify(cache: &LocalCache, flags: &VerifyFlags) -> Result<()> {
    let problems = cache
        .verify(flags.repair)
        .with_context(|| cannot("verify", cache))?;
    if problems.is_empty() {
        return print_line("everything is as it should be");
    }
    for problem in &problems {
        print_line(&format!("{}: {}", problem.path.display(), problem.what))?;
    }
    let (count, dir) = (problems.len(), cache.dir().display());
    let repaired = if flags.repair { ", and removed" } else { "" };
    bail!("{count} files of the cache directory `{dir}` are damaged{repaired}")
}

fn cannot(verb: &str, cache: &LocalCache) -> String {
    format!(
        "cannot {verb} the cache directory `{}`",
        cache.dir().display()
    )
}

fn table(listed: &[Listed]) -> String {
    let head = ["KIND", "NAME", "SIZE", "STORED", "LAST USED"].map(str::to_owned);
    let rows = listed.iter().map(|entry| {
        [
            kind(entry.kind).to_owned(),
            entry.name.chars().take(NAME_DIGITS).collect(),
            show_bytes(entry.size),
            time(entry.stored),
            time(entry.used),
        ]
    });
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(rows).collect();
    aligned(&rows)
}

fn kind(kind: ListedKind) -> &'static str {
    match kind {
        ListedKind::Layer => "layer",
        ListedKind::Image => "image",
        ListedKind::Step => "step",
        ListedKind::Mount => "mount",
        ListedKind::Tree => "unpacked",
    }
}

/// Returns a time to the minute, in UTC.
fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M").to_string()
}

/// Sets rows below each other, each column as wide as its widest cell.
fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(widths);
        let cells = cells.map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_straight_columns_and_no_blanks_at_its_ends() {
        let listed = Listed {
            kind: ListedKind::Layer,
            name: "0123456789abcdef".repeat(4),
            size: 35_100_000,
            stored: "2026-01-02T03:04:05Z".parse().unwrap(),
            used: "2026-02-03T04:05:06Z".parse().unwrap(),
        };
        let expected = "\
KIND   NAME          SIZE     STORED            LAST USED
layer  0123456789ab  35.1 MB  2026-01-02 03:04  2026-02-03 04:05";
        assert_eq!(table(&[listed]), expected);
    }
}
