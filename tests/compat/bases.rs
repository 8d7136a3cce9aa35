//! The images that cases start from: folders of `tests/compat/bases`, pushed once to one registry.

use crate::archive;
use crate::expected::architecture;
use crate::sections::Section;
use crate::server::Server;
use crate::support::{CraftedImage, Encoding, Family, Image, Registry, Tree};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

pub(crate) struct Bases {
    registry: Registry,
    pub(crate) server: Server,
    bases: BTreeMap<String, Base>,
}

/// What an image has before a build adds anything.
pub(crate) struct Base {
    pub(crate) diff_ids: Vec<String>,
    pub(crate) tree: Tree,
    /// Without what is never taken over: `created`, `history` and `rootfs`.
    pub(crate) config: Value,
    /// `created_by` of each entry.
    pub(crate) history: Vec<Value>,
}

impl Bases {
    pub(crate) fn open() -> Self {
        let registry = Registry::start();
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat/bases");
        let mut bases = BTreeMap::from([("scratch".to_owned(), Base::scratch())]);
        for entry in fs::read_dir(dir).expect("read the bases") {
            let path = entry.expect("read the bases").path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .expect("an ASCII name");
            let text = fs::read_to_string(&path).expect("read a base");
            // As a mirror of Docker Hub, the registry makes `FROM base` find this one.
            let pushed = format!("library/{name}:latest");
            image_of(&text).push_to(&registry, &pushed);
            bases.insert(name.to_owned(), Base::of(&Image::pull(&registry, &pushed)));
        }
        Self {
            registry,
            server: Server::start(),
            bases,
        }
    }

    pub(crate) fn get(&self, name: &str) -> &Base {
        self.bases
            .get(name)
            .unwrap_or_else(|| panic!("no base is called `{name}`"))
    }

    /// What makes the executor find the bases by their plain names, and nothing elsewhere.
    pub(crate) fn flags(&self) -> [String; 2] {
        [
            format!("--registry-mirror={}", self.registry.host()),
            "--skip-default-registry-fallback".to_owned(),
        ]
    }
}

impl Base {
    /// What the reference says of an image from nothing (section 2.1).
    fn scratch() -> Self {
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        Self {
            diff_ids: Vec::new(),
            tree: Tree::default(),
            config: json!({
                "architecture": architecture(),
                "os": "linux",
                "config": { "Env": [path], "WorkingDir": "/" },
            }),
            history: Vec::new(),
        }
    }

    fn of(image: &Image) -> Self {
        let mut config = image.config.clone();
        let fields = config.as_object_mut().expect("a config is an object");
        let history = fields.remove("history").unwrap_or_default();
        fields.remove("rootfs");
        fields.remove("created");
        Self {
            diff_ids: image.diff_ids(),
            tree: image.tree(),
            config,
            history: history.as_array().cloned().unwrap_or_default(),
        }
    }
}

/// Reads sections `layer:` (files as lines, base first), `config:` (fields of the config's `config`, as JSON) and
/// `fields:` (those beside it).
fn image_of(text: &str) -> CraftedImage {
    let mut image = CraftedImage::new(Family::Oci);
    for section in Section::all_of(text) {
        match section.name.as_str() {
            "layer" => {
                image = image.layer_of_bytes(archive::tar_of(&section.lines), Encoding::Plain)
            }
            "config" => {
                image = fields_of(&section)
                    .into_iter()
                    .fold(image, |image, (field, value)| image.config(&field, value))
            }
            "fields" => {
                image = fields_of(&section)
                    .into_iter()
                    .fold(image, |image, (field, value)| image.field(&field, value))
            }
            other => panic!("`{other}:` means nothing in a base"),
        }
    }
    image
}

fn fields_of(section: &Section) -> serde_json::Map<String, Value> {
    serde_json::from_str(&section.only_lines().join("\n")).expect("a JSON object")
}
