use super::*;
use crate::fs::Dir;
use crate::sandbox::agent::Relay;
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use rsa::rand_core::OsRng;
use ssh_agent_lib::proto::{PublicCredential, Request, Response, SignRequest};
use ssh_agent_lib::ssh_encoding::{Decode, Encode};
use ssh_agent_lib::ssh_key::public::KeyData;
use ssh_agent_lib::ssh_key::{self, Algorithm, EcdsaCurve};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

fn relay(agent: Agent, temp: &Path) -> (Relay, UnixStream) {
    std::fs::create_dir(temp.join("step")).unwrap();
    let dir = Dir::open(&temp.join("step")).unwrap();
    let relay = Relay::start(Arc::new(agent), &dir, "0").unwrap();
    let step = UnixStream::connect(temp.join("step/0")).unwrap();
    (relay, step)
}

fn ask(step: &mut UnixStream, request: &Request) -> Response {
    let mut message = Vec::new();
    request.encode_prefixed(&mut message).unwrap();
    // In pieces, as a stream may bring it.
    for piece in message.chunks(3) {
        step.write_all(piece).unwrap();
    }
    let mut length = [0; 4];
    step.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    step.read_exact(&mut answer).unwrap();
    Response::decode(&mut answer.as_slice()).unwrap()
}

fn openssh(key: &ssh_key::PrivateKey) -> String {
    key.to_openssh(ssh_key::LineEnding::LF).unwrap().to_string()
}

fn ed25519(comment: &str) -> ssh_key::PrivateKey {
    let mut key = ssh_key::PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
    key.set_comment(comment);
    key
}

/// One key of each kind and form that is read, with the comment that it is to have.
fn key_files() -> Vec<(&'static str, String, &'static str)> {
    let ecdsa = |curve| {
        let key = ssh_key::PrivateKey::random(&mut OsRng, Algorithm::Ecdsa { curve });
        openssh(&key.unwrap())
    };
    let rsa = || RsaPrivateKey::new(&mut OsRng, 2048).unwrap();
    let pair = ssh_key::private::RsaKeypair::try_from(&rsa()).unwrap();
    vec![
        ("ed25519", openssh(&ed25519("me@here")), "me@here"),
        ("p256", ecdsa(EcdsaCurve::NistP256), "p256"),
        ("p384", ecdsa(EcdsaCurve::NistP384), "p384"),
        ("p521", ecdsa(EcdsaCurve::NistP521), "p521"),
        ("rsa", openssh(&pair.into()), "rsa"),
        (
            "pkcs1",
            rsa().to_pkcs1_pem(LineEnding::LF).unwrap().to_string(),
            "pkcs1",
        ),
        (
            "pkcs8",
            rsa().to_pkcs8_pem(LineEnding::CRLF).unwrap().to_string(),
            "pkcs8",
        ),
    ]
}

#[test]
fn keys_of_every_kind_are_listed_in_order_and_sign() {
    let temp = tempfile::tempdir().unwrap();
    let files = key_files();
    let paths: Vec<_> = files
        .iter()
        .map(|(name, ..)| temp.path().join(name))
        .collect();
    for (path, (_, text, _)) in paths.iter().zip(&files) {
        std::fs::write(path, text).unwrap();
    }
    let (_relay, mut step) = relay(Agent::open(&paths).unwrap(), temp.path());
    let Response::IdentitiesAnswer(identities) = ask(&mut step, &Request::RequestIdentities) else {
        panic!("no list");
    };
    let comments: Vec<_> = identities.iter().map(|id| id.comment.as_str()).collect();
    let expected: Vec<_> = files.iter().map(|(.., comment)| *comment).collect();
    assert_eq!(comments, expected);
    for identity in identities {
        let request = |flags| {
            Request::SignRequest(SignRequest {
                credential: identity.credential.clone(),
                data: b"a session".to_vec(),
                flags,
            })
        };
        let PublicCredential::Key(public) = &identity.credential else {
            panic!("a certificate");
        };
        for flags in [2, 4] {
            let Response::SignResponse(signature) = ask(&mut step, &request(flags)) else {
                panic!("{}: no signature", identity.comment);
            };
            rsa::signature::Verifier::verify(public, b"a session", &signature).unwrap();
        }
        let with_sha1 = ask(&mut step, &request(0));
        let is_rsa = matches!(public, KeyData::Rsa(_));
        assert_eq!(matches!(with_sha1, Response::Failure), is_rsa);
    }
}

#[test]
fn a_step_can_neither_change_the_agent_nor_use_keys_that_it_lacks() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("key");
    std::fs::write(&path, openssh(&ed25519(""))).unwrap();
    let (_relay, mut step) = relay(Agent::open(&[path]).unwrap(), temp.path());
    let other = ed25519("").public_key().key_data().clone();
    let sign = Request::SignRequest(SignRequest {
        credential: PublicCredential::Key(other),
        data: Vec::new(),
        flags: 0,
    });
    for request in [
        sign,
        Request::RemoveAllIdentities,
        Request::Lock("x".to_owned()),
    ] {
        assert_eq!(ask(&mut step, &request), Response::Failure);
    }
    // What is no request at all is answered as well; one that is too long ends the connection.
    step.write_all(&[0, 0, 0, 1, 250]).unwrap();
    let mut answer = [0; 5];
    step.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0, 0, 0, 1, 5]);
    step.write_all(&[0xff; 4]).unwrap();
    assert_eq!(step.read(&mut answer).unwrap(), 0);
}

#[test]
fn what_is_said_to_a_socket_is_passed_on_both_ways_until_the_end() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("agent");
    let listener = UnixListener::bind(&path).unwrap();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut word = [0; 4];
        stream.read_exact(&mut word).unwrap();
        stream.write_all(&word).unwrap();
        // Until the relay hangs up.
        stream.read_to_end(&mut Vec::new()).unwrap();
    });
    let agent = Agent::open(std::slice::from_ref(&path)).unwrap();
    std::fs::remove_file(&path).unwrap();
    let (relay, mut step) = relay(agent, temp.path());
    step.write_all(b"ping").unwrap();
    let mut word = [0; 4];
    step.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"ping");
    drop(relay);
    answering.join().unwrap();
}

#[test]
fn files_that_are_no_agent_are_named_with_the_reason() {
    let temp = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = temp.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let key = ed25519("");
    let socket = temp.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    let pem = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    let traditional = pem("RSA PRIVATE KEY").replace("\nAAAA", "\nProc-Type: 4,ENCRYPTED\n\nAAAA");
    let cases = [
        (vec![file("text", "hello")], "no private key"),
        (
            vec![file("public", &key.public_key().to_openssh().unwrap())],
            "no private key",
        ),
        (vec![file("ec", &pem("EC PRIVATE KEY"))], "ssh-keygen -p"),
        (vec![file("old", &traditional)], "passphrase"),
        (
            vec![file("new", &pem("ENCRYPTED PRIVATE KEY"))],
            "passphrase",
        ),
        (
            vec![file("damaged", &pem("OPENSSH PRIVATE KEY"))],
            "cannot be read",
        ),
        (vec![file("good", &openssh(&key)), socket], "is a socket"),
        (vec![temp.path().join("absent")], "absent"),
    ];
    for (paths, expected) in cases {
        let error = Agent::open(&paths).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let text = format!("{error}: {source:?}");
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("key");
    std::fs::write(&path, openssh(&ed25519("me@here"))).unwrap();
    let shown = format!("{:?}", Agent::open(&[path]).unwrap());
    assert!(
        shown.contains("me@here") && shown.contains("Ed25519"),
        "{shown}"
    );
    assert!(shown.len() < 200, "{shown}");
}

#[test]
fn a_step_has_a_limited_number_of_connections() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("key");
    std::fs::write(&path, openssh(&ed25519(""))).unwrap();
    let (_relay, mut first) = relay(Agent::open(&[path]).unwrap(), temp.path());
    let connect = || UnixStream::connect(temp.path().join("step/0")).unwrap();
    // One more than are taken, the first among them.
    let mut others: Vec<_> = (0..64).map(|_| connect()).collect();
    let mut hung_up_on = others.pop().unwrap();
    assert_eq!(hung_up_on.read(&mut [0]).unwrap(), 0);
    assert_ne!(
        ask(&mut first, &Request::RequestIdentities),
        Response::Failure
    );
    // One that has ended makes room.
    drop(others);
    let has_room = |_| {
        let mut stream = connect();
        let lists = [0, 0, 0, 1, 11];
        stream.write_all(&lists).is_ok() && matches!(stream.read(&mut [0]), Ok(1))
    };
    assert!((0..1000).any(has_room));
}

#[test]
fn an_agent_that_takes_no_connections_keeps_nobody_waiting() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("agent");
    let _listener = UnixListener::bind(&path).unwrap();
    let agent = Agent::open(std::slice::from_ref(&path)).unwrap();
    // Until its queue is full: nobody takes them.
    let mut waiting = Vec::new();
    let Signer::Socket(socket) = &agent.0 else {
        panic!("keys");
    };
    while let Ok(stream) = socket.connect() {
        waiting.push(stream);
    }
    let (relay, mut step) = relay(agent, temp.path());
    assert_eq!(step.read(&mut [0]).unwrap(), 0);
    drop(relay);
}
