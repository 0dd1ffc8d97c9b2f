use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Error, Pool, Upstreams};
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
    pool.ask(0, method, head.as_bytes(), std::time::Instant::now()).await
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
