//! An upstream on a raw socket: it records what reaches it and misbehaves as a test tells it to.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{DEADLINE, eventually};

/// A request as it reached the origin.
#[derive(Clone, Default)]
pub struct Received {
    /// The how-manieth connection it came over, from 0.
    pub connection: usize,
    /// The how-manieth request of that connection, from 0.
    pub nth: usize,
    /// Everything up to and with the empty line, as received.
    pub head: Vec<u8>,
    /// The body without its chunks' frames, as far as the handler has read it.
    pub body: Vec<u8>,
    /// The fields after a chunked body.
    pub trailers: Vec<(String, String)>,
}

impl Received {
    /// The request line.
    pub fn line(&self) -> String {
        let text = String::from_utf8_lossy(&self.head).into_owned();
        text.split("\r\n").next().unwrap_or_default().to_owned()
    }

    pub fn method(&self) -> String {
        self.line().split(' ').next().unwrap_or_default().to_owned()
    }

    /// As it stands in the request line.
    pub fn target(&self) -> String {
        self.line().split(' ').nth(1).unwrap_or_default().to_owned()
    }

    /// Names as received, values trimmed.
    pub fn headers(&self) -> Vec<(String, String)> {
        String::from_utf8_lossy(&self.head)
            .split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect()
    }

    /// The only value of a header; panics when it stands more than once.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<String> {
        let all = self.header_all(name);
        assert!(
            all.len() <= 1,
            "{name} stands {} times: {self:?}",
            all.len()
        );
        all.into_iter().next()
    }

    pub fn header_all(&self, name: &str) -> Vec<String> {
        self.headers()
            .into_iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "request {} of connection {}:\n{}({} bytes of body)",
            self.nth,
            self.connection,
            String::from_utf8_lossy(&self.head),
            self.body.len()
        )
    }
}

type Handler = dyn Fn(&mut Exchange) -> io::Result<()> + Send + Sync;

#[derive(Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    /// A second handle on each connection, to close it while it is idle; `None` once it has ended.
    connections: Mutex<Vec<Option<TcpStream>>>,
    failures: Mutex<Vec<String>>,
    stopping: AtomicBool,
}

/// The origin; it stops when dropped, and fails the test when a handler of it panicked.
pub struct Origin {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Origin {
    /// Answers each request with 200, its own request line as the body and the length of the body that it got.
    pub fn start() -> Origin {
        Origin::with(|exchange| {
            let length = exchange.read_body()?.len();
            let body = exchange.request().line();
            let head = format!("X-Origin: yes\r\nX-Body-Length: {length}\r\n");
            exchange.respond(200, &head, body.as_bytes())
        })
    }

    /// Calls `handler` for each request once its head is there. A handler that returns an error ends
    /// the connection; one that panics fails the test.
    pub fn with(
        handler: impl Fn(&mut Exchange) -> io::Result<()> + Send + Sync + 'static,
    ) -> Origin {
        Origin::on(TcpListener::bind("127.0.0.1:0").unwrap(), handler)
    }

    /// As [`Origin::with`], where the test says.
    pub fn on(
        listener: TcpListener,
        handler: impl Fn(&mut Exchange) -> io::Result<()> + Send + Sync + 'static,
    ) -> Origin {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let handler: Arc<Handler> = Arc::new(handler);
        let acceptor = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || accept(&listener, &shared, &handler))
        };
        Origin {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests whose heads have arrived so far.
    pub fn requests(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Waits for that many requests and gives out all there are.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        eventually(&format!("{count} requests at the origin"), || {
            let received = self.requests();
            (received.len() >= count).then_some(received)
        })
    }

    /// The only request that came; panics when there was none or more.
    #[track_caller]
    pub fn only_request(&self) -> Received {
        let mut received = self.requests();
        assert_eq!(received.len(), 1, "{received:#?}");
        received.remove(0)
    }

    #[track_caller]
    pub fn last_request(&self) -> Received {
        self.requests().pop().expect("no request has come")
    }

    /// How many connections were ever accepted.
    pub fn connections(&self) -> usize {
        self.shared.connections.lock().unwrap().len()
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        let connections = self.shared.connections.lock().unwrap();
        connections.iter().flatten().count()
    }

    /// Closes every connection, whatever it is at.
    pub fn close_connections(&self) {
        for connection in self.shared.connections.lock().unwrap().iter().flatten() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        self.close_connections();
        let failures = self.shared.failures.lock().unwrap();
        if !std::thread::panicking() {
            assert!(failures.is_empty(), "the origin failed: {failures:?}");
        } else if !failures.is_empty() {
            eprintln!("the origin failed as well: {failures:?}");
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, handler: &Arc<Handler>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(second) = stream.try_clone() else {
            continue;
        };
        let connection = {
            let mut connections = shared.connections.lock().unwrap();
            connections.push(Some(second));
            connections.len() - 1
        };
        let (shared, handler) = (Arc::clone(shared), Arc::clone(handler));
        std::thread::spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                serve(connection, stream, &shared, &*handler)
            }));
            if let Err(panic) = outcome {
                let text = panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
                let text = text.unwrap_or_else(|| "a panic".to_owned());
                shared.failures.lock().unwrap().push(text);
            }
            shared.connections.lock().unwrap()[connection] = None;
        });
    }
}

fn serve(
    connection: usize,
    stream: TcpStream,
    shared: &Arc<Shared>,
    handler: &Handler,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut wire = Wire {
        stream,
        buffer: Vec::new(),
    };
    for nth in 0.. {
        let Some(head) = wire.read_head()? else {
            return Ok(());
        };
        let request = Received {
            connection,
            nth,
            head,
            ..Received::default()
        };
        let framing = Framing::of(&request);
        let index = {
            let mut received = shared.received.lock().unwrap();
            received.push(request.clone());
            received.len() - 1
        };
        let mut exchange = Exchange {
            request,
            index,
            framing,
            wire,
            shared: Arc::clone(shared),
            closed: false,
        };
        handler(&mut exchange)?;
        if exchange.closed {
            return Ok(());
        }
        // What the handler left of the body must not be read as the next request.
        while exchange.read_some()?.is_some() {}
        wire = exchange.wire;
    }
    Ok(())
}

struct Wire {
    stream: TcpStream,
    /// Received and not yet consumed.
    buffer: Vec<u8>,
}

impl Wire {
    /// `None` when the connection ends between requests.
    fn read_head(&mut self) -> io::Result<Option<Vec<u8>>> {
        // A kept-alive connection may be idle for as long as the test lasts.
        self.stream.set_read_timeout(None)?;
        loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                return Ok(Some(self.buffer.drain(..at + 4).collect()));
            }
            if !self.fill()? {
                assert!(
                    self.buffer.is_empty(),
                    "bytes that are no request reached the origin: {:?}",
                    String::from_utf8_lossy(&self.buffer)
                );
                return Ok(None);
            }
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            self.fill_or_end()?;
        }
    }

    /// Up to `most` bytes, at least one.
    fn read_up_to(&mut self, most: u64) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() {
            self.fill_or_end()?;
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let take = most.min(self.buffer.len());
        Ok(self.buffer.drain(..take).collect())
    }

    fn fill_or_end(&mut self) -> io::Result<()> {
        match self.fill()? {
            true => Ok(()),
            false => Err(ErrorKind::UnexpectedEof.into()),
        }
    }

    /// False at the end of the connection. A reset counts as one: the gateway may drop a connection at will.
    fn fill(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 64 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => Ok(false),
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                Ok(true)
            }
            Err(e) if e.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(e) => Err(e),
        }
    }
}

/// How much of the request's body is still to come.
enum Framing {
    Length(u64),
    /// Bytes left of the current chunk; `None` before a chunk's size.
    Chunked(Option<u64>),
    Done,
}

impl Framing {
    /// Panics on framing that two readers could read in two ways: the gateway must never send it.
    fn of(request: &Received) -> Framing {
        let encodings = request.header_all("transfer-encoding");
        let lengths = request.header_all("content-length");
        match (&encodings[..], &lengths[..]) {
            ([], []) => Framing::Done,
            ([encoding], []) if encoding == "chunked" => Framing::Chunked(None),
            ([], [length]) => {
                assert!(
                    length.bytes().all(|b| b.is_ascii_digit()),
                    "a length that is no number: {request:?}"
                );
                Framing::Length(length.parse().expect("a length that is no number"))
            }
            _ => panic!("ambiguous framing reached the origin: {request:?}"),
        }
    }
}

/// One request that a handler answers, or does not.
pub struct Exchange {
    request: Received,
    index: usize,
    framing: Framing,
    wire: Wire,
    shared: Arc<Shared>,
    closed: bool,
}

impl Exchange {
    pub fn request(&self) -> &Received {
        &self.request
    }

    /// The whole body; it is recorded with the request.
    pub fn read_body(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(part) = self.read_some()? {
            body.extend(part);
        }
        self.request.body.clone_from(&body);
        self.shared.received.lock().unwrap()[self.index] = self.request.clone();
        Ok(body)
    }

    /// What has arrived of the body, at least one byte and not recorded; `None` at its end.
    pub fn read_some(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.wire.stream.set_read_timeout(Some(DEADLINE))?;
        loop {
            match self.framing {
                Framing::Done | Framing::Length(0) => return Ok(None),
                Framing::Length(left) => {
                    let part = self.wire.read_up_to(left)?;
                    self.framing = Framing::Length(left - part.len() as u64);
                    return Ok(Some(part));
                }
                Framing::Chunked(Some(0)) => {
                    let end = self.wire.read_line()?;
                    assert!(end.is_empty(), "a chunk longer than it says: {end:?}");
                    self.framing = Framing::Chunked(None);
                }
                Framing::Chunked(Some(left)) => {
                    let part = self.wire.read_up_to(left)?;
                    self.framing = Framing::Chunked(Some(left - part.len() as u64));
                    return Ok(Some(part));
                }
                Framing::Chunked(None) => self.read_chunk_size()?,
            }
        }
    }

    fn read_chunk_size(&mut self) -> io::Result<()> {
        let line = self.wire.read_line()?;
        let size = u64::from_str_radix(&line, 16)
            .unwrap_or_else(|_| panic!("no plain chunk size reached the origin: {line:?}"));
        if size > 0 {
            self.framing = Framing::Chunked(Some(size));
            return Ok(());
        }
        loop {
            let line = self.wire.read_line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').expect("no field among the trailers");
            let field = (name.to_owned(), value.trim().to_owned());
            self.request.trailers.push(field);
        }
        self.framing = Framing::Done;
        Ok(())
    }

    /// A whole response with a `Content-Length`. `head` is zero or more lines, each with its CRLF.
    pub fn respond(&mut self, status: u16, head: &str, body: &[u8]) -> io::Result<()> {
        let length = body.len();
        let mut bytes =
            format!("HTTP/1.1 {status} Whatever\r\nContent-Length: {length}\r\n{head}\r\n")
                .into_bytes();
        if self.request.method() != "HEAD" {
            bytes.extend_from_slice(body);
        }
        self.send(bytes)
    }

    /// Exactly these bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.stream.set_write_timeout(Some(DEADLINE))?;
        self.wire.stream.write_all(bytes.as_ref())
    }

    /// These bytes, each in a segment of its own.
    pub fn dribble(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        bytes
            .as_ref()
            .iter()
            .try_for_each(|byte| self.send([*byte]))
    }

    /// Sends bytes of no meaning until `total` are sent or none was taken for as long as `patience`, and
    /// says how many were.
    pub fn send_until_blocked(&mut self, total: usize, patience: Duration) -> io::Result<usize> {
        super::client::send_until_blocked(&mut self.wire.stream, total, patience)
    }

    /// Ends the connection once the handler returns, without another byte.
    pub fn close(&mut self) -> io::Result<()> {
        self.closed = true;
        match self.wire.stream.shutdown(Shutdown::Both) {
            Err(e) if e.kind() != ErrorKind::NotConnected => Err(e),
            _ => Ok(()),
        }
    }

    /// Ends the connection once the handler returns, by a reset.
    pub fn reset(&mut self) -> io::Result<()> {
        self.closed = true;
        socket2::SockRef::from(&self.wire.stream).set_linger(Some(Duration::ZERO))
    }

    /// So many bytes behind the head, whatever they are.
    pub fn read_exact(&mut self, length: usize) -> io::Result<Vec<u8>> {
        self.wire.stream.set_read_timeout(Some(DEADLINE))?;
        while self.wire.buffer.len() < length {
            self.wire.fill_or_end()?;
        }
        Ok(self.wire.buffer.drain(..length).collect())
    }

    /// Those that come until there were none for as long as `patience`.
    pub fn read_until_quiet(&mut self, patience: Duration) -> io::Result<Vec<u8>> {
        self.wire.stream.set_read_timeout(Some(patience))?;
        loop {
            match self.wire.fill() {
                Ok(true) => {}
                Err(error) if !super::client::is_timeout(&error) => return Err(error),
                _ => return Ok(std::mem::take(&mut self.wire.buffer)),
            }
        }
    }

    /// All of them until the gateway ends its side.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        self.wire.stream.set_read_timeout(Some(DEADLINE))?;
        while self.wire.fill()? {}
        Ok(std::mem::take(&mut self.wire.buffer))
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub fn half_close(&mut self) -> io::Result<()> {
        self.wire.stream.shutdown(Shutdown::Write)
    }

    /// Waits until the gateway closes this connection.
    pub fn wait_for_close(&mut self) -> io::Result<()> {
        self.wire.stream.set_read_timeout(Some(DEADLINE))?;
        while self.wire.fill()? {
            self.wire.buffer.clear();
        }
        self.closed = true;
        Ok(())
    }
}
