//! A server that says what a test wants.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A server that answers every request by its first line, and counts them.
pub(crate) fn server_that_answers(
    reply: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static,
) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("localhost:{}", listener.local_addr().unwrap().port());
    let count = Arc::new(AtomicUsize::new(0));
    let (counted, reply) = (Arc::clone(&count), Arc::new(reply));
    // Ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (counted, reply) = (Arc::clone(&counted), Arc::clone(&reply));
            std::thread::spawn(move || answer(stream.unwrap(), &*reply, &counted));
        }
    });
    (host, count)
}

fn answer(mut stream: TcpStream, reply: &dyn Fn(&str) -> Vec<u8>, counted: &AtomicUsize) {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..length]);
        // Lookups have no bodies: a request ends with its headers.
        while let Some(end) = seen.windows(4).position(|window| window == b"\r\n\r\n") {
            let request = String::from_utf8(seen.drain(..end + 4).collect()).unwrap();
            counted.fetch_add(1, Ordering::Relaxed);
            let answer = reply(request.lines().next().unwrap());
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }
}

pub(crate) fn server_that_says(status: u16) -> (String, Arc<AtomicUsize>) {
    let reply = format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n");
    server_that_answers(move |_| reply.clone().into_bytes())
}
