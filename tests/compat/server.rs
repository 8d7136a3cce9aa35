//! A server of files over plain HTTP on loopback, for sources that are URLs.

use jiff::Timestamp;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One server for all cases; each has the paths below its own name.
pub(crate) struct Server {
    port: u16,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Contents, and `Last-Modified` in seconds.
    File(Vec<u8>, Option<i64>),
    /// Another path of the same case.
    Redirect(String),
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind a port of loopback");
        let port = listener.local_addr().expect("a bound address").port();
        let answers = Arc::new(Mutex::new(HashMap::new()));
        let shared = Arc::clone(&answers);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answers = Arc::clone(&shared);
                // A client that goes away in the middle is its own case's failure.
                std::thread::spawn(move || drop(answer(&stream, &answers)));
            }
        });
        Self { port, answers }
    }

    /// The URL above all that a case serves.
    pub(crate) fn url(&self, case: &str) -> String {
        format!("http://127.0.0.1:{}/{case}", self.port)
    }

    pub(crate) fn serve(&self, case: &str, path: &str, answer: Answer) {
        let answer = match answer {
            Answer::Redirect(to) => Answer::Redirect(format!("/{case}/{to}")),
            file @ Answer::File(..) => file,
        };
        let mut answers = self.answers.lock().expect("no thread panics with it");
        answers.insert(format!("/{case}/{path}"), answer);
    }
}

/// Answers the one request of a connection.
fn answer(mut stream: &TcpStream, answers: &Mutex<HashMap<String, Answer>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // The rest of the head: closing with something unread would cut the answer off.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    let found = answers
        .lock()
        .expect("no panics with it")
        .get(path)
        .cloned();
    let (head, body) = match found {
        None => ("404 Not Found\r\n".to_owned(), Vec::new()),
        Some(Answer::Redirect(to)) => (format!("302 Found\r\nLocation: {to}\r\n"), Vec::new()),
        Some(Answer::File(body, time)) => (format!("200 OK\r\n{}", last_modified(time)), body),
    };
    write!(
        stream,
        "HTTP/1.1 {head}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    if request.starts_with("GET ") {
        stream.write_all(&body)?;
    }
    Ok(())
}

fn last_modified(time: Option<i64>) -> String {
    time.map_or_else(String::new, |seconds| {
        let time = Timestamp::from_second(seconds).expect("a time");
        let date = time.strftime("%a, %d %b %Y %H:%M:%S GMT");
        format!("Last-Modified: {date}\r\n")
    })
}
