//! One client connection: HTTP/1.1 with keep-alive, until either side has had enough or a request turns it
//! into a tunnel.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use hyper::rt::Write;
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
    let mut http = http1::Builder::new()
        .timer(TokioTimer::new())
        // Its timer would be made and dropped for every request: `Open::close_stale` instead.
        .header_read_timeout(None)
        .max_header_size(max_header * READABLE)
        .max_buf_size((max_header * READABLE).max(BUFFER))
        .serve_connection(ClientStream::new(stream, Rc::clone(&connection)), handled);
    let mut told = false;
    let ended = poll_fn(|cx| {
        let mut http = Pin::new(&mut http);
        match place.signal.told(cx.waker()) {
            Some(Order::Close) => return Poll::Ready(None),
            Some(Order::Finish) if !told => {
                if connection.finishes() {
                    http.as_mut().graceful_shutdown();
                }
                told = true;
            }
            Some(Order::Finish) | None => {}
        }
        http.poll(cx).map(Some)
    });
    let ended = ended.await;
    let tunnel = connection.take_tunnel();
    match ended {
        None => return Ok(()),
        Some(Err(error)) => {
            tracing::debug!(%error, "client connection ended");
            return Ok(());
        }
        Some(Ok(())) => {}
    }
    let http1::Parts {
        io: mut stream,
        read_buf,
        ..
    } = http.into_parts();
    match tunnel {
        Some(tunnel) => {
            stream.becomes_tunnel();
            until_closed(&place, tunnel.run(stream, read_buf)).await;
        }
        // The HTTP library leaves it open where any request has asked for another protocol.
        None => {
            let shut = poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx));
            let _ = until_closed(&place, shut).await;
        }
    }
    Ok(())
}

/// Runs what only an order to close cuts short.
async fn until_closed<F: Future>(place: &Place, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match place.signal.told(cx.waker()) {
        Some(Order::Close) => Poll::Ready(None),
        Some(Order::Finish) | None => future.as_mut().poll(cx).map(Some),
    })
    .await
}
