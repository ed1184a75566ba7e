//! One line for each request, written by a thread of its own. A worker fills in an [`Entry`] as the
//! request goes along and hands it over; nothing is formatted on the request's path.

use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, SystemTime};

use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Version};
use serde::ser::{Serialize, SerializeMap, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// Entries that may wait for the thread; more are dropped and counted.
const CAPACITY: usize = 16_384;
/// The thread gathers entries this long, so that it is not woken for each.
const GATHER: Duration = Duration::from_millis(5);
/// Bytes that are written at once, about.
const LINES: usize = 256 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Text,
}

/// What the log says of a request. Never a query, a token, a cookie or a password.
#[derive(Debug)]
pub struct Entry {
    pub time: SystemTime,
    pub duration: Duration,
    pub request_id: HeaderValue,
    /// As the client sent it, whatever it is.
    pub traceparent: Option<HeaderValue>,
    pub client_ip: IpAddr,
    pub peer_ip: IpAddr,
    pub method: Method,
    /// The one that its route was chosen by.
    pub host: Option<HeaderValue>,
    pub target: Option<PathAndQuery>,
    pub protocol: Version,
    /// It asked to become a WebSocket.
    pub is_handshake: bool,
    pub status: u16,
    pub route: Option<Arc<str>>,
    pub upstream: Option<Arc<str>>,
    pub upstream_time: Option<Duration>,
    pub user_id: Option<Uuid>,
    /// Of an API key, its id.
    pub session_id: Option<Uuid>,
    /// `jwt`, `api_key`, `anonymous` or `none`.
    pub auth: &'static str,
    /// `allow`, `deny`, or `abandoned` by the client.
    pub decision: &'static str,
    /// The code of the refusal.
    pub reason: Option<&'static str>,
    /// The limit that refused.
    pub limit: Option<Box<str>>,
    /// What went wrong inside, or why the gateway ended it.
    pub cause: Option<Box<str>>,
    /// What guards in shadow would have refused, in the order in which they were asked.
    pub would_refuse: Vec<WouldRefuse>,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// A refusal that was only recorded.
#[derive(Debug)]
pub struct WouldRefuse {
    /// `auth`, `allow` or `limits`.
    pub part: &'static str,
    /// The code that the refusal would have had.
    pub reason: &'static str,
    /// The limit that would have refused.
    pub limit: Option<Box<str>>,
}

impl Default for Entry {
    fn default() -> Self {
        Entry {
            time: SystemTime::UNIX_EPOCH,
            duration: Duration::ZERO,
            request_id: HeaderValue::from_static(""),
            traceparent: None,
            client_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            peer_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            method: Method::GET,
            host: None,
            target: None,
            protocol: Version::HTTP_11,
            is_handshake: false,
            status: 0,
            route: None,
            upstream: None,
            upstream_time: None,
            user_id: None,
            session_id: None,
            auth: "none",
            decision: "abandoned",
            reason: None,
            limit: None,
            cause: None,
            would_refuse: Vec::new(),
            bytes_in: 0,
            bytes_out: 0,
        }
    }
}

/// Where workers hand their entries in.
#[derive(Clone)]
pub struct AccessLog {
    sender: SyncSender<(Format, Box<Entry>)>,
    format: Format,
}

impl AccessLog {
    /// Starts the writing thread. It ends once every clone of the log is gone and all is written.
    pub fn start(
        output: impl Write + Send + 'static,
    ) -> io::Result<(AccessLog, thread::JoinHandle<()>)> {
        let (sender, receiver) = sync_channel(CAPACITY);
        let thread = thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write_all(&receiver, output))?;
        let format = Format::Json;
        Ok((AccessLog { sender, format }, thread))
    }

    /// The same log, its lines in another format.
    pub fn in_format(&self, format: Format) -> AccessLog {
        let sender = self.sender.clone();
        AccessLog { sender, format }
    }

    /// False when the entry was dropped because too many wait.
    pub fn push(&self, entry: Box<Entry>) -> bool {
        self.sender.try_send((self.format, entry)).is_ok()
    }
}

fn write_all(entries: &Receiver<(Format, Box<Entry>)>, mut output: impl Write) {
    let mut lines = Vec::with_capacity(LINES);
    while let Ok((format, first)) = entries.recv() {
        first.write(format, &mut lines);
        // A sender wakes only a thread that waits, so this one sleeps while more come in.
        thread::sleep(GATHER);
        while lines.len() < LINES
            && let Ok((format, entry)) = entries.try_recv()
        {
            entry.write(format, &mut lines);
        }
        // Whoever reads the log may be gone; requests are served all the same.
        let _ = output.write_all(&lines).and_then(|()| output.flush());
        lines.clear();
    }
}

impl Entry {
    fn write(&self, format: Format, lines: &mut Vec<u8>) {
        match format {
            Format::Json => {
                // Writing to memory does not fail, and no value here refuses to be serialized.
                let _ = serde_json::to_writer(&mut *lines, self);
            }
            Format::Text => self.write_text(lines),
        }
        lines.push(b'\n');
    }

    fn write_text(&self, lines: &mut Vec<u8>) {
        let user = self.user_id.map(|id| id.to_string());
        let _ = write!(
            lines,
            "{} {} {} {} {:?} {} {:.3}ms {}->{} user={} route={} {}{}{}",
            self.timestamp(),
            text(&self.request_id),
            self.client_ip,
            self.method,
            self.path(),
            self.status,
            milliseconds(self.duration),
            self.bytes_in,
            self.bytes_out,
            user.as_deref().unwrap_or("-"),
            self.route.as_deref().unwrap_or("-"),
            self.decision,
            self.reason
                .map_or_else(String::new, |reason| format!(" ({reason})")),
            self.would_refuse
                .iter()
                .map(|refusal| format!(" (would refuse {refusal})"))
                .collect::<String>(),
        );
    }

    fn timestamp(&self) -> String {
        OffsetDateTime::from(self.time)
            .format(&Rfc3339)
            .unwrap_or_default()
    }

    /// The trace that the request is part of (W3C Trace Context, section 3.2.2).
    fn trace_id(&self) -> Option<&str> {
        let is_hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let is_zero = |text: &str| text.bytes().all(|b| b == b'0');
        let mut parts = self.traceparent.as_ref()?.to_str().ok()?.split('-');
        let (version, trace, parent, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let fields = [(version, 2), (trace, 32), (parent, 16), (flags, 2)];
        let is_well_formed = fields
            .iter()
            .all(|(text, length)| text.len() == *length && is_hex(text));
        // Later versions may say more; `ff` is none, and the first says no more.
        let is_known = version != "ff" && (version != "00" || parts.next().is_none());
        let is_valid = is_well_formed && is_known && !is_zero(trace) && !is_zero(parent);
        is_valid.then_some(trace)
    }

    fn path(&self) -> &str {
        self.target.as_ref().map_or("", PathAndQuery::path)
    }
}

fn milliseconds(duration: Duration) -> f64 {
    // Microseconds are as fine as anybody reads.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn text(value: &HeaderValue) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

/// `auth: token-missing`, and with the name of a limit `limits: rate-limited: writes`.
impl fmt::Display for WouldRefuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.part, self.reason)?;
        match &self.limit {
            Some(limit) => write!(f, ": {limit}"),
            None => Ok(()),
        }
    }
}

impl Serialize for WouldRefuse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("time", &self.timestamp())?;
        map.serialize_entry("request_id", &text(&self.request_id))?;
        map.serialize_entry("trace_id", &self.trace_id())?;
        map.serialize_entry("client_ip", &self.client_ip)?;
        map.serialize_entry("peer_ip", &self.peer_ip)?;
        map.serialize_entry("method", self.method.as_str())?;
        map.serialize_entry("host", &self.host.as_ref().map(text))?;
        map.serialize_entry("path", self.path())?;
        map.serialize_entry("protocol", &format!("{:?}", self.protocol))?;
        if self.is_handshake {
            map.serialize_entry("websocket", &true)?;
        }
        map.serialize_entry("status", &self.status)?;
        map.serialize_entry("duration_ms", &milliseconds(self.duration))?;
        map.serialize_entry("upstream", &self.upstream.as_deref())?;
        map.serialize_entry("upstream_ms", &self.upstream_time.map(milliseconds))?;
        map.serialize_entry("route", &self.route.as_deref())?;
        map.serialize_entry("user_id", &self.user_id)?;
        map.serialize_entry("session_id", &self.session_id)?;
        map.serialize_entry("auth", self.auth)?;
        map.serialize_entry("decision", self.decision)?;
        map.serialize_entry("reason", &self.reason)?;
        map.serialize_entry("limit", &self.limit)?;
        if let Some(cause) = &self.cause {
            map.serialize_entry("cause", cause)?;
        }
        if !self.would_refuse.is_empty() {
            map.serialize_entry("would_refuse", &self.would_refuse)?;
        }
        map.serialize_entry("bytes_in", &self.bytes_in)?;
        map.serialize_entry("bytes_out", &self.bytes_out)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What the log writes of these entries, after it was told that no more come.
    fn written(format: Format, entries: Vec<Entry>) -> String {
        let output = Written::default();
        let (started, thread) = AccessLog::start(output.clone()).unwrap();
        let log = started.in_format(format);
        drop(started);
        for entry in entries {
            assert!(log.push(Box::new(entry)));
        }
        drop(log);
        thread.join().unwrap();
        let bytes = output.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn entry() -> Entry {
        Entry {
            duration: Duration::from_nanos(1_234_567),
            request_id: HeaderValue::from_static("the-id"),
            target: Some(PathAndQuery::from_static("/a\"b?token=secret")),
            host: Some(HeaderValue::from_bytes(b"\xffhost").unwrap()),
            status: 403,
            route: Some("own-posts".into()),
            decision: "deny",
            reason: Some("forbidden"),
            cause: Some("line\nbreak".into()),
            ..Entry::default()
        }
    }

    #[test]
    fn each_entry_is_one_line_of_json_without_the_query() {
        let text = written(Format::Json, vec![entry(), entry()]);
        assert_eq!(text.lines().count(), 2);
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["time"], "1970-01-01T00:00:00Z");
            assert_eq!(value["path"], "/a\"b");
            assert_eq!(value["host"], "\u{fffd}host");
            assert_eq!(value["duration_ms"], 1.235);
            assert_eq!(value["reason"], "forbidden");
            assert_eq!(value["cause"], "line\nbreak");
            assert_eq!(value["upstream_ms"], serde_json::Value::Null);
        }
        assert!(!text.contains("secret"));
    }

    #[test]
    fn the_trace_is_told_where_the_client_names_one() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        const ZEROS: &str = "00000000000000000000000000000000";
        let of = |text: String| Entry {
            traceparent: HeaderValue::try_from(text).ok(),
            ..Entry::default()
        };
        for good in [
            format!("00-{TRACE}-00f067aa0ba902b7-01"),
            format!("cc-{TRACE}-00f067aa0ba902b7-00-what-comes"),
        ] {
            assert_eq!(of(good.clone()).trace_id(), Some(TRACE), "{good}");
        }
        for bad in [
            String::new(),
            TRACE.to_owned(),
            format!("00-{TRACE}-00f067aa0ba902b7"),
            format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            format!("00-{ZEROS}-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{TRACE}0-00f067aa0ba902b7-01"),
            format!("00-{TRACE}-00f067aa0ba902b7-1"),
        ] {
            assert_eq!(of(bad.clone()).trace_id(), None, "{bad}");
        }
        assert_eq!(Entry::default().trace_id(), None);
    }

    #[test]
    fn text_is_one_line_too() {
        let text = written(Format::Text, vec![entry()]);
        assert_eq!(
            text,
            "1970-01-01T00:00:00Z the-id 0.0.0.0 GET \"/a\\\"b\" 403 1.235ms 0->0 user=- \
             route=own-posts deny (forbidden)\n"
        );
    }

    #[test]
    fn what_would_have_been_refused_is_told_where_there_was_something() {
        let refusal = |limit: Option<&str>| WouldRefuse {
            part: "limits",
            reason: "rate-limited",
            limit: limit.map(Into::into),
        };
        let entry = || Entry {
            would_refuse: vec![refusal(Some("writes")), refusal(None)],
            ..entry()
        };
        let text = written(Format::Json, vec![entry(), Entry::default()]);
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let told = ["limits: rate-limited: writes", "limits: rate-limited"];
        assert_eq!(lines[0]["would_refuse"], serde_json::json!(told));
        assert_eq!(lines[1].get("would_refuse"), None);
        let text = written(Format::Text, vec![entry()]);
        let end =
            " (would refuse limits: rate-limited: writes) (would refuse limits: rate-limited)\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn a_log_that_nobody_reads_drops_entries_and_holds_nobody_up() {
        struct Stuck(std::sync::mpsc::Receiver<()>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (release, stuck) = std::sync::mpsc::channel();
        let (log, thread) = AccessLog::start(Stuck(stuck)).unwrap();
        // Some are taken out before the thread gets stuck on writing them.
        let pushed = (0..3 * CAPACITY)
            .take_while(|_| log.push(Box::new(entry())))
            .count();
        assert!((CAPACITY..3 * CAPACITY).contains(&pushed), "{pushed}");
        drop((log, release));
        thread.join().unwrap();
    }
}
