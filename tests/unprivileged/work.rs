//! What every user does: unpacks two layers, changes files, copies the tree; and makes a layer of each.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use sawagani::fs::{
    Dir, FileKind, KnownContents, Ledger, Rights, Root, copy_tree, device_number, remove_tree,
};
use sawagani::image::layer_writer::{Compression, LayerOptions, LayerWriter};
use sawagani::image::unpack::{Form, UnpackOptions, unpack_and_note};
use sawagani::snapshot::Excluded;
use sawagani::snapshot::{Index, ScanDiff, write_layer};
use tar::{Builder, EntryType, Header};

/// `cap_net_raw=ep`, as `setcap` writes it.
const NET_RAW: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const CAPABILITY: &str = "security.capability";
/// Later times become this one: those of directories that were written to.
const EPOCH: i64 = 1_700_000_000;

/// Works in `dir`, an empty directory, and leaves it empty. Returns a digest for each layer.
pub(crate) fn digests(dir: &Path, rights: Option<Rights>) -> Vec<String> {
    let top = Dir::open(dir).unwrap();
    let ledger = rights.map(|rights| Arc::new(Ledger::new(rights)));
    let tree = new_tree(&top, "tree", ledger.as_ref());
    let mut known = KnownContents::default();
    let whole = Step::begin(&tree, &known);
    for layer in [base(), above()] {
        let options = UnpackOptions {
            form: Form::Tree,
            owner: None,
        };
        let unpacked = unpack_and_note(&layer[..], &tree, &options, &mut known).unwrap();
        assert_eq!(unpacked.skipped_devices.count, 0);
    }
    let whole = whole.end(dir);
    let step = Step::begin(&tree, &known);
    change(tree.dir());
    let step = step.end(dir);
    let copied = new_tree(&top, "copied", ledger.as_ref());
    let mut known = KnownContents::default();
    let copy = Step::begin(&copied, &known);
    copy_tree(&tree, &copied, &mut known).unwrap();
    let copy = copy.end(dir);
    let nothing = Step::begin(&copied, &known);
    copied.dir().set_mode(OsStr::new("su"), 0o4711).unwrap();
    copied.dir().set_mode(OsStr::new("su"), 0o4755).unwrap();
    let nothing = nothing.end(dir);
    drop((tree, copied));
    let top = match ledger {
        Some(ledger) => top.with_ledger(ledger),
        None => top,
    };
    for name in ["tree", "copied"] {
        remove_tree(&top, OsStr::new(name)).unwrap();
    }
    vec![whole, step, copy, nothing]
}

fn new_tree(top: &Dir, name: &str, ledger: Option<&Arc<Ledger>>) -> Root {
    top.create_dir(OsStr::new(name), 0o700).unwrap();
    let mut dir = top.open_dir(OsStr::new(name)).unwrap();
    if let Some(ledger) = ledger {
        dir = dir.with_ledger(Arc::clone(ledger));
    }
    dir.set_own_owner(0, 0).unwrap();
    // Also takes the set-group-id bit away that a volume hands down.
    dir.set_own_mode(0o755).unwrap();
    Root::from_dir(dir)
}

/// The time between two indexes.
struct Step<'a> {
    root: &'a Root,
    before: Index,
}

impl<'a> Step<'a> {
    fn begin(root: &'a Root, known: &KnownContents) -> Self {
        let before = Index::take(root, &Excluded::new(), known).unwrap();
        before.wait_until_changes_show();
        Self { root, before }
    }

    fn end(self, dir: &Path) -> String {
        let after = self.before.retake(self.root).unwrap();
        let diff = ScanDiff {
            before: &self.before,
            after: &after,
            root: self.root,
            excluded: &Excluded::new(),
        };
        let options = LayerOptions {
            compression: Compression::None,
            clamp_mtime: Some(EPOCH),
            threads: 1,
        };
        let path = dir.join("layer.tar");
        let writer = LayerWriter::create(&path, options).unwrap();
        let (layer, _) = write_layer(&diff, writer).unwrap();
        std::fs::remove_file(&path).unwrap();
        format!("{} entries, {}", layer.entries, layer.diff_id)
    }
}

/// One change of each kind that such users may not make.
fn change(dir: &Dir) {
    let name = OsStr::new;
    dir.set_owner(name("su"), 0, 50).unwrap();
    dir.set_mode(name("su"), 0o4755).unwrap();
    dir.set_owner(name("ping"), 0, 50).unwrap();
    dir.set_xattr(name("noted"), name(CAPABILITY), &NET_RAW)
        .unwrap();
    dir.remove_file(name("fifo")).unwrap();
    let kind = FileKind::BlockDevice(device_number(7, 3));
    dir.create_node(name("fifo"), kind, 0o600).unwrap();
    let closed = dir.open_dir(name("closed")).unwrap();
    let mut file = closed.create_new_file(name("new"), 0o000).unwrap();
    file.write_all(b"new").unwrap();
    file.set_owner(65_534, 65_534).unwrap();
    file.set_mode(0o2000).unwrap();
    closed.set_own_mode(0o1000).unwrap();
}

fn base() -> Vec<u8> {
    let mut tar = Layer::default();
    tar.dir("closed", 0o000, (4, 5))
        .file("closed/in", 0o000, (4, 5))
        .dir("closed/deep", 0o2500, (0, 12))
        .file("closed/deep/x", 0o111, (33, 33))
        .file("su", 0o4755, (0, 0))
        .link(EntryType::Link, "another-su", "su")
        .file("ssh-agent", 0o2755, (0, 101));
    let pax = [("SCHILY.xattr.security.capability", &NET_RAW[..])];
    tar.0.append_pax_extensions(pax).unwrap();
    tar.file("ping", 0o755, (0, 0));
    tar.0
        .append_pax_extensions([("SCHILY.xattr.user.note", &b"here"[..])])
        .unwrap();
    tar.file("noted", 0o400, (1000, 1000))
        .device("null", EntryType::Char, (1, 3))
        .device("sda1", EntryType::Block, (8, 1))
        .link(EntryType::Link, "closed/null", "null")
        .link(EntryType::Symlink, "link", "closed/in")
        .device("fifo", EntryType::Fifo, (0, 0))
        .file("without/a/parent", 0o640, (0, 42))
        .dir("tmp", 0o1777, (0, 0));
    tar.0.into_inner().unwrap()
}

fn above() -> Vec<u8> {
    let mut tar = Layer::default();
    tar.file("closed/in", 0o600, (0, 0))
        .file(".wh.ssh-agent", 0o644, (0, 0))
        .file("closed/deep/.wh..wh..opq", 0o644, (0, 0))
        .file("closed/deep/y", 0o444, (1, 1))
        .file("sda1", 0o600, (6, 6))
        .link(EntryType::Link, "without/ping", "ping");
    tar.0.into_inner().unwrap()
}

struct Layer(Builder<Vec<u8>>);

impl Default for Layer {
    fn default() -> Self {
        Self(Builder::new(Vec::new()))
    }
}

impl Layer {
    fn file(&mut self, name: &str, mode: u32, owner: (u64, u64)) -> &mut Self {
        self.add(EntryType::Regular, name, "", (mode, owner), (0, 0))
    }

    fn dir(&mut self, name: &str, mode: u32, owner: (u64, u64)) -> &mut Self {
        self.add(EntryType::Directory, name, "", (mode, owner), (0, 0))
    }

    fn link(&mut self, kind: EntryType, name: &str, target: &str) -> &mut Self {
        self.add(kind, name, target, (0o777, (9, 9)), (0, 0))
    }

    fn device(&mut self, name: &str, kind: EntryType, number: (u32, u32)) -> &mut Self {
        self.add(kind, name, "", (0o640, (0, 6)), number)
    }

    fn add(
        &mut self,
        kind: EntryType,
        name: &str,
        target: &str,
        (mode, (uid, gid)): (u32, (u64, u64)),
        (major, minor): (u32, u32),
    ) -> &mut Self {
        let contents = match kind {
            EntryType::Regular => name.as_bytes(),
            _ => b"",
        };
        let mut header = Header::new_ustar();
        header.set_path(name).unwrap();
        if !target.is_empty() {
            header.set_link_name(target).unwrap();
        }
        header.set_entry_type(kind);
        header.set_size(contents.len() as u64);
        header.set_mode(mode);
        header.set_uid(uid);
        header.set_gid(gid);
        header.set_mtime(1_600_000_000);
        header.set_device_major(major).unwrap();
        header.set_device_minor(minor).unwrap();
        header.set_cksum();
        self.0.append(&header, contents).unwrap();
        self
    }
}
