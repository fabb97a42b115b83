//! A small server that does to a client what servers do.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

/// The server; it lives as long as the test program.
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    seen: Mutex<HashMap<String, usize>>,
    in_flight: AtomicUsize,
    most: AtomicUsize,
}

// ===== impl Server =====

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &state));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How often a path was asked for.
    pub(crate) fn seen(&self, path: &str) -> usize {
        self.state.seen.lock().unwrap().get(path).copied().unwrap_or(0)
    }

    /// The most requests that were in its hands at once.
    pub(crate) fn most_in_flight(&self) -> usize {
        self.state.most.load(SeqCst)
    }
}

/// Answers requests on one connection until it is to be closed.
fn serve(stream: TcpStream, state: &State) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut out = stream;
    while let Some((method, path, body)) = request(&mut reader) {
        let nth = {
            let mut seen = state.seen.lock().unwrap();
            let nth = seen.entry(path.clone()).or_insert(0);
            *nth += 1;
            *nth
        };
        let now = state.in_flight.fetch_add(1, SeqCst) + 1;
        state.most.fetch_max(now, SeqCst);
        let lives = answer(&mut out, state, &method, &path, nth, &body);
        if !lives {
            state.in_flight.fetch_sub(1, SeqCst);
            return;
        }
    }
}

fn request(reader: &mut impl BufRead) -> Option<(String, String, Vec<u8>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|&n| n > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|&n| n > 0)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((method, path, body))
}

/// Whether the connection lives on. An answer that is whole is counted as done before it is sent.
fn answer(out: &mut TcpStream, state: &State, method: &str, path: &str, nth: usize, body: &[u8]) -> bool {
    let mut whole = |status: &str, fields: &str, body: &[u8]| {
        state.in_flight.fetch_sub(1, SeqCst);
        let head = format!("HTTP/1.1 {status}\r\n{fields}content-length: {}\r\n\r\n", body.len());
        let reply = [head.as_bytes(), body].concat();
        // A write that fails shows at the next read.
        let _ = out.write_all(&reply);
        true
    };
    const JSON: &str = "content-type: application/json\r\n";
    match path.split('?').next().unwrap_or_default() {
        "/ok" => whole("200 OK", JSON, br#"{"big":123456789012345678901234567890,"price":1.10}"#),
        "/slow" => {
            let (_never, wait) = mpsc::channel::<()>();
            let _ = wait.recv_timeout(Duration::from_millis(20));
            whole("200 OK", JSON, b"1")
        }
        "/pretty" => whole("200 OK", JSON, b"{\n  \"a\": [\n    1\n  ]\r\n}\n"),
        "/empty" => {
            state.in_flight.fetch_sub(1, SeqCst);
            out.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").is_ok()
        }
        "/echo" => {
            let body = String::from_utf8_lossy(body);
            let body = if body.is_empty() { "null" } else { &body };
            whole("201 Created", JSON, format!(r#"{{"method":"{method}","body":{body}}}"#).as_bytes())
        }
        "/second" if nth > 1 => whole("200 OK", JSON, br#""at last""#),
        "/second" | "/broken" => whole("500 Internal Server Error", JSON, b"{}"),
        "/missing" => {
            let json = "content-type: application/problem+json\r\n";
            whole("404 Not Found", json, br#"{"title":"no such thing","status":404}"#)
        }
        "/redirect" => whole("302 Found", "location: /redirect\r\n", b""),
        "/html" => whole("200 OK", "content-type: text/html\r\n", b"<p>hello</p>"),
        "/not-json" => whole("200 OK", JSON, br#"{"a": [1, 2"#),
        "/not-utf8" => whole("200 OK", JSON, b"{\"name\":\"\xff\xfe\"}"),
        "/later" => whole("429 Too Many Requests", "retry-after: 3600\r\n", b""),
        "/huge" => {
            let _ = out.write_all(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 10737418240\r\n\r\n[",
            );
            pour(out, b"1111111,")
        }
        "/endless" => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
            let _ = out.write_all(head.as_bytes());
            pour(out, format!("1000\r\n{}\r\n", "1111111,".repeat(512)).as_bytes())
        }
        "/stall" => {
            let _ = out.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n[1");
            wait(out)
        }
        "/silent" => wait(out),
        "/cut" => {
            let _ = out.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n[1");
            false
        }
        "/close" => false,
        "/garbage" => {
            let _ = out.write_all(b"\x00\x01 this is no HTTP\r\n\r\n");
            false
        }
        "/fields" => {
            let _ = out.write_all(b"HTTP/1.1 200 OK\r\n");
            pour(out, b"x-field: 0123456789012345678901234567890123456789\r\n")
        }
        _ => whole("404 Not Found", JSON, b"{}"),
    }
}

/// Sends the same again and again until the client leaves.
fn pour(out: &mut TcpStream, what: &[u8]) -> bool {
    let block = what.repeat(1_024);
    while out.write_all(&block).is_ok() {}
    false
}

/// Sends nothing until the client leaves.
fn wait(out: &mut TcpStream) -> bool {
    while matches!(out.read(&mut [0]), Ok(n) if n > 0) {}
    false
}
