use std::time::Duration;

use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response};
use rcgen::{CertificateParams, KeyPair};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, advance, sleep};

use super::{Address, Error, Pool, Tls, Upstreams};
use crate::body::Body;
use crate::limit::Timeouts;

async fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
}

async fn ask(pool: &Pool, method: &Method) -> Result<Response<Body>, Error> {
    let head = format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n");
    pool.ask(0, method, head.as_bytes(), Instant::now().into_std()).await
}

/// Serves one request, then ends the connection at the second; whether that one came again on another.
async fn comes_again(method: Method) -> Result<bool, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let pool = Upstreams::new(vec![address], Timeouts::default()).pool();
    let upstream = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        read_head(&mut stream).await;
        drop(stream);
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    });
    assert_eq!(ask(&pool, &Method::GET).await.unwrap().status(), 204);
    let answer = ask(&pool, &method).await;
    upstream.abort();
    answer.map(|response| response.status() == 205)
}

#[tokio::test]
async fn a_request_that_met_a_dying_connection_is_repeated_if_that_is_safe() {
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        assert!(comes_again(method).await.unwrap());
    }
    for method in [Method::POST, Method::DELETE] {
        assert!(matches!(comes_again(method).await, Err(Error::Broken(_))));
    }
}

#[tokio::test]
async fn a_length_that_is_not_the_bodys_is_not_sent_as_it_stands() {
    let pool = Upstreams::new(vec!["http://127.0.0.1:9".parse().unwrap()], Timeouts::default()).pool();
    for (length, body, expected) in [
        (None, "", true),
        (Some("0"), "", true),
        (Some("5"), "", false),
        (Some("0, 5"), "", false),
        (Some("5"), "hello", true),
        (Some("4"), "hello", false),
        (Some("5, 5"), "hello", false),
        (None, "hello", false),
    ] {
        let mut request = Request::new(Body::from(body));
        if let Some(length) = length {
            request.headers_mut().insert(CONTENT_LENGTH, length.parse().unwrap());
        }
        assert_eq!(pool.takes_whole(0, &request), expected, "{length:?} {body}");
    }
}

#[tokio::test]
async fn a_request_goes_out_twice_at_most() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let pool = Upstreams::new(vec![address], Timeouts::default()).pool();
    let upstream = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        for _ in 0..2 {
            read_head(&mut stream).await;
            drop(stream);
            stream = listener.accept().await.unwrap().0;
        }
    });
    assert_eq!(ask(&pool, &Method::GET).await.unwrap().status(), 204);
    assert!(matches!(ask(&pool, &Method::GET).await, Err(Error::Broken(_))));
    upstream.abort();
}

/// Every request pays for copying what it carries, and for the cache it fills.
#[tokio::test]
async fn what_waits_for_an_answer_is_small() {
    let address = "http://127.0.0.1:9".parse().unwrap();
    let pool = Upstreams::new(vec![address], Timeouts::default()).pool();
    let size = size_of_val(&pool.ask(0, &Method::GET, b"", std::time::Instant::now()));
    assert!(size <= 1024, "{size} bytes");
}

/// A request meets a first connection that has been pending for half of the limit and comes to nothing in the other
/// half. Then its own is accepted a quarter later, by somebody who answers HTTP and never says a word of TLS. How that
/// ended, and after which part of the limit.
async fn meets_a_slow_one(scheme: &str) -> (Result<Response<Body>, Error>, f64) {
    // One place in the queue, which is taken: the kernel leaves others pending.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let listener = std::net::TcpListener::from(socket);
    let _before = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let authority = CertificateParams::new(Vec::new()).unwrap().self_signed(&KeyPair::generate().unwrap()).unwrap();
    std::fs::write(&ca, authority.pem()).unwrap();
    let address: Address = format!("{scheme}://{}", listener.local_addr().unwrap()).parse().unwrap();
    let tls = [(address.clone(), Tls { ca: Some(ca), ..Tls::default() })].into();
    let upstreams = Upstreams::open(vec![address], Timeouts::default(), &tls).unwrap();
    upstreams.look();
    tokio::task::yield_now().await;
    advance(LIMIT / 2).await;

    let asked = Instant::now();
    let upstream = tokio::spawn(async move {
        sleep(LIMIT * 3 / 4).await;
        // The clock stands still meanwhile: the kernel tries again in its own time.
        let accepted = tokio::task::spawn_blocking(move || (listener.accept().unwrap(), listener.accept().unwrap().0));
        let stream = accepted.await.unwrap().1;
        stream.set_nonblocking(true).unwrap();
        let mut stream = TcpStream::from_std(stream).unwrap();
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    });
    let outcome = ask(&upstreams.pool(), &Method::GET).await;
    upstream.abort();
    (outcome, asked.elapsed().as_secs_f64() / LIMIT.as_secs_f64())
}

const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn one_limit_is_for_waiting_for_the_first_connection_for_tcp_and_for_tls_together() {
    assert_eq!(Timeouts::default().connect, LIMIT);
    let (answer, part) = meets_a_slow_one("http").await;
    assert_eq!(answer.unwrap().status(), 204);
    assert!((0.75..0.76).contains(&part), "{part}");
    let (silence, part) = meets_a_slow_one("https").await;
    assert!(matches!(silence, Err(Error::Down(_))), "{silence:?}");
    assert!((1.0..1.01).contains(&part), "{part} of the limit");
}
