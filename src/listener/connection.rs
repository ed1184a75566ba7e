//! One client connection: HTTP/1.1 with keep-alive, until either side has had enough.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;

use super::drain::{Order, Place};
use super::stream::ClientStream;
use crate::gateway::{self, Connection, Worker};

/// Bytes that are held of a body that the other side is slow to take.
const BUFFER: usize = 64 << 10;

/// So many times the largest head can still be read, and told that it is too large. Beyond that the HTTP
/// library answers, without a body.
const READABLE: usize = 2;

/// Serves requests until the connection ends or, once `place` is told to finish, is between two.
pub async fn serve(
    worker: Rc<Worker>,
    stream: std::net::TcpStream,
    place: Place,
    max_header: usize,
) -> std::io::Result<()> {
    let stream = TcpStream::from_std(stream)?;
    stream.set_nodelay(true)?;
    let connection = Rc::new(Connection::new(stream.peer_addr()?, stream.local_addr()?));
    place.signal.watch(&connection);
    let handled = service_fn(|request| {
        let worker = Rc::clone(&worker);
        let connection = Rc::clone(&connection);
        async move { Ok::<_, Infallible>(gateway::handle(&worker, &connection, request).await) }
    });
    let mut http = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            // Its timer would be made and dropped for every request: `Open::close_stale` instead.
            .header_read_timeout(None)
            .max_header_size(max_header * READABLE)
            .max_buf_size((max_header * READABLE).max(BUFFER))
            .serve_connection(ClientStream::new(stream, Rc::clone(&connection)), handled)
    );
    let mut told = false;
    let ended = poll_fn(|cx| {
        match place.signal.told(cx.waker()) {
            Some(Order::Close) => return Poll::Ready(Ok(())),
            Some(Order::Finish) if !told => {
                http.as_mut().graceful_shutdown();
                told = true;
            }
            Some(Order::Finish) | None => {}
        }
        http.as_mut().poll(cx)
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "client connection ended");
    }
    Ok(())
}
