//! Who is asked, how often, and what is made of the answer.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use super::*;
use crate::config::checked::{self, JsonPointer};
use crate::forward::Directory;
use crate::route::sample;

thread_local! {
    // Tests run on threads of their own, and each on one.
    static NOW: Cell<Instant> = Cell::new(Instant::now());
}

fn advance(span: Duration) {
    NOW.set(NOW.get() + span);
}

/// An upstream that answers every request with the same bytes.
#[derive(Default)]
struct Origin {
    heads: RefCell<Vec<String>>,
    answer: RefCell<Vec<u8>>,
    is_mute: Cell<bool>,
    /// Whatever is below this path gets no answer.
    holds: Cell<Option<&'static str>>,
}

impl Origin {
    async fn serve(self: Rc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(Rc::clone(&self).answer(stream));
        }
    }

    async fn answer(self: Rc<Self>, mut stream: TcpStream) {
        let mut head = Vec::new();
        let mut byte = [0];
        while stream.read_exact(&mut byte).await.is_ok() {
            head.push(byte[0]);
            if head.ends_with(b"\r\n\r\n") {
                let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
                let is_held = |path| text.starts_with(&format!("GET {path}"));
                let is_held = self.holds.get().is_some_and(is_held);
                self.heads.borrow_mut().push(text);
                if is_held {
                    continue;
                }
                if self.is_mute.get() {
                    return;
                }
                let answer = self.answer.borrow().clone();
                stream.write_all(&answer).await.unwrap();
            }
        }
    }

    fn says(&self, status: u16, body: &[u8]) {
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        *self.answer.borrow_mut() = [head.as_bytes(), body].concat();
    }

    fn times_asked(&self) -> usize {
        self.heads.borrow().len()
    }
}

/// Two upstreams, `a` and `b`, and what one worker asks them by.
struct Scene {
    config: Config,
    origins: [Rc<Origin>; 2],
    look_ups: Arc<LookUps>,
    upstreams: Arc<Upstreams>,
    pools: WorkerPools,
}

impl Scene {
    async fn new() -> Scene {
        let mut config = sample::config(Vec::new());
        let origins = [Rc::<Origin>::default(), Rc::default()];
        for (name, origin) in ["a", "b"].into_iter().zip(&origins) {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            config.upstreams.push(checked::Upstream {
                name: name.into(),
                targets: vec![checked::Target {
                    host: "127.0.0.1".into(),
                    port: listener.local_addr().unwrap().port(),
                }],
                connect_timeout: PATIENCE,
                response_timeout: PATIENCE,
                idle_timeout: PATIENCE,
            });
            origin.says(200, br#"{"by":"alice","n":7}"#);
            tokio::task::spawn_local(Rc::clone(origin).serve(listener));
        }
        let upstreams = Arc::new(Upstreams::build(&config, &Directory::default()));
        Scene {
            origins,
            look_ups: Arc::new(LookUps::with_clock(&config, None, || NOW.get())),
            pools: WorkerPools::build(&upstreams, None),
            upstreams,
            config,
        }
    }

    async fn ask(&self, upstream: usize, target: &str, field: &str) -> Result<String, String> {
        let found = self.ask_whether_for_now(upstream, target, field).await;
        found.map_err(|unknown| unknown.why)
    }

    async fn ask_whether_for_now(
        &self,
        upstream: usize,
        target: &str,
        field: &str,
    ) -> Result<String, Unknown> {
        let asker = Asker::new(&self.look_ups, &self.upstreams, &self.pools);
        look_up(&asker, upstream, target, field).await
    }

    async fn ask_in_turn(&self, upstream: usize, target: &str) -> Result<String, Unknown> {
        let asker = Asker::in_turn(&self.look_ups, &self.upstreams, &self.pools);
        look_up(&asker, upstream, target, "/by").await
    }
}

async fn look_up(
    asker: &Asker<'_>,
    upstream: usize,
    target: &str,
    field: &str,
) -> Result<String, Unknown> {
    let field: JsonPointer = field.parse().unwrap();
    let question = Question {
        upstream,
        host: None,
        target,
        field: &field,
    };
    asker.look_up(question).await
}

fn run(test: impl AsyncFnOnce(Scene)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async { test(Scene::new().await).await });
}

#[test]
fn a_request_says_nothing_of_any_client() {
    run(async |scene| {
        let found = scene.ask(0, "/posts/7?x=1", "/by").await;
        assert_eq!(found.as_deref(), Ok("alice"));
        let heads = scene.origins[0].heads.borrow();
        let [head] = heads.as_slice() else {
            panic!("{heads:?}");
        };
        let mut lines: Vec<&str> = head.trim_end().split("\r\n").collect();
        assert_eq!(lines.remove(0), "GET /posts/7?x=1 HTTP/1.1");
        lines.sort_unstable();
        let host = lines.pop().unwrap();
        assert!(host.starts_with("host: 127.0.0.1:"), "{head}");
        assert_eq!(lines, ["accept: application/json"]);
    });
}

#[test]
fn all_that_ask_the_same_at_once_share_one_request() {
    run(async |scene| {
        let ask = |field| scene.ask(0, "/posts/7", field);
        let (a, b, c) = tokio::join!(ask("/by"), ask("/by"), ask("/n"));
        assert_eq!(
            (a, b, c),
            (Ok("alice".into()), Ok("alice".into()), Ok("7".into()))
        );
        assert_eq!(scene.origins[0].times_asked(), 1);
        assert!(scene.look_ups.flights[0].count() == 0);
    });
}

#[test]
fn answers_are_remembered_by_all_that_was_asked() {
    run(async |scene| {
        for _ in 0..3 {
            assert!(scene.ask(0, "/posts/7", "/by").await.is_ok());
        }
        assert_eq!(scene.origins[0].times_asked(), 1);
        scene.origins[1].says(200, br#"{"by":"bob"}"#);
        assert_eq!(scene.ask(1, "/posts/7", "/by").await.as_deref(), Ok("bob"));
        assert_eq!(
            scene.ask(0, "/posts/7", "/by").await.as_deref(),
            Ok("alice")
        );
        for target in ["/posts/8", "/posts/7?", "/posts/7/"] {
            assert!(scene.ask(0, target, "/by").await.is_ok());
        }
        assert_eq!(scene.origins[0].times_asked(), 4);
        let host = HeaderValue::from_static("api.example.com");
        let field = "".parse().unwrap();
        let question = |host| Question {
            upstream: 0,
            host,
            target: "/posts/7",
            field: &field,
        };
        assert_ne!(key(&question(None)), key(&question(Some(&host))));
    });
}

#[test]
fn what_has_grown_old_is_asked_again() {
    run(async |scene| {
        let (by, n) = ("/by", "/n");
        assert!(scene.ask(0, "/posts/7", by).await.is_ok());
        scene.origins[0].says(200, br#"{"by":"bob"}"#);
        advance(REMEMBERED / 2);
        assert_eq!(scene.ask(0, "/posts/7", n).await.as_deref(), Ok("7"));
        advance(REMEMBERED / 2);
        // What was found in it is as old as the answer itself.
        assert!(scene.ask(0, "/posts/7", n).await.is_err());
        assert_eq!(scene.ask(0, "/posts/7", by).await.as_deref(), Ok("bob"));
        assert_eq!(scene.origins[0].times_asked(), 2);

        scene.origins[0].says(500, b"");
        assert!(scene.ask(0, "/posts/8", by).await.is_err());
        scene.origins[0].says(200, br#"{"by":"bob"}"#);
        assert!(scene.ask(0, "/posts/8", by).await.is_err());
        advance(FAILURE_REMEMBERED);
        assert_eq!(scene.ask(0, "/posts/8", by).await.as_deref(), Ok("bob"));
    });
}

#[test]
fn an_answer_is_read_once_for_each_field() {
    run(async |scene| {
        for field in ["/by", "/n"] {
            assert!(scene.ask(0, "/posts/7", field).await.is_ok());
        }
        // Whoever reads it again finds another one.
        let key = "0 /posts/7";
        let mut known = scene.look_ups.answers.get(key).unwrap();
        known.answer = Ok(Bytes::from_static(b"{}"));
        scene.look_ups.answers.insert(key.into(), known);
        for (field, value) in [("/by", "alice"), ("/n", "7")] {
            let found = scene.ask(0, "/posts/7", field).await;
            assert_eq!(found.as_deref(), Ok(value));
        }
        assert!(scene.ask(0, "/posts/7", "/x").await.is_err());
    });
}

#[test]
fn what_is_no_answer_says_why() {
    run(async |scene| {
        let large = [
            b"{\"by\":\"alice\",\"x\":\"".as_slice(),
            &[b'x'; LARGEST],
            b"\"}",
        ]
        .concat();
        let origin = &scene.origins[0];
        for (nth, (status, body, why)) in [
            (404, &b"{\"by\":\"alice\"}"[..], "was answered with 404"),
            (201, b"{\"by\":\"alice\"}", "was answered with 201"),
            (302, b"{\"by\":\"alice\"}", "was answered with 302"),
            (500, b"", "was answered with 500"),
            (200, b"", "was answered with no JSON"),
            (200, b"<p>", "was answered with no JSON"),
            (
                200,
                b"{\"by\":\"alice\",\"by\":\"bob\"}",
                "was answered with no JSON",
            ),
            (200, b"{}", "was answered without `/by`"),
            (
                200,
                b"{\"by\":null}",
                "was answered with neither text nor a whole number at `/by`",
            ),
            (
                200,
                b"{\"by\":\"alice\",\"x\":\"\xff\"}",
                "was answered with no UTF-8",
            ),
            (200, &large, "was not answered whole: length limit exceeded"),
        ]
        .into_iter()
        .enumerate()
        {
            origin.says(status, body);
            let target = format!("/{nth}");
            let told = scene.ask(0, &target, "/by").await;
            assert_eq!(told, Err(format!("GET {target} {why}")));
            let again = scene.ask(0, &target, "/by").await;
            assert_eq!((again, origin.times_asked()), (told, nth + 1));
        }
        *origin.answer.borrow_mut() = b"HTTP/1.1 200 X\r\nTransfer-Encoding: gzip\r\n\r\n".to_vec();
        let told = scene.ask(0, "/coding", "/by").await.unwrap_err();
        assert!(told.contains("failed: "), "{told}");
        let packed =
            b"HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\nContent-Length: 14\r\n\r\n".as_slice();
        *origin.answer.borrow_mut() = [packed, b"{\"by\":\"alice\"}".as_slice()].concat();
        let told = scene.ask(0, "/packed", "/by").await.unwrap_err();
        assert_eq!(told, "GET /packed was answered in a content coding");
        origin.is_mute.set(true);
        let told = scene.ask(0, "/mute", "/by").await.unwrap_err();
        assert!(told.contains("failed: "), "{told}");
        assert!(scene.ask(0, "no path", "/by").await.is_err());
        assert!(scene.ask(9, "/posts/7", "/by").await.is_err());
        assert!(scene.look_ups.flights[0].count() == 0);
    });
}

#[test]
fn it_goes_on_when_whoever_asked_first_leaves() {
    run(async |scene| {
        {
            let first = scene.ask(0, "/posts/7", "/by");
            let second = scene.ask(0, "/posts/7", "/by");
            let mut first = Box::pin(first);
            assert!(futures_poll(&mut first).is_none());
            drop(first);
            assert_eq!(second.await.as_deref(), Ok("alice"));
        }
        assert_eq!(scene.origins[0].times_asked(), 1);
    });
}

fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn it_is_asked_anew_when_the_worker_of_whoever_asked_first_ends() {
    run(async |scene| {
        let worker = LocalSet::new();
        worker
            .run_until(async {
                let mut first = Box::pin(scene.ask(0, "/posts/7", "/by"));
                assert!(futures_poll(&mut first).is_none());
            })
            .await;
        let mut second = Box::pin(scene.ask(0, "/posts/7", "/by"));
        assert!(futures_poll(&mut second).is_none());
        assert_eq!(scene.look_ups.flights[0].count(), 1);
        drop(worker);
        assert_eq!(second.await.as_deref(), Ok("alice"));
    });
}

#[test]
fn no_more_than_so_many_are_under_way() {
    run(async |scene| {
        let flights = RefCell::new(Vec::new());
        for nth in 0..UNDER_WAY {
            let key = format!("0  /{nth}");
            let begin = |flight| flights.borrow_mut().push(flight);
            let begun = scene.look_ups.flights[0].begin(&key, || None, begin);
            assert!(begun.is_ok());
        }
        let told = scene.ask(0, "/posts/7", "/by").await;
        assert_eq!(
            told.unwrap_err(),
            "GET /posts/7 has to wait for too many others"
        );
        assert_eq!(scene.origins[0].times_asked(), 0);
        // Another upstream has room of its own.
        assert!(scene.ask(1, "/posts/7", "/by").await.is_ok());
    });
}

#[test]
fn what_the_upstream_may_answer_in_a_moment_is_unknown_for_now() {
    run(async |scene| {
        let is_for_now = async |target: &str| {
            let told = scene.ask_whether_for_now(0, target, "/by").await;
            told.unwrap_err().is_for_now
        };
        let origin = &scene.origins[0];
        for (status, expected) in [
            (500, true),
            (503, true),
            (429, true),
            (404, false),
            (403, false),
            (302, false),
        ] {
            origin.says(status, b"{}");
            let target = format!("/{status}");
            assert_eq!(is_for_now(&target).await, expected, "{status}");
            assert_eq!(is_for_now(&target).await, expected, "{status}, remembered");
        }
        origin.says(200, b"{}");
        assert!(!is_for_now("/without").await);
        origin.says(200, &[b'x'; LARGEST + 1]);
        assert!(!is_for_now("/large").await);
        origin.is_mute.set(true);
        assert!(is_for_now("/mute").await);
        let flights = RefCell::new(Vec::new());
        for nth in 0..UNDER_WAY {
            let begin = |flight| flights.borrow_mut().push(flight);
            let begun = scene.look_ups.flights[0].begin(&format!("0  /{nth}"), || None, begin);
            assert!(begun.is_ok());
        }
        assert!(is_for_now("/full").await);
    });
}

/// Has work go on for as long as it does anything.
async fn until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain");
        tokio::task::yield_now().await;
    }
}

#[test]
fn of_those_that_ask_in_turn_few_are_under_way_and_others_find_room() {
    run(async |scene| {
        assert!(scene.ask(0, "/known", "/by").await.is_ok());
        let [slow, other] = &scene.origins;
        slow.holds.set(Some("/held"));
        let targets: Vec<_> = (0..100).map(|nth| format!("/held/{nth}")).collect();
        let asking: Vec<_> = targets.iter().map(|at| scene.ask_in_turn(0, at)).collect();
        let mut asking: Vec<_> = asking.into_iter().map(Box::pin).collect();
        for one in &mut asking {
            assert!(futures_poll(one).is_none());
        }
        assert_eq!(scene.look_ups.flights[0].count(), IN_TURN);
        until(|| slow.times_asked() == 1 + IN_TURN).await;
        // Requests, what is remembered, and other upstreams wait for none of them.
        assert!(scene.ask(0, "/free", "/by").await.is_ok());
        assert!(scene.ask_in_turn(0, "/known").await.is_ok());
        assert!(scene.ask_in_turn(1, "/posts/7").await.is_ok());
        assert_eq!(other.times_asked(), 1);
        // Whoever leaves the line asks nothing.
        asking.drain(1..IN_TURN + 9);
        until(|| {
            asking.retain_mut(|one| futures_poll(one).is_none());
            slow.times_asked() >= 2 + IN_TURN + IN_TURN
        })
        .await;
        let heads = slow.heads.borrow();
        let is_asked = |at| {
            heads
                .iter()
                .any(|head| head.starts_with(&format!("GET /held/{at} ")))
        };
        assert!(!(IN_TURN..IN_TURN + 9).any(is_asked) && is_asked(IN_TURN + 9));
    });
}

#[test]
fn whoever_leaves_gives_no_turn_back_while_the_upstream_is_asked() {
    run(async |mut scene| {
        let slow = Rc::clone(&scene.origins[0]);
        slow.holds.set(Some("/held"));
        let mut before: Vec<Arc<LookUps>> = Vec::new();
        let under_way = |before: &[Arc<LookUps>]| -> usize {
            let counts = before.iter().map(|look_ups| look_ups.flights[0].count());
            counts.sum()
        };
        // Each configuration has all asked about anew, whatever the last one has begun.
        for nth in 0..5 {
            let next = LookUps::with_clock(&scene.config, Some(&scene.look_ups), || NOW.get());
            scene.look_ups = Arc::new(next);
            before.push(Arc::clone(&scene.look_ups));
            let targets: Vec<_> = (0..40).map(|at| format!("/held/{nth}/{at}")).collect();
            let asking = targets.iter().map(|at| scene.ask_in_turn(0, at));
            for mut one in asking.map(Box::pin).collect::<Vec<_>>() {
                assert!(futures_poll(&mut one).is_none());
            }
            assert_eq!(under_way(&before), IN_TURN);
            tokio::task::yield_now().await;
        }
        assert!(scene.ask_in_turn(0, "/free").await.is_ok());
    });
}

#[test]
fn the_time_of_whoever_asks_in_turn_begins_with_the_turn() {
    run(async |scene| {
        let of = |asker: &Asker<'_>| asker.until;
        let (look_ups, upstreams, pools) = (&scene.look_ups, &scene.upstreams, &scene.pools);
        assert!(of(&Asker::new(look_ups, upstreams, pools)).is_some());
        assert!(of(&Asker::in_turn(look_ups, upstreams, pools)).is_none());
        let turns = scene.look_ups.lines[0]
            .turns
            .acquire_many(IN_TURN as u32)
            .await;
        let mut asking = Box::pin(scene.ask_in_turn(0, "/posts/7"));
        assert!(futures_poll(&mut asking).is_none());
        assert_eq!(scene.look_ups.flights[0].count(), 0);
        drop(turns);
        assert_eq!(asking.await.as_deref(), Ok("alice"));
    });
}
