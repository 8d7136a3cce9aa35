//! The main job: packages installed in a Debian, a second stage, an unprivileged command, a push; as root and as a user.

use crate::support::container::{self, Bundle};
use crate::support::{Context, Image, Kind, Site, Who};

fn greeter(site: &Site) -> Context {
    let base = &site.base;
    Context::new(format!(
        r#"FROM {base} AS packages
RUN apt-get update && apt-get install -y --no-install-recommends hello libcap2-bin
RUN cp /usr/bin/hello /opt/hello && setcap cap_net_bind_service=+ep /opt/hello

FROM {base}
RUN useradd --create-home --uid 1000 app
COPY --from=packages /opt/hello /usr/local/bin/hello
COPY --chmod=0755 greet /usr/local/bin/
WORKDIR /home/app/work
USER app
ENTRYPOINT ["greet"]
CMD ["world"]
"#
    ))
    .file(
        "greet",
        "#!/bin/sh\nset -e\nhello --greeting=\"hello $1, from $(id -un) in $(pwd)\"\n",
    )
}

fn build_and_use(site: &Site, who: Who) -> Image {
    let image = site.build(who, &greeter(site));
    let bundle = Bundle::unpack(&image);
    let tree = image.tree();
    assert_eq!(
        tree.differences(&bundle.tree()),
        Vec::<String>::new(),
        "umoci unpacks what our layers say"
    );
    let ended = bundle.run(&[]);
    assert_eq!(
        (ended.code(), ended.stdout.as_str()),
        (0, "hello world, from app in /home/app/work\n"),
        "{}",
        ended.stderr
    );

    let home = tree.get("home/app");
    assert_eq!((home.uid, home.gid), (1000, 1000));
    let work = tree.get("home/app/work");
    assert_eq!(
        (work.uid, work.gid, work.mode),
        (0, 0, 0o755),
        "made before USER"
    );
    let hello = tree.get("usr/local/bin/hello");
    // linux/capability.h, vfs_cap_data: revision 2 and the effective bit, then CAP_NET_BIND_SERVICE (bit 10) permitted.
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(
        hello.xattrs.get("security.capability").map(Vec::as_slice),
        Some(&capability[..]),
        "kept by the copy"
    );
    assert!(
        !tree.has("opt/hello") && !tree.has("usr/bin/hello"),
        "the first stage's files are not in the image"
    );
    image
}

#[test]
fn root_builds_pushes_and_runs_a_debian_with_packages_and_two_stages() {
    build_and_use(&Site::debian(), Who::Root);
}

#[test]
fn an_ordinary_user_builds_pushes_and_runs_the_same() {
    build_and_use(&Site::debian(), Who::User);
}

#[test]
fn packages_keep_their_owners_and_special_modes() {
    let site = Site::debian();
    let context = site.context(
        "RUN apt-get update && apt-get install -y --no-install-recommends openssh-client sudo",
    );
    for who in Who::BOTH {
        let tree = site.build(who, &context).tree();
        let agent = tree.get("usr/bin/ssh-agent");
        assert_eq!(agent.mode, 0o2755, "{who:?}");
        assert!(
            agent.gid >= 100,
            "{who:?}: the package's own group owns it, not {}",
            agent.gid
        );
        assert_eq!(tree.get("usr/bin/sudo").mode, 0o4755, "{who:?}");
    }
}

#[test]
fn setuid_programs_work_inside_a_run() {
    let site = Site::debian();
    let context = site.context(
        "RUN cp /usr/bin/id /usr/local/bin/id-as-root && chmod 4755 /usr/local/bin/id-as-root\n\
         USER nobody\n\
         RUN test \"$(id -u)\" = 65534 && test \"$(id-as-root -u)\" = 0",
    );
    for who in Who::BOTH {
        site.build(who, &context);
    }
}

#[test]
fn an_image_from_scratch_runs_by_itself() {
    let site = Site::busybox();
    let context = Context::new(format!(
        "FROM {} AS tools\nFROM scratch\nCOPY --from=tools /bin/busybox /busybox\nCMD [\"/busybox\", \"echo\", \"alone\"]\n",
        site.base
    ));
    let executor = site.executor(Who::Root, &context);
    executor.run().assert_success();
    let scratch = crate::support::BaseImage::scratch();
    let image = crate::support::check_image(&site.registry, crate::support::site::APP, &scratch);
    assert_eq!(image.layers.len(), 1);
    assert!(matches!(
        image.tree().get("busybox").kind,
        Kind::File { .. }
    ));
    assert_eq!(container::output_of(&image), "alone\n");
}
