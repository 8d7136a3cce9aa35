//! Layouts, as they are written, read and shared.

use super::*;
use crate::image::reference::Reference;
use std::os::unix::fs::MetadataExt;

fn manifest_of(config: &str) -> (Vec<u8>, Descriptor) {
    let media_type = MediaType::Config(ImageFormat::Oci);
    let config = Descriptor::of(media_type, config.as_bytes());
    let manifest = crate::image::Manifest::new(ImageFormat::Oci, &config, &[]);
    let json = manifest.to_json().unwrap();
    let descriptor = Descriptor::of(MediaType::Manifest(ImageFormat::Oci), &json);
    (json, descriptor)
}

#[test]
fn what_is_written_is_read_back() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("new/layout");
    let mut layout = Layout::create(&dir).unwrap();
    let (json, descriptor) = manifest_of("{}");
    assert_eq!(layout.add_bytes(&json).unwrap(), descriptor.digest);
    layout.add_manifest(descriptor.clone()).unwrap();
    let marker = std::fs::read_to_string(dir.join("oci-layout")).unwrap();
    assert_eq!(marker, r#"{"imageLayoutVersion":"1.0.0"}"#);
    let again = Layout::open(&dir).unwrap();
    assert_eq!(again.index().manifests, std::slice::from_ref(&descriptor));
    let document = again.read_manifest(&descriptor).unwrap();
    assert!(matches!(document, ManifestDocument::Image(_)));
    let names = std::fs::read_dir(&dir).unwrap().count();
    assert_eq!(names, 3, "no temporary file is left");
}

#[test]
fn one_tag_of_two_repositories_is_two_names() {
    let temp = tempfile::tempdir().unwrap();
    let mut layout = Layout::create(temp.path()).unwrap();
    let (json, descriptor) = manifest_of("{}");
    layout.add_bytes(&json).unwrap();
    for name in ["reg.example/a:1", "reg.example/b:1", "reg.example/a:1"] {
        let name = Reference::parse(name).unwrap();
        layout
            .add_manifest(named_as(descriptor.clone(), &name))
            .unwrap();
    }
    assert_eq!(layout.index().manifests.len(), 2);
}

#[test]
fn a_layout_that_was_only_begun_is_begun_again() {
    let temp = tempfile::tempdir().unwrap();
    Layout::create(temp.path()).unwrap();
    let mut layout = Layout::open_or_create(temp.path()).unwrap();
    let (json, descriptor) = manifest_of("{}");
    layout.add_bytes(&json).unwrap();
    layout.add_manifest(descriptor).unwrap();
    let again = Layout::open_or_create(temp.path()).unwrap();
    assert_eq!(again.index().manifests.len(), 1);
}

#[test]
fn an_image_is_added_to_those_that_are_there_or_replaces_its_namesake() {
    let temp = tempfile::tempdir().unwrap();
    let [(_, a), (_, b), (_, c)] = ["1", "2", "3"].map(manifest_of);
    let mut layout = Layout::open_or_create(temp.path()).unwrap();
    layout.add_manifest(named(a.clone(), "x")).unwrap();
    layout.add_manifest(b.clone()).unwrap();
    let mut layout = Layout::open_or_create(temp.path()).unwrap();
    layout.add_manifest(named(c.clone(), "x")).unwrap();
    layout.add_manifest(b.clone()).unwrap();
    let listed = Layout::open(temp.path()).unwrap().index().manifests.clone();
    assert_eq!(listed, [named(c.clone(), "x"), b]);

    let mut layout = Layout::create(temp.path()).unwrap();
    layout.add_manifest(a.clone()).unwrap();
    let listed = Layout::open(temp.path()).unwrap().index().manifests.clone();
    assert_eq!(listed, [a]);
}

#[test]
fn jobs_that_add_at_the_same_time_lose_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("shared");
    let add = |job: usize| {
        for number in 0..8 {
            let (_, descriptor) = manifest_of(&format!("{job}-{number}"));
            let mut layout = Layout::open_or_create(&dir).unwrap();
            let name = format!("{job}-{number}");
            layout.add_manifest(named(descriptor, &name)).unwrap();
        }
    };
    std::thread::scope(|scope| {
        for job in 0..8 {
            scope.spawn(move || add(job));
        }
    });
    let layout = Layout::open(&dir).unwrap();
    assert_eq!(layout.index().manifests.len(), 64);
    let names = std::fs::read_dir(&dir).unwrap().count();
    assert_eq!(names, 3, "no other file is left");
}

#[test]
fn the_lock_of_another_is_waited_for_until_the_work_is_no_longer_wanted() {
    let temp = tempfile::tempdir().unwrap();
    let (halt, (_, descriptor)) = (CancellationToken::new(), manifest_of("{}"));
    let layout = || {
        Layout::open_or_create(temp.path())
            .unwrap()
            .halted_by(&halt)
    };
    let (mut waiting, mut halted) = (layout(), layout());
    let marker = temp.path().join(MARKER_FILE);
    let held = IndexLock::take(&marker, &halt).unwrap();
    std::thread::scope(|scope| {
        let adding = scope.spawn(|| waiting.add_manifest(descriptor.clone()));
        std::thread::sleep(std::time::Duration::from_millis(60));
        assert!(!adding.is_finished());
        drop(held);
        adding.join().unwrap().unwrap();
    });
    let held = IndexLock::take(&marker, &halt).unwrap();
    std::thread::scope(|scope| {
        let adding = scope.spawn(|| halted.add_manifest(named(descriptor, "x")));
        std::thread::sleep(std::time::Duration::from_millis(60));
        assert!(!adding.is_finished());
        halt.cancel();
        let error = adding.join().unwrap().unwrap_err();
        assert!(format!("{error:?}").contains("Halted"), "{error:?}");
    });
    drop(held);
    let listed = Layout::open(temp.path()).unwrap().index().manifests.len();
    assert_eq!(listed, 1);
}

#[test]
fn what_is_no_longer_wanted_is_not_copied() {
    let temp = tempfile::tempdir().unwrap();
    let (file, halt) = (temp.path().join("blob"), CancellationToken::new());
    std::fs::write(&file, "contents").unwrap();
    let digest = Digest::of(b"contents");
    let layout = Layout::create(&temp.path().join("layout")).unwrap();
    let layout = layout.halted_by(&halt);
    let (mut source, mut target) = (File::open(&file).unwrap(), tempfile::tempfile().unwrap());
    layout.copy(&mut source, &mut target).unwrap();
    assert_eq!(target.metadata().unwrap().len(), 8);
    halt.cancel();
    assert!(layout.copy(&mut source, &mut target).is_err());
    assert!(layout.add_file(&file, &digest).is_err());
    assert!(!layout.blob_path(&digest).exists());
}

#[test]
fn a_file_is_linked_and_a_wrong_blob_of_its_name_replaced() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("blob");
    std::fs::write(&file, "contents").unwrap();
    let digest = Digest::of(b"contents");
    let layout = Layout::create(&temp.path().join("layout")).unwrap();
    layout.add_file(&file, &digest).unwrap();
    let inode = |path: &Path| std::fs::metadata(path).unwrap().ino();
    let blob = layout.blob_path(&digest);
    assert_eq!(inode(&blob), inode(&file));

    std::fs::remove_file(&blob).unwrap();
    std::fs::write(&blob, "half").unwrap();
    layout.add_file(&file, &digest).unwrap();
    assert_eq!(layout.read_blob(&digest).unwrap(), b"contents");
}

#[test]
fn a_blob_that_is_not_what_its_name_says_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::create(temp.path()).unwrap();
    let (json, descriptor) = manifest_of("{}");
    layout.add_bytes(&json).unwrap();
    std::fs::write(layout.blob_path(&descriptor.digest), b"{}").unwrap();
    let error = layout.read_manifest(&descriptor).unwrap_err();
    assert!(matches!(error, LayoutError::Damaged { .. }), "{error}");
}

#[test]
fn what_is_no_layout_is_refused_with_its_path() {
    let temp = tempfile::tempdir().unwrap();
    let shown = temp.path().display().to_string();
    let error = Layout::open(temp.path()).unwrap_err();
    assert!(error.to_string().contains(&shown), "{error}");
    for marker in ["", "{}", r#"{"imageLayoutVersion":"2.0.0"}"#] {
        std::fs::write(temp.path().join("oci-layout"), marker).unwrap();
        let error = Layout::open(temp.path()).unwrap_err();
        assert!(matches!(error, LayoutError::NotALayout { .. }), "{error}");
        assert!(error.to_string().contains(&shown), "{error}");
    }
    let marker = r#"{"imageLayoutVersion":"1.0.0"}"#;
    std::fs::write(temp.path().join("oci-layout"), marker).unwrap();
    std::fs::write(temp.path().join("index.json"), "[]").unwrap();
    let error = Layout::open(temp.path()).unwrap_err();
    assert!(error.to_string().contains("index.json"), "{error}");
}
