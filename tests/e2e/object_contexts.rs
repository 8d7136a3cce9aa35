//! Build contexts in object stores: the real moto, Azurite and gcp-storage-emulator.

use crate::support::crafted::encode;
use crate::support::stores::{BUCKET, Stores};
use crate::support::{Encoding, Executor, FileServer, Image, Kind, LayerTar, TestDir, Tree, Who};

const DOCKERFILE: &str = "FROM scratch\nCOPY bin /bin\nCOPY f /f\nRUN env > /environment\n";

fn archive() -> Vec<u8> {
    LayerTar::new()
        .file("Dockerfile", DOCKERFILE)
        .file("f", "of the store")
        .shell()
        .file("part/Dockerfile", "FROM scratch\nCOPY p /\n")
        .file("part/p", "p")
        .finish()
}

fn stores() -> &'static Stores {
    Stores::with(|| {
        let small = LayerTar::new()
            .file("Dockerfile", "FROM scratch\nCOPY f /\n")
            .file("f", "small")
            .finish();
        vec![
            ("context.tar.gz", encode(&archive(), Encoding::Gzip)),
            ("a b+c.zst", encode(&small, Encoding::Zstd)),
            ("text", b"no archive".to_vec()),
        ]
    })
}

fn executor(context: &str) -> Executor {
    let executor = Executor::new(Who::User).arg("--no-push").arg("--context");
    executor.arg(context)
}

/// Builds, looks for what must not be seen, and returns what the image has.
fn tree(executor: Executor, secrets: &[&str]) -> Tree {
    let layout = executor.out("layout");
    let executor = executor.arg("--oci-layout-path").arg(&layout);
    let build = executor.arg("--verbosity=trace").run();
    build.assert_success();
    let tree = Image::taken_from_layout(&layout).tree();
    let shown = match tree.find("environment") {
        Some(environment) => format!("{}{:?}", build.report(), environment.kind),
        None => build.report(),
    };
    for secret in secrets {
        assert!(!shown.contains(secret), "{shown}");
    }
    tree
}

fn with_keys(executor: Executor, secret: &str) -> Executor {
    let stores = stores();
    executor
        .env("S3_ENDPOINT", stores.get("s3"))
        .env("S3_FORCE_PATH_STYLE", "true")
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", stores.get("s3-key"))
        .env("AWS_SECRET_ACCESS_KEY", secret)
}

#[test]
fn s3_takes_keys_and_refuses_wrong_ones() {
    let stores = stores();
    let secret = stores.get("s3-secret");
    let build = with_keys(executor(&format!("s3://{BUCKET}")), secret);
    let tree_of_default = tree(build, &[secret, stores.get("s3-key")]);
    assert_eq!(tree_of_default.get("f").kind, Kind::file("of the store"));
    let odd = with_keys(executor(&format!("s3://{BUCKET}/a b+c.zst")), secret);
    assert_eq!(tree(odd, &[secret]).get("f").kind, Kind::file("small"));
    let part = with_keys(executor(&format!("s3://{BUCKET}/context.tar.gz")), secret);
    let part = tree(part.arg("--context-sub-path=part"), &[secret]);
    assert!(part.has("p"));
    let wrong = "never-was-a-secret-0123456789";
    let build = with_keys(executor(&format!("s3://{BUCKET}")), wrong).run();
    build.assert_error(
        1,
        &[
            "s3://contexts/context.tar.gz",
            "403",
            "SignatureDoesNotMatch",
            "hint: set AWS_ACCESS_KEY_ID",
        ],
    );
    assert!(!build.report().contains(wrong), "{}", build.report());
    assert!(
        !build.report().contains(stores.get("s3-key")),
        "{}",
        build.report()
    );
    let missing = with_keys(executor(&format!("s3://{BUCKET}/none")), secret).run();
    missing.assert_error(1, &["s3://contexts/none", "404", "NoSuchKey"]);
    let text = with_keys(executor(&format!("s3://{BUCKET}/text")), secret).run();
    text.assert_error(1, &["s3://contexts/text", "no tar archive"]);
    let half = executor(&format!("s3://{BUCKET}"))
        .env("AWS_ACCESS_KEY_ID", "x")
        .run();
    half.assert_error(1, &["AWS_SECRET_ACCESS_KEY is missing"]);
}

#[test]
fn s3_takes_what_sdks_take() {
    let stores = stores();
    let context = format!("s3://{BUCKET}/a b+c.zst");
    let dir = TestDir::new();
    std::fs::write(dir.join("token"), "token-of-the-job").expect("write it");
    let credentials = format!(
        "[ci]\naws_access_key_id={}\naws_secret_access_key={}\n",
        stores.get("s3-key"),
        stores.get("s3-secret")
    );
    std::fs::write(dir.join("credentials"), credentials).expect("write it");
    let build = || executor(&context).env("AWS_DEFAULT_REGION", "eu-central-1");
    let profile = build()
        .env("AWS_ENDPOINT_URL", stores.get("s3"))
        .env("AWS_SHARED_CREDENTIALS_FILE", dir.join("credentials"))
        .env("AWS_PROFILE", "ci");
    assert!(tree(profile, &[stores.get("s3-secret")]).has("f"));
    let web_identity = build()
        .env("AWS_ENDPOINT_URL_S3", stores.get("s3-open"))
        .env("AWS_ENDPOINT_URL_STS", stores.get("s3-open"))
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", dir.join("token"))
        .env("AWS_ROLE_ARN", stores.get("s3-role"))
        .env("AWS_ROLE_SESSION_NAME", "job");
    assert!(tree(web_identity, &["token-of-the-job"]).has("f"));
    let instance = build()
        .env("AWS_ENDPOINT_URL", stores.get("s3-open"))
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", stores.get("s3-open"));
    assert!(tree(instance, &["test-session-token"]).has("f"));
    let nothing = build().env("AWS_EC2_METADATA_DISABLED", "true").run();
    nothing.assert_error(
        1,
        &[
            "no credentials for the object store",
            "AWS_EC2_METADATA_DISABLED",
        ],
    );
    let unanswered = build().env("AWS_ENDPOINT_URL", stores.get("s3-open")).env(
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        format!("{}/nowhere", stores.get("azure")),
    );
    let unanswered = unanswered.run();
    unanswered.assert_error(
        1,
        &[
            "no credentials for the object store",
            "the instance's role",
            "/latest/api/token",
        ],
    );
}

#[test]
fn profiles_of_amazons_tools_open_a_bucket_with_roles_and_programs() {
    let stores = stores();
    let (key, secret) = (stores.get("s3-key"), stores.get("s3-secret"));
    let home = TestDir::new();
    std::fs::create_dir(home.join(".aws")).expect("make a directory");
    let credentials = format!("[base]\naws_access_key_id={key}\naws_secret_access_key={secret}\n");
    std::fs::write(home.join(".aws/credentials"), credentials).expect("write it");
    let (role, closed) = (stores.get("s3-assumed"), stores.get("s3-closed"));
    let server = stores.get("s3");
    let config = format!(
        "[profile role]\nrole_arn = {role}\nsource_profile = base\nregion = eu-central-1\nendpoint_url = {server}\n\
         [profile program]\nregion = eu-central-1\nendpoint_url = {server}\n\
         credential_process = printf '{{\"Version\":1,\"AccessKeyId\":\"{key}\",\"SecretAccessKey\":\"{secret}\"}}'\n\
         [profile refused]\nrole_arn = {closed}\nsource_profile = base\nendpoint_url = {server}\n\
         [profile person]\nsso_session = corp\n"
    );
    std::fs::write(home.join(".aws/config"), config).expect("write it");
    let build = |profile: &str| {
        let build = executor(&format!("s3://{BUCKET}/a b+c.zst"));
        let build = build.env("HOME", home.path()).env("AWS_PROFILE", profile);
        build.env("AWS_ENDPOINT_URL_STS", server)
    };
    for profile in ["role", "program"] {
        assert!(tree(build(profile), &[secret]).has("f"), "{profile}");
    }
    for (profile, expected) in [
        (
            "refused",
            ["cannot get credentials", "403 Forbidden (User: "],
        ),
        (
            "person",
            [
                "profile `person`: `sso_session`",
                "aws configure export-credentials",
            ],
        ),
        ("missing", ["AWS_PROFILE is `missing`", ".aws/config`"]),
    ] {
        let refused = build(profile).run();
        refused.assert_error(1, &expected);
        assert!(!refused.report().contains(secret), "{}", refused.report());
    }
}

#[test]
fn google_and_azure_have_contexts_too() {
    let stores = stores();
    let google = |executor: Executor| executor.env("STORAGE_EMULATOR_HOST", stores.get("gcs"));
    let found = tree(google(executor(&format!("gs://{BUCKET}"))), &[]);
    assert_eq!(found.get("f").kind, Kind::file("of the store"));
    // The old flag.
    let bucket = Executor::new(Who::User).args(["--no-push", "-b", &format!("{BUCKET}/a b+c.zst")]);
    assert_eq!(tree(google(bucket), &[]).get("f").kind, Kind::file("small"));
    let missing = google(executor(&format!("gs://{BUCKET}/none"))).run();
    missing.assert_error(1, &["gs://contexts/none", "404"]);
    let both = executor(".").args(["--bucket", "x"]).run();
    both.assert_error(1, &["--bucket and --context"]);

    let (account, key) = (stores.get("azure-account"), stores.get("azure-key"));
    let connection = |key: &str| {
        let endpoint = stores.get("azure");
        format!("AccountName={account};AccountKey={key};BlobEndpoint={endpoint};")
    };
    let blob = |name: &str| format!("https://{account}.blob.core.windows.net/{BUCKET}/{name}");
    let azure = |name: &str, key: &str| {
        let executor = executor(&blob(name));
        executor.env("AZURE_STORAGE_CONNECTION_STRING", connection(key))
    };
    let found = tree(azure("context.tar.gz", key), &[key]);
    assert_eq!(found.get("f").kind, Kind::file("of the store"));
    assert!(tree(azure("a%20b+c.zst", key), &[key]).has("f"));
    let missing = azure("none", key).run();
    missing.assert_error(1, &["windows.net/contexts/none", "404", "BlobNotFound"]);
    let wrong = "bmV2ZXItd2FzLWEta2V5";
    let refused = azure("context.tar.gz", wrong).run();
    refused.assert_error(
        1,
        &["403", "AuthorizationFailure", "AZURE_STORAGE_ACCESS_KEY"],
    );
    assert!(!refused.report().contains(wrong), "{}", refused.report());
    let sas = stores.get("azure-sas");
    let signed = executor(&format!(
        "{}/{BUCKET}/a%20b+c.zst?{sas}",
        stores.get("azure")
    ));
    let signature = sas.split("sig=").nth(1).expect("a signature");
    assert!(tree(signed, &[signature]).has("f"));
}

#[test]
fn connections_to_stores_are_the_users() {
    let context = encode(&archive(), Encoding::Plain);
    let keys = |executor: Executor, endpoint: String| {
        let executor = executor.env("S3_ENDPOINT", endpoint);
        let executor = executor.env("S3_FORCE_PATH_STYLE", "true");
        let executor = executor.env("AWS_ACCESS_KEY_ID", "x");
        executor.env("AWS_SECRET_ACCESS_KEY", "y")
    };
    let serve = |web: &FileServer| {
        std::fs::create_dir(web.files().join(BUCKET)).expect("make a bucket");
        web.file(&format!("{BUCKET}/c.tar"), &context);
    };
    let of_bucket = || executor(&format!("s3://{BUCKET}/c.tar"));
    let web = FileServer::start_with_tls();
    serve(&web);
    let untrusted = keys(of_bucket(), web.url("plain")).run();
    untrusted.assert_error(1, &["cannot agree on TLS", "certificate"]);
    let certificate = format!(
        "--registry-certificate={}={}",
        web.host(),
        web.ca_file().display()
    );
    let trusted = keys(of_bucket(), web.url("plain")).arg(certificate);
    assert!(tree(trusted, &[]).has("f"));

    let web = FileServer::start();
    serve(&web);
    let ranges = |behaviour: &str| {
        let requests = web.requests_of(|| {
            let build = keys(of_bucket(), web.url(behaviour));
            assert!(tree(build, &[]).has("f"));
        });
        requests.len()
    };
    // One that is taken up where it broke, and one that is begun again because the server cannot do that.
    assert_eq!(ranges("resumed"), 2);
    assert_eq!(ranges("cut"), 3);
}
