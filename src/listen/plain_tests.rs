use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use proptest::prelude::*;
use proptest::sample::select;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Notify;
use tokio_util::either::Either;

use super::connection::Protocol;
use super::gauge::{Gauge, Order};
use super::plain::{Next, Plain};
use super::service::Service;
use super::socket::Socket;
use super::{Connection, Handler};
use crate::body::{Body, Error};
use crate::limit;
use crate::visit::Scheme;

const GET: &str = "GET /one HTTP/1.1\r\nHost: a\r\n\r\n";
const HEAD: &str = "HEAD /two HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
const POST: &str = "POST /three HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";

fn connection() -> Connection {
    let end = ([127, 0, 0, 1], 80).into();
    Connection { peer: end, scheme: Scheme::Http }
}

fn service<H: Handler>(handler: H, gauge: &Arc<Gauge>) -> Service<H> {
    Service::new(handler, connection(), gauge.clone(), 100)
}

/// Serves what `far` sends with the answers of `handler`; what it has heard in the end.
async fn serve<H: Handler>(handler: H, said: &[&[u8]]) -> (Result<Next<DuplexStream>, std::io::Error>, String) {
    let gauge = Arc::new(Gauge::default());
    let (near, mut far) = duplex(1 << 20);
    let service = service(handler, &gauge);
    let talk = async {
        for piece in said {
            far.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        far.shutdown().await.unwrap();
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).await.unwrap();
        heard
    };
    let served = async {
        let next = Plain::new(near, BytesMut::new(), &gauge, (200, 10)).serve(&service).await;
        match next {
            // What is not plain is another one's: here nobody's.
            Ok(Next::Other(io, first, response)) => {
                drop(io);
                let (near, _) = duplex(1);
                Ok(Next::Other(near, first, response))
            }
            other => other,
        }
    };
    let (next, heard) = tokio::join!(served, talk);
    assert!(!gauge.is_busy() || matches!(next, Ok(Next::Other(_, _, Some(_)))));
    let heard = String::from_utf8(heard).unwrap();
    (next, heard.split_inclusive("\r\n").filter(|line| !line.starts_with("date: ")).collect())
}

fn path(request: Request<Body>, _: Connection) -> std::future::Ready<Response<Body>> {
    std::future::ready(Response::new(request.uri().path().to_owned().into()))
}

const ANSWERS: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n/oneHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n";

#[tokio::test]
async fn plain_requests_are_answered_in_their_order_however_they_come() {
    let all = [GET, HEAD, POST, GET].concat();
    let last = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n/threeHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n/one";
    let expected = format!("{ANSWERS}{last}");
    let (next, heard) = serve(path, &[all.as_bytes()]).await;
    assert!(matches!(next, Ok(Next::Closed)));
    assert_eq!(heard, expected);
    let bytes: Vec<_> = [GET, HEAD].concat().into_bytes();
    assert_eq!(serve(path, &bytes.chunks(1).collect::<Vec<_>>()).await.1, ANSWERS);
}

#[tokio::test]
async fn what_is_not_plain_is_given_on_unread() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(200));
    let endless = "x".repeat(300);
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let unfinished = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nhi";
    for other in
        [chunked, unfinished, "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", &long, &endless]
    {
        let (next, heard) = serve(path, &[[GET, HEAD, other, GET].concat().as_bytes()]).await;
        let Ok(Next::Other(_, first, None)) = next else { unreachable!("{other}") };
        assert_eq!(first, [other, GET].concat(), "{other}");
        assert_eq!(heard, ANSWERS);
    }
}

#[tokio::test]
async fn an_answer_of_unknown_length_is_given_on_with_its_request() {
    let calls = Rc::new(Cell::new(0));
    let counted = calls.clone();
    let handler = move |_: Request<Body>, _: Connection| {
        counted.set(counted.get() + 1);
        let frames = futures_util::stream::iter([Ok::<_, Error>(Frame::data(Bytes::from_static(b"some")))]);
        std::future::ready(Response::new(Body::new(StreamBody::new(frames))))
    };
    let (next, heard) = serve(handler, &[[POST, HEAD].concat().as_bytes()]).await;
    let Ok(Next::Other(_, first, Some(response))) = next else { unreachable!() };
    assert_eq!((first, heard.as_str(), calls.get()), ([POST, HEAD].concat().into(), "", 1));
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_body_of_known_length_is_sent_to_its_end_and_no_further() {
    let piece = |length: usize| Ok::<_, Error>(Frame::data(Bytes::from(vec![b'x'; length])));
    for (pieces, fits) in
        [(vec![3, 5000, 2, 70_000], true), (vec![75_005, 1], true), (vec![3, 5000, 2], false), (vec![75_006], false)]
    {
        let handler = move |_: Request<Body>, _: Connection| {
            let frames = futures_util::stream::iter(pieces.clone().into_iter().map(piece));
            std::future::ready(Response::new(Body::new(Sized(StreamBody::new(frames), 75_005))))
        };
        let (next, heard) = serve(handler, &[GET.as_bytes()]).await;
        assert_eq!(next.is_ok(), fits, "{heard:.50}");
        assert_eq!(heard.ends_with(&format!("content-length: 75005\r\n\r\n{}", "x".repeat(75_005))), fits);
    }
}

#[tokio::test]
async fn whoever_retires_answers_the_request_that_has_begun_and_says_so() {
    let gauge = Arc::new(Gauge::default());
    let (near, mut far) = duplex(1 << 20);
    let service = service(path, &gauge);
    let served = Plain::new(near, BytesMut::from(&GET[..9]), &gauge, (200, 10)).serve(&service);
    gauge.give(Order::Retire);
    let (next, heard) = tokio::join!(served, async {
        far.write_all(&GET.as_bytes()[9..]).await.unwrap();
        let mut heard = String::new();
        far.read_to_string(&mut heard).await.unwrap();
        heard
    });
    assert!(matches!(next, Ok(Next::Closed)));
    assert!(heard.contains("\r\nconnection: close\r\n") && heard.ends_with("/one"), "{heard}");
}

/// To close with bytes unread resets the connection, and what the kernel has not delivered yet is lost.
#[tokio::test]
async fn a_request_that_is_not_answered_any_more_does_not_cut_the_last_answer_short() {
    for plain in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpSocket::new_v4().unwrap();
        far.set_recv_buffer_size(4096).unwrap();
        let far = far.connect(listener.local_addr().unwrap());
        let (mut far, (near, _)) = tokio::try_join!(far, listener.accept()).unwrap();
        SockRef::from(&near).set_send_buffer_size(1 << 20).unwrap();
        let (asked, goes_on) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
        let (asks, waits) = (asked.clone(), goes_on.clone());
        let handler = move |_: Request<Body>, _: Connection| {
            let (asks, waits) = (asks.clone(), waits.clone());
            async move {
                asks.notify_one();
                waits.notified().await;
                Response::new(Body::from("x".repeat(LAST)))
            }
        };
        let (protocol, gauge) = (Protocol::new(&limit::Settings::default(), None), Arc::new(Gauge::default()));
        let (near, service) = (Socket::new(Either::Left(near), gauge.clone()), service(handler, &gauge));
        let served = async {
            match plain {
                true => protocol.speak_http1(near, BytesMut::new(), &gauge, service).await,
                false => protocol.speak_any_http1(near, Bytes::new(), &gauge, service).await,
            }
        };
        let (served, heard) = tokio::join!(served, async {
            far.write_all(GET.as_bytes()).await.unwrap();
            asked.notified().await;
            far.write_all(GET.as_bytes()).await.unwrap();
            gauge.give(Order::Retire);
            goes_on.notify_one();
            while gauge.is_busy() {
                tokio::task::yield_now().await;
            }
            let mut heard = Vec::new();
            let read = far.read_to_end(&mut heard).await;
            // The other side has waited for this.
            drop(far);
            read.map(|_| heard)
        });
        served.unwrap();
        let heard = String::from_utf8(heard.unwrap()).unwrap();
        assert!(heard.contains("\r\nconnection: close\r\n") && heard.ends_with(&"x".repeat(LAST)), "{heard:.200}");
        assert_eq!(heard.matches("HTTP/1.1").count(), 1);
    }
}

/// So much the kernel takes on this side while nobody reads it on the other.
const LAST: usize = 100_000;

/// What a client hears, and what the handler was asked, if these bytes are read with `plain` or by the general server
/// alone.
async fn told(said: &[u8], plain: bool) -> (String, Vec<String>) {
    let limits = limit::Settings { header_bytes: 400, header_fields: 6, ..limit::Settings::default() };
    let (protocol, gauge) = (Protocol::new(&limits, None), Arc::new(Gauge::default()));
    let asked = Rc::new(RefCell::new(Vec::new()));
    let noted = asked.clone();
    let handler = move |request: Request<Body>, _: Connection| {
        let (parts, body) = request.into_parts();
        let noted = noted.clone();
        async move {
            let body = body.read(1000).await.map_err(|error| error.to_string());
            let target = parts.uri.to_string();
            noted.borrow_mut().push(format!("{} {target} {:?} {body:?}", parts.method, parts.headers));
            let mut response = Response::new(match target.as_str() {
                "/none" => Body::empty(),
                "/open" => Body::new(StreamBody::new(futures_util::stream::iter([Ok::<_, Error>(Frame::data(
                    Bytes::from_static(b"open"),
                ))]))),
                _ => Body::from(target.clone()),
            });
            *response.status_mut() = match target.as_str() {
                "/204" => StatusCode::NO_CONTENT,
                "/304" => StatusCode::NOT_MODIFIED,
                "/404" => StatusCode::NOT_FOUND,
                _ => StatusCode::OK,
            };
            if target == "/last" {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    };
    let (near, mut far) = duplex(1 << 16);
    let service = service(handler, &gauge);
    let served = async {
        let _ = match plain {
            true => protocol.speak_http1(near, BytesMut::new(), &gauge, service).await,
            false => protocol.speak_any_http1(near, Bytes::new(), &gauge, service).await,
        };
    };
    let ((), heard) = tokio::join!(served, async {
        let _ = far.write_all(said).await;
        let _ = far.shutdown().await;
        let mut heard = Vec::new();
        let _ = far.read_to_end(&mut heard).await;
        heard
    });
    let heard = String::from_utf8(heard).unwrap();
    // The order of fields is of no account, nor are blanks at the end.
    let mut lines: Vec<_> = heard.lines().filter(|line| !line.starts_with("date: ")).collect();
    lines.sort_unstable();
    let asked = asked.take();
    (lines.join("\n"), asked)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_the_plain_way_changes_nothing(
        requests in proptest::collection::vec(
            (
                select(vec!["GET", "GET", "HEAD", "POST", "OPTIONS", "PURGE", "get", "CONNECT", "G T", ""]),
                select(vec![
                    "/", "/a?b=c", "/none", "/204", "/304", "/404", "/last", "/open", "*", "http://a.test/x", "/a#b",
                    "/%zz", "/\u{e4}", "/a\"b", "//b", "a", "/a\tb",
                ]),
                select(vec!["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "http/1.1"]),
                proptest::collection::vec(select(vec![
                    "Host: a.test", "Host: a.test", "host:b.test", "X-A: 1", "x-a:\t 2 \t", "X-A:", "Cookie: a=b; c",
                    "Connection: keep-alive", "Connection: close", "Connection: x-a", "Content-Length: 0",
                    "Content-Length: 2", "Content-Length: +0", "Transfer-Encoding: chunked", "Upgrade: h2c",
                    "Upgrade: websocket", "Expect: 100-continue", "TE: trailers", "X-A: \u{e4}", "X-A: a\rb", "X A: 1",
                    "X-A : 1", " folded", "X-A: \u{c}1", "X-A: \u{0}", "X-A: \u{7f}", "no colon", "X-B: 1\nX-C: 2",
                    "X-Long: 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890",
                ]), 0..6),
                select(vec!["\r\n\r\n", "\r\n\r\n", "\r\n\r\n", "\r\n\r\nhi", "\r\n\r\n0\r\n\r\n", "\n\n", "\r\n"]),
            ),
            1..4,
        ),
    ) {
        let said: String = requests
            .iter()
            .map(|(method, target, version, fields, end)| {
                format!("{method} {target} {version}\r\nHost: a\r\n{}{end}", fields.join("\r\n"))
            })
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let tell = |plain| runtime.block_on(told(said.as_bytes(), plain));
        prop_assert_eq!(tell(true), tell(false), "{}", said);
    }
}

/// A body that says how long it is.
struct Sized<B>(B, u64);

impl<B: http_body::Body + Unpin> http_body::Body for Sized<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(cx)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.1)
    }
}
