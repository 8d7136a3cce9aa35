//! Each form, of one image and of an index, and of work that is no longer wanted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::{ArchivePlace, Export, Exporter, Finished};
use crate::fs::{KnownContents, Root};
use crate::image::annotations::Annotations;
use crate::image::layer_writer::{Compression, LayerOptions, LayerWriter};
use crate::image::manifest::ManifestDocument;
use crate::image::stored_image::StoredImages;
use crate::image::{
    AssembledImage, AssembledIndex, AssembledLayer, Descriptor, ImageAnnotations, ImageConfig,
    ImageFormat, LayerCompression, MediaType, Platform, Reference,
};
use crate::snapshot::Excluded;
use crate::snapshot::{Index, ScanDiff, write_layer};

/// What is exported, and where to.
struct Scene {
    temp: tempfile::TempDir,
    finished: Finished,
    files: Vec<Vec<PathBuf>>,
    halt: CancellationToken,
}

impl Scene {
    /// An index with an image for each platform, with one layer of these files.
    fn index(images: &[(&str, &[(&str, &str)])]) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let (mut listed, mut files) = (Vec::new(), Vec::new());
        for (platform, contents) in images {
            let platform = Platform::parse(platform).unwrap();
            let (image, layer) = image(temp.path(), &platform, contents);
            listed.push((platform, image));
            files.push(vec![layer]);
        }
        let none = Annotations::default();
        let index = AssembledIndex::new(ImageFormat::Oci, &none, listed).unwrap();
        std::fs::create_dir(temp.path().join("out")).unwrap();
        Self {
            temp,
            finished: index.into(),
            files,
            halt: CancellationToken::new(),
        }
    }

    fn two() -> Self {
        Self::index(&[
            ("linux/amd64", &[("own/a", "amd"), ("a", "1")]),
            ("linux/arm/v7", &[("own/b", "arm"), ("b", "2")]),
        ])
    }

    /// The first image alone.
    fn one() -> Self {
        let mut scene = Self::two();
        let image = scene.finished.images()[0].clone();
        scene.finished = image.into();
        scene.files.truncate(1);
        scene
    }

    fn exporter(&self) -> Exporter<'_> {
        Exporter {
            finished: &self.finished,
            files: &self.files,
            temp_dir: self.temp.path(),
            halt: &self.halt,
        }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.temp.path().join("out").join(name)
    }

    fn place(&self, name: &str) -> ArchivePlace {
        ArchivePlace::File(self.out(name))
    }

    /// What is below `out`: files with their texts, directories with nothing.
    fn written(&self) -> BTreeMap<String, String> {
        let out = self.out("");
        let entries = walkdir::WalkDir::new(&out).min_depth(1).into_iter();
        let entries = entries.map(|entry| {
            let path = entry.unwrap().into_path();
            let name = path.strip_prefix(&out).unwrap().display().to_string();
            let text = std::fs::read(&path).unwrap_or_default();
            (name, String::from_utf8_lossy(&text).into_owned())
        });
        entries.collect()
    }
}

fn image(temp: &Path, platform: &Platform, contents: &[(&str, &str)]) -> (AssembledImage, PathBuf) {
    let name = platform.to_string().replace('/', "-");
    let dir = temp.join(&name);
    for (path, text) in contents {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let (root, nothing) = (Root::open(&dir).unwrap(), Excluded::new());
    let after = Index::take(&root, &nothing, &KnownContents::default()).unwrap();
    let everything = ScanDiff {
        before: &Index::of_nothing(),
        after: &after,
        root: &root,
        excluded: &nothing,
    };
    let options = LayerOptions {
        compression: Compression::None,
        clamp_mtime: None,
        threads: 1,
    };
    let file = temp.join(format!("{name}.layer"));
    let writer = LayerWriter::create(&file, options).unwrap();
    let (layer, _) = write_layer(&everything, writer).unwrap();
    let mut config = ImageConfig::scratch(platform);
    config.rootfs.diff_ids.push(layer.diff_id.clone());
    let media_type = MediaType::layer(ImageFormat::Oci, LayerCompression::None);
    let layers = vec![AssembledLayer {
        descriptor: Descriptor::new(media_type, layer.digest, layer.size),
        diff_id: layer.diff_id,
        origin: None,
    }];
    let none = ImageAnnotations::default();
    let image = AssembledImage::new(&config, layers, ImageFormat::Oci, &none).unwrap();
    (image, file)
}

#[test]
fn an_index_is_in_each_form_of_a_layout_with_all_its_images() {
    let scene = Scene::two();
    let names = vec![Reference::parse("registry.example/app:1").unwrap()];
    let (dir, tar) = (scene.out("named"), scene.place("image.tar"));
    for export in [
        Export::Layout(scene.out("layout")),
        Export::NamedLayout {
            dir,
            names: names.clone(),
        },
        Export::LayoutTar { place: tar, names },
    ] {
        scene.exporter().write(&export).unwrap();
    }
    for name in ["layout", "named", "image.tar"] {
        let images = StoredImages::open(&scene.out(name)).unwrap();
        let [listed] = images.listed() else {
            panic!("{name}: {:?}", images.listed());
        };
        assert_eq!(listed.digest, scene.finished.descriptor().digest);
        let (_, ManifestDocument::Index(index)) = images.document(listed).unwrap() else {
            panic!("{name} lists no index");
        };
        assert_eq!(index.manifests.len(), 2);
        for platform in ["linux/amd64", "linux/arm/v7"] {
            let platform = Platform::parse(platform).unwrap();
            let image = images.image(listed, &platform).unwrap();
            let child = images.find_digest(&image.descriptor.digest).unwrap();
            assert_eq!(child.platform.as_ref(), Some(&platform));
            let mut layer = images
                .blob(&image.manifest.layers[0])
                .unwrap()
                .open()
                .unwrap();
            std::io::copy(&mut layer, &mut std::io::sink()).unwrap();
        }
        if name != "layout" {
            images.find(Some("1")).unwrap();
        }
    }
}

#[test]
fn files_of_each_platform_have_a_directory_of_their_own() {
    let scene = Scene::two();
    let files = |dir: &str, split| Export::Files {
        dir: scene.out(dir),
        split,
    };
    let exporter = scene.exporter();
    exporter.write(&files("split", None)).unwrap();
    exporter.write(&files("merged", Some(false))).unwrap();
    let expected = [
        ("merged", ""),
        ("merged/a", "1"),
        ("merged/b", "2"),
        ("merged/own", ""),
        ("merged/own/a", "amd"),
        ("merged/own/b", "arm"),
        ("split", ""),
        ("split/linux_amd64", ""),
        ("split/linux_amd64/a", "1"),
        ("split/linux_amd64/own", ""),
        ("split/linux_amd64/own/a", "amd"),
        ("split/linux_arm_v7", ""),
        ("split/linux_arm_v7/b", "2"),
        ("split/linux_arm_v7/own", ""),
        ("split/linux_arm_v7/own/b", "arm"),
    ];
    let expected = expected.map(|(path, text)| (path.to_owned(), text.to_owned()));
    assert_eq!(scene.written(), BTreeMap::from(expected));

    // Into what is there, a second time.
    exporter.write(&files("split", None)).unwrap();
    assert_eq!(scene.written().len(), 15);

    let tar = Export::FilesTar {
        place: scene.place("files.tar"),
        split: None,
    };
    exporter.write(&tar).unwrap();
    let file = std::fs::File::open(scene.out("files.tar")).unwrap();
    let mut archive = tar::Archive::new(file);
    let entries = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        let header = entry.header();
        let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
        let path = entry.path().unwrap().display().to_string();
        (path, header.mode().unwrap() & 0o7777, uid, gid)
    });
    let entries: Vec<_> = entries.collect();
    let part = |name: &str| (format!("{name}/"), 0o755, 0, 0);
    assert_eq!(entries.len(), 8, "{entries:?}");
    assert_eq!(entries[0], part("linux_amd64"));
    assert_eq!(entries[4], part("linux_arm_v7"));

    // One image has a directory where that is asked for.
    let scene = Scene::one();
    let split = Export::Files {
        dir: scene.out("split"),
        split: Some(true),
    };
    scene.exporter().write(&split).unwrap();
    assert!(scene.out("split/linux_amd64/own/a").is_file());
}

#[test]
fn two_platforms_cannot_have_one_file() {
    let scene = Scene::index(&[
        ("linux/amd64", &[("own/a", "amd"), ("both/c", "1")]),
        ("linux/arm64", &[("own/b", "arm"), ("both/c", "2")]),
    ]);
    let merged = Export::Files {
        dir: scene.out("merged"),
        split: Some(false),
    };
    let error = format!("{:#}", scene.exporter().write(&merged).unwrap_err());
    for part in ["/both/c", "linux_arm64", "platform-split=false"] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(scene.written(), BTreeMap::new());
    let tar = Export::DockerTar {
        place: scene.place("docker.tar"),
        names: Vec::new(),
        names_unnamed: false,
    };
    let error = format!("{:#}", scene.exporter().write(&tar).unwrap_err());
    assert!(error.contains("index"), "{error}");
    assert_eq!(scene.written(), BTreeMap::new());
}

#[test]
fn what_is_no_longer_wanted_leaves_what_was_there() {
    for scene in [Scene::one(), Scene::two()] {
        std::fs::write(scene.out("old.tar"), "old").unwrap();
        std::fs::create_dir(scene.out("old")).unwrap();
        std::fs::write(scene.out("old/a"), "old").unwrap();
        std::fs::create_dir(scene.out("empty")).unwrap();
        let before = scene.written();
        scene.halt.cancel();
        // Past the question that `write` asks first.
        let exporter = scene.exporter();
        let (old, new) = (scene.place("old.tar"), scene.place("new.tar"));
        for place in [&old, &new] {
            assert!(exporter.write_files_tar(place, None).is_err());
            assert!(exporter.write_layout_tar(place, &[]).is_err());
            assert!(exporter.write_docker_tar(place, &[], true).is_err());
        }
        for dir in ["old", "new"] {
            assert!(exporter.write_files(&scene.out(dir), None).is_err());
        }
        for dir in ["layout", "empty"] {
            assert!(exporter.write_layout(&scene.out(dir)).is_err());
        }
        assert_eq!(scene.written(), before);
    }
}

#[test]
fn a_layout_that_others_add_to_keeps_its_list() {
    let scene = Scene::two();
    let names = [Reference::parse("registry.example/app:1").unwrap()];
    let dir = scene.out("shared");
    scene.exporter().add_to_layout(&dir, &names).unwrap();
    let index = std::fs::read(dir.join("index.json")).unwrap();
    scene.halt.cancel();
    let names = [Reference::parse("registry.example/app:2").unwrap()];
    assert!(scene.exporter().add_to_layout(&dir, &names).is_err());
    assert_eq!(std::fs::read(dir.join("index.json")).unwrap(), index);
}
