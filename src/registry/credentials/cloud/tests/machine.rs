//! Servers of the machine: slow ones, troubled ones, and none at all.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

fn with_metadata(server: &Server) -> Cloud {
    Cloud::ecr(AwsOptions {
        metadata: Some(url(server, "")),
        ..aws(server)
    })
}

async fn nothing(cloud: &Cloud, http: &CloudHttp) -> String {
    match cloud.find(http, ECR).await.unwrap() {
        Found::Nothing(why) => why,
        Found::Credential { .. } => panic!("found something"),
    }
}

#[tokio::test]
async fn a_metadata_service_that_says_nothing_is_given_up_and_asked_once() {
    let silent = Server::start(|_| Reply::silence()).await;
    let http = http().with_patience(Duration::from_millis(200));
    let why = nothing(&with_metadata(&silent), &http).await;
    assert!(
        why.contains("AWS_ACCESS_KEY_ID") && why.contains("no answer within 0.2 s"),
        "{why}"
    );
    assert_eq!(silent.lines().len(), 1);
}

/// A listener whose queue is full drops what asks for a connection, as a network does that has no such address.
#[tokio::test]
async fn an_address_that_drops_everything_is_given_up_soon() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    let patience = Duration::from_millis(100);
    while let Ok(connected) =
        tokio::time::timeout(patience, tokio::net::TcpStream::connect(address)).await
    {
        waiting.push(connected.unwrap());
    }
    let began = Instant::now();
    let cloud = Cloud::ecr(AwsOptions {
        metadata: Some(format!("http://{address}").parse().unwrap()),
        ..AwsOptions::default()
    });
    let why = nothing(&cloud, &http()).await;
    assert!(why.contains("PUT http://127.0.0.1"), "{why}");
    let elapsed = began.elapsed();
    assert!(elapsed < Duration::from_secs(4), "{elapsed:?}");
    let nobody = Server::nobody().await;
    let began = Instant::now();
    nothing(&with_metadata(&nobody), &http()).await;
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_service_in_trouble_is_asked_once_again() {
    for trouble in [Reply::status(503), Reply::reset()] {
        let asked = AtomicU32::new(0);
        let server = Server::start(move |seen| {
            if asked.fetch_add(1, Ordering::Relaxed) == 0 {
                return trouble.clone();
            }
            match (seen.method.as_str(), seen.target.as_str()) {
                ("POST", "/ecr") => Reply::status(200).body(ECR_ANSWER),
                ("PUT", _) => Reply::status(200).body("session"),
                (_, "/latest/meta-data/iam/security-credentials/") => Reply::status(200).body("r"),
                _ => {
                    Reply::status(200).body(r#"{"AccessKeyId":"NODE","SecretAccessKey":"s3cret"}"#)
                }
            }
        })
        .await;
        credential(&with_metadata(&server), ECR).await;
        assert_eq!(signer(&server), "NODE");
        assert_eq!(server.lines()[..2], ["PUT /latest/api/token"; 2]);
    }
    let down = Server::start(|_| Reply::status(503)).await;
    let why = nothing(&with_metadata(&down), &http()).await;
    assert!(why.contains("503"), "{why}");
    assert_eq!(down.lines().len(), 2);
    let refusing = Server::start(|_| Reply::status(403)).await;
    nothing(&with_metadata(&refusing), &http()).await;
    assert_eq!(refusing.lines().len(), 1);
}
