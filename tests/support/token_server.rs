//! A token server on loopback, as a registry wants it (distribution, "Token Authentication Specification"): it signs what it
//! grants with a key whose certificate the registry knows. It takes GET only, as Docker Hub's did for years.

use super::registry::{PASSWORD, USER};
use super::test_dir::TestDir;
use super::tool::Tool;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use url::Url;

/// The registry accepts a token so many seconds after its end (distribution, registry/auth/token, `Leeway`).
const LEEWAY: i64 = 60;

/// How long tokens are good for, in seconds.
#[derive(Clone, Copy)]
pub(crate) struct Lifetime {
    /// For the registry.
    pub(crate) real: i64,
    /// As the answer says.
    pub(crate) told: i64,
}

/// A running server. It ends with the test's process.
pub(crate) struct TokenServer {
    port: u16,
    dir: TestDir,
    granted: Arc<Mutex<Vec<String>>>,
}

impl TokenServer {
    /// Everything to `USER`, nothing to others.
    pub(crate) fn start(lifetime: Lifetime) -> Self {
        let dir = TestDir::new();
        let subject = ["-subj", "/CN=e2e tokens", "-days", "2"];
        Tool::new("openssl")
            .in_dir(dir.path())
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes"])
            .args(["-keyout", "key.pem", "-out", "cert.pem"])
            .args(subject)
            .run();
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind a port of loopback");
        let port = listener.local_addr().expect("a bound address").port();
        let granted = Arc::new(Mutex::new(Vec::new()));
        let (signer, noted) = (Signer::new(dir.path(), lifetime), Arc::clone(&granted));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (signer, noted) = (signer.clone(), Arc::clone(&noted));
                // A connection that breaks is the client's to complain about.
                std::thread::spawn(move || serve(client, &signer, &noted));
            }
        });
        Self { port, dir, granted }
    }

    /// Lines of the configuration of a registry that wants these tokens.
    pub(crate) fn registry_settings(&self) -> String {
        format!(
            "auth: {{token: {{realm: 'http://127.0.0.1:{}/token', service: e2e, issuer: e2e, rootcertbundle: '{}'}}}}\n",
            self.port,
            self.dir.join("cert.pem").display()
        )
    }

    /// The scopes of each token that was given to `USER` since the last call.
    pub(crate) fn take_granted(&self) -> Vec<String> {
        let mut granted = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *granted)
    }
}

#[derive(Clone)]
struct Signer {
    key: PathBuf,
    /// The certificate in base 64, as the header `x5c` has it.
    certificate: String,
    lifetime: Lifetime,
}

impl Signer {
    fn new(dir: &Path, lifetime: Lifetime) -> Self {
        let pem = fs::read_to_string(dir.join("cert.pem")).expect("read the certificate");
        let lines = pem.lines().filter(|line| !line.starts_with("-----"));
        Self {
            key: dir.join("key.pem"),
            certificate: lines.collect(),
            lifetime,
        }
    }

    fn token(&self, user: &str, access: &[Value]) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("a clock after 1970").as_secs() as i64;
        let header = json!({ "typ": "JWT", "alg": "RS256", "x5c": [self.certificate] });
        let claims = json!({
            "iss": "e2e", "sub": user, "aud": "e2e", "jti": "e2e",
            "exp": now - LEEWAY + self.lifetime.real, "nbf": now - 2 * LEEWAY, "iat": now,
            "access": access,
        });
        let parts = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = parts.join(".");
        let dir = TestDir::new();
        fs::write(dir.join("signed"), &signed).expect("write what is signed");
        Tool::new("openssl")
            .in_dir(dir.path())
            .args(["dgst", "-sha256", "-out", "signature", "-sign"])
            .arg(&self.key)
            .arg("signed")
            .run();
        let signature = fs::read(dir.join("signature")).expect("read the signature");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn serve(mut client: TcpStream, signer: &Signer, granted: &Mutex<Vec<String>>) {
    let Some(head) = read_head(&mut client) else {
        return;
    };
    let (status, body) = answer(&head, signer, granted);
    let body = body.to_string();
    let text = format!(
        "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let _ = client.write_all(text.as_bytes());
    let _ = client.shutdown(Shutdown::Write);
}

fn answer(head: &str, signer: &Signer, granted: &Mutex<Vec<String>>) -> (u16, Value) {
    let mut words = head.split(' ');
    let (method, target) = (words.next(), words.next().unwrap_or_default());
    if method != Some("GET") {
        return (405, json!({}));
    }
    let user = match user(head) {
        Err(()) => return (401, json!({ "details": "incorrect username or password" })),
        Ok(user) => user,
    };
    let url = Url::parse(&format!("http://localhost{target}")).expect("a target");
    let scopes: Vec<String> = url
        .query_pairs()
        .filter(|(name, _)| name == "scope")
        .map(|(_, scope)| scope.into_owned())
        .collect();
    // Nobody gets a token that allows nothing.
    let is_known = user == USER;
    let access: Vec<Value> = scopes
        .iter()
        .filter(|_| is_known)
        .filter_map(|scope| access(scope))
        .collect();
    if is_known {
        let mut granted = granted.lock().unwrap_or_else(PoisonError::into_inner);
        granted.push(scopes.join(" "));
    }
    let token = signer.token(&user, &access);
    let answer = json!({ "token": token, "expires_in": signer.lifetime.told });
    (200, answer)
}

/// The user who asks, empty for nobody. `Err` for a wrong password.
fn user(head: &str) -> Result<String, ()> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let Some((_, value)) = lines.find(|(name, _)| name.eq_ignore_ascii_case("authorization"))
    else {
        return Ok(String::new());
    };
    let expected = STANDARD.encode(format!("{USER}:{PASSWORD}"));
    match value == format!("Basic {expected}") {
        true => Ok(USER.to_owned()),
        false => Err(()),
    }
}

/// `repository:NAME:ACTION,ACTION`, as a token has it.
fn access(scope: &str) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let actions: Vec<&str> = actions.split(',').collect();
    Some(json!({ "type": kind, "name": name, "actions": actions }))
}

fn read_head(client: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut chunk = [0; 4096];
    while !head.ends_with(b"\r\n\r\n") {
        match client.read(&mut chunk) {
            Ok(length @ 1..) => head.extend_from_slice(&chunk[..length]),
            Ok(_) | Err(_) => return None,
        }
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}
