use super::*;
use crate::dockerfile::Expander;

fn resolve(value: &str) -> Result<Mount, MountError> {
    let lookup = |name: &str| match name {
        "DIR" => Some("/data".to_owned()),
        "KIND" => Some("cache".to_owned()),
        _ => None,
    };
    MountRequest::of(value)?.resolve(&mut Expander::new('\\', &lookup))
}

fn mount(value: &str) -> Mount {
    resolve(value).unwrap_or_else(|error| panic!("{value}: {error}"))
}

fn error(value: &str) -> String {
    match resolve(value) {
        Err(error) => error.to_string(),
        Ok(mount) => panic!("{value} became {mount:?}"),
    }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_bind_mount_is_the_default_and_read_only() {
    let bind = |target: &str, read_only| Mount::Bind {
        target: target.to_owned(),
        from: None,
        source: None,
        read_only,
    };
    assert_eq!(mount("target=/a"), bind("/a", true));
    assert_eq!(mount("Type=BIND,dst=/a,rw"), bind("/a", false));
    assert_eq!(mount("destination=/a,readwrite=true"), bind("/a", false));
    assert_eq!(mount("target=/a,rw,ro"), bind("/a", true));
    assert_eq!(mount("target=/a,ro=false"), bind("/a", false));
    assert_eq!(mount("target=/a,readonly=0"), bind("/a", false));
    assert_eq!(mount("type=bind"), bind("", true));
    assert_eq!(
        mount("from=stage,src=x,target=y"),
        Mount::Bind {
            target: "y".to_owned(),
            from: text("stage"),
            source: text("x"),
            read_only: true,
        }
    );
}

#[test]
fn a_cache_is_writable_and_shared() {
    assert_eq!(
        mount("type=cache,target=/c"),
        Mount::Cache {
            target: "/c".to_owned(),
            id: None,
            sharing: Sharing::Shared,
            from: None,
            source: None,
            read_only: false,
            owner: Owner::default(),
        }
    );
    assert_eq!(
        mount(
            "type=cache,target=/c,id=i,sharing=LOCKED,from=base,source=/s,ro,mode=0750,uid=1,gid=2"
        ),
        Mount::Cache {
            target: "/c".to_owned(),
            id: text("i"),
            sharing: Sharing::Locked,
            from: text("base"),
            source: text("/s"),
            read_only: true,
            owner: Owner {
                mode: Some(0o750),
                uid: Some(1),
                gid: Some(2),
            },
        }
    );
}

#[test]
fn a_tmpfs_may_have_a_size() {
    let tmpfs = |size| Mount::Tmpfs {
        target: "/t".to_owned(),
        size,
        read_only: false,
    };
    assert_eq!(mount("type=tmpfs,target=/t"), tmpfs(None));
    assert_eq!(
        mount("type=tmpfs,target=/t,size=64m"),
        tmpfs(Some(64 << 20))
    );
}

#[test]
fn a_secret_has_an_id_from_wherever_it_is_named() {
    for (value, id, target, env) in [
        ("type=secret,id=a", "a", None, None),
        ("type=secret,source=a", "a", None, None),
        ("type=secret,target=/x/a", "a", text("/x/a"), None),
        ("type=secret,id=a,target=/x/b", "a", text("/x/b"), None),
        ("type=secret,id=a,env=V", "a", None, text("V")),
        ("type=secret,id=a,env=", "a", None, text("a")),
        ("env=V,type=secret,id=a", "a", None, text("V")),
    ] {
        let expected = Mount::Secret {
            id: id.to_owned(),
            target,
            env,
            required: false,
            owner: Owner::default(),
        };
        assert_eq!(mount(value), expected, "{value}");
    }
    assert!(matches!(
        mount("type=secret,id=a,required"),
        Mount::Secret { required: true, .. }
    ));
    assert!(matches!(
        mount("type=secret,id=a,required=false"),
        Mount::Secret {
            required: false,
            ..
        }
    ));
}

#[test]
fn an_agent_is_called_default() {
    assert_eq!(
        mount("type=ssh"),
        Mount::Ssh {
            id: "default".to_owned(),
            target: None,
            required: false,
            owner: Owner::default(),
        }
    );
    assert!(matches!(
        mount("type=ssh,required=true,mode=600"),
        Mount::Ssh { required: true, .. }
    ));
}

#[test]
fn values_are_expanded_late_and_from_never_is() {
    let request = MountRequest::of("type=$KIND,target=${DIR}/x,from=base").unwrap();
    assert_eq!(request.from(), Some("base"));
    assert!(!request.is_literal());
    assert!(
        matches!(mount("type=$KIND,target=${DIR}/x"), Mount::Cache { target, .. } if target == "/data/x")
    );
    assert_eq!(
        error("from=$X,target=/a"),
        "'from' doesn't support variable expansion, define alias stage instead"
    );
    assert!(MountRequest::of("from=a$,target=/a").is_ok());
}

#[test]
fn commas_may_be_quoted() {
    assert!(
        matches!(mount("type=bind,\"target=/a,b\""), Mount::Bind { target, .. } if target == "/a,b")
    );
}

#[test]
fn every_mistake_is_named() {
    for (value, expected) in [
        ("", "failed to parse csv mounts: the value is empty"),
        (
            "type=bnd,target=/a",
            "unsupported mount type \"bnd\" (did you mean bind?)",
        ),
        ("type=nothing", "unsupported mount type \"nothing\""),
        (
            "taget=/a",
            "unexpected key 'taget' in 'taget=/a' (did you mean target?)",
        ),
        ("target", "invalid field 'target' must be a key=value pair"),
        ("target=/a,", "invalid field '' must be a key=value pair"),
        ("target=/a,ro=maybe", "invalid value for ro: maybe"),
        (
            "required,type=secret,id=a",
            "unexpected key 'required' for mount type 'bind'",
        ),
        (
            "type=cache,target=/a,required=true",
            "unexpected key 'required' for mount type 'cache'",
        ),
        (
            "type=secret,id=a,required=x",
            "invalid value for required: x",
        ),
        (
            "target=/a,size=1m",
            "unexpected key 'size' for mount type 'bind'",
        ),
        ("type=tmpfs,target=/a,size=1q", "invalid value for size: 1q"),
        (
            "target=/a,mode=0755",
            "mode not allowed for \"bind\" type mounts",
        ),
        (
            "type=tmpfs,target=/a,uid=1",
            "uid not allowed for \"tmpfs\" type mounts",
        ),
        (
            "target=/a,gid=1",
            "gid not allowed for \"bind\" type mounts",
        ),
        ("type=cache,target=/a,mode=8", "invalid value for mode: 8"),
        ("type=cache,target=/a,uid=-1", "invalid value for uid: -1"),
        (
            "type=cache,target=/a,gid=4294967295",
            "invalid value for gid: 4294967295",
        ),
        ("type=cache,target=/a,gid=+1", "invalid value for gid: +1"),
        (
            "type=cache,target=/a,sharing=share",
            "unsupported sharing value \"share\" (did you mean shared?)",
        ),
        (
            "target=/a,sharing=shared",
            "invalid cache sharing set for bind mount",
        ),
        (
            "type=secret,id=a,from=b",
            "secret mount should not have a from",
        ),
        (
            "type=secret,id=a,sharing=shared",
            "secret mount should not define sharing",
        ),
        (
            "type=secret,env=V",
            "invalid secret mount. one of source, target required",
        ),
        (
            "type=secret",
            "invalid secret mount. one of source, target required",
        ),
        (
            "type=secret,id=a,source=b",
            "both source and id can't be set",
        ),
        ("type=ssh,source=a", "ssh does not support source"),
        (
            "target=${X:?needed}",
            "failed to process `${X:?needed}`: X: needed",
        ),
    ] {
        assert_eq!(error(value), expected, "{value}");
    }
}
