//! Both ends of a WebSocket (RFC 6455), as far as the tests need them: whole messages, masked by the client.

use std::io;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::client::{Connection, Request, get};
use super::gateway::Gateway;
use super::origin::Exchange;
use super::response::Response;

const KEY: &str = "x3JJHMbDL1EzLkh9GBhXDw==";
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;

/// A handshake as a browser sends it.
pub fn handshake(target: &str) -> Request {
    get(target)
        .header("Connection", "keep-alive, Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", KEY)
}

/// What the other side has to answer (section 4.2.2).
pub fn accept(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64_STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

/// A client's end.
pub struct Socket {
    pub connection: Connection,
    pub response: Response,
}

impl Socket {
    #[track_caller]
    pub fn open(gateway: &Gateway, request: &Request) -> Socket {
        let mut connection = gateway.connect();
        let response = connection.exchange(request).expect(101);
        let accepted = response.header("sec-websocket-accept");
        assert_eq!(accepted, Some(accept(KEY).as_str()), "{response:?}");
        Socket {
            connection,
            response,
        }
    }

    pub fn send(&mut self, message: &[u8]) {
        self.connection.send(frame(TEXT, message, true));
    }

    /// Fails when the connection ends.
    pub fn receive(&mut self) -> io::Result<Vec<u8>> {
        let (_, message) = read_frame(|length| self.connection.read_exact(length))?;
        Ok(message)
    }

    /// Sends a message to an origin that answers with the same.
    #[track_caller]
    pub fn echo(&mut self, message: &str) {
        self.send(message.as_bytes());
        let answer = self.receive().expect("no echo");
        assert_eq!(String::from_utf8_lossy(&answer), message);
    }

    /// Ends as the standard has it, with an answer.
    #[track_caller]
    pub fn close(mut self) {
        self.connection
            .send(frame(CLOSE, &1000_u16.to_be_bytes(), true));
        let answer = read_frame(|length| self.connection.read_exact(length)).unwrap();
        assert_eq!(answer, (CLOSE, 1000_u16.to_be_bytes().to_vec()));
        assert_eq!(self.connection.read_until_closed(), b"");
    }
}

/// Accepts the handshake that an origin has received.
pub fn switch(exchange: &mut Exchange) -> io::Result<()> {
    let key = exchange.request().header("sec-websocket-key");
    let accept = accept(&key.unwrap_or_default());
    exchange.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nX-Origin: yes\r\n\r\n"
    ))
}

/// Accepts it and answers each message with itself, until the other side closes.
pub fn echo(exchange: &mut Exchange) -> io::Result<()> {
    switch(exchange)?;
    loop {
        let (kind, message) = read_frame(|length| exchange.read_exact(length))?;
        exchange.send(frame(kind, &message, false))?;
        if kind == CLOSE {
            return exchange.close();
        }
    }
}

/// A message in one frame (section 5.2).
fn frame(kind: u8, message: &[u8], is_masked: bool) -> Vec<u8> {
    const MASK: [u8; 4] = [7, 1, 9, 3];
    let bit = u8::from(is_masked) << 7;
    let mut frame = vec![kind];
    match message.len() {
        short @ 0..=125 => frame.push(bit | short as u8),
        longer @ 126..=0xffff => {
            frame.push(bit | 126);
            frame.extend((longer as u16).to_be_bytes());
        }
        long => {
            frame.push(bit | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    if is_masked {
        frame.extend(MASK);
    }
    let from = frame.len();
    frame.extend(message);
    if is_masked {
        mask(&mut frame[from..], &MASK);
    }
    frame
}

fn read_frame(mut read: impl FnMut(usize) -> io::Result<Vec<u8>>) -> io::Result<(u8, Vec<u8>)> {
    let head = read(2)?;
    let length = match head[1] & 0x7f {
        126 => u64::from(u16::from_be_bytes(read(2)?.try_into().unwrap())),
        127 => u64::from_be_bytes(read(8)?.try_into().unwrap()),
        short => u64::from(short),
    };
    let key = match head[1] >> 7 {
        0 => Vec::new(),
        _ => read(4)?,
    };
    let mut message = read(usize::try_from(length).unwrap())?;
    mask(&mut message, &key);
    Ok((head[0], message))
}

fn mask(message: &mut [u8], key: &[u8]) {
    for (byte, key) in message.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}
