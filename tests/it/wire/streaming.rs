use http_body_util::BodyExt as _;

use super::*;
use crate::support::Site;

#[tokio::test]
async fn an_answer_streams_before_it_is_complete() {
    let (go, mut went) = tokio::sync::mpsc::channel::<()>(1);
    let upstream = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").await.unwrap();
        went.recv().await;
        stream.write_all(b"4\r\nlast\r\n0\r\n\r\n").await.unwrap();
    })
    .await;
    let proxy = Proxy::to(upstream).await;
    let mut stream = proxy.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    read_head(&mut stream).await;
    assert_eq!(read_exactly(&mut stream, 10).await, "5\r\nfirst\r\n");
    go.send(()).await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "4\r\nlast\r\n0\r\n\r\n");
}

#[tokio::test]
async fn an_upload_streams_before_it_is_complete() {
    let (report, mut reports) = tokio::sync::mpsc::channel(1);
    let upstream = upstream(|mut stream| async move {
        assert!(read_head(&mut stream).await.starts_with("POST /up HTTP/1.1\r\n"));
        report.send(read_exactly(&mut stream, 5).await).await.unwrap();
        report.send(read_exactly(&mut stream, 4).await).await.unwrap();
        stream.write_all(OK.as_bytes()).await.unwrap();
    })
    .await;
    let proxy = Proxy::to(upstream).await;
    let mut stream = proxy.connect().await;
    stream.write_all(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nfirst").await.unwrap();
    assert_eq!(reported(&mut reports).await, "first");
    stream.write_all(b"last").await.unwrap();
    assert_eq!(reported(&mut reports).await, "last");
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn sec_hdr_09_only_announced_and_harmless_trailers_pass_in_both_directions() {
    let (report, mut reports) = tokio::sync::mpsc::channel(2);
    let upstream = upstream(|mut stream| async move {
        for _ in 0..2 {
            report.send((read_head(&mut stream).await, read_head(&mut stream).await)).await.unwrap();
            let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Set-Cookie, X-Up\r\n\r\n\
                2\r\nok\r\n0\r\nSet-Cookie: __Host-vestibule=x\r\nX-Up: 9\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let proxy = Proxy::with(upstream, |settings, _| settings.workers = 1).await;
    let mut stream = proxy.connect().await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-Auth-User, X-Sum\r\n\
        Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\nX-Auth-User: admin\r\n\
        Authorization: Bearer x\r\nX-Silent: 2\r\nX-Sum: 1\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = read_to_end(&mut stream).await.to_lowercase();
    assert!(answer.contains("trailer: x-up\r\n") && !answer.contains("set-cookie"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n2\r\nok\r\n0\r\nx-up: 9\r\n\r\n"), "{answer}");
    let (head, body) = reported(&mut reports).await;
    assert!(head.contains("trailer: x-sum\r\n"), "{head}");
    assert_eq!(body, "5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n");

    let mut client = super::limits::http2(&proxy).await;
    let fields = [("x-auth-user", "admin"), ("x-silent", "2"), ("x-sum", "1")];
    let trailers = http::HeaderMap::from_iter(fields.map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())));
    let frames = [http_body::Frame::data("hello".into()), http_body::Frame::trailers(trailers)].map(Ok::<_, Error>);
    let body = http_body_util::StreamBody::new(futures_util::stream::iter(frames));
    let request = Request::post("http://a/").header("te", "trailers").header("trailer", "x-auth-user, x-sum");
    let request = request.body(Body::new(body)).unwrap();
    let answer = client.send_request(request).await.unwrap().into_body().collect().await.unwrap();
    let trailers: Vec<_> = answer.trailers().unwrap().iter().map(|(name, value)| (name.as_str(), value)).collect();
    assert_eq!(trailers, [("x-up", &http::HeaderValue::from_static("9"))]);
    assert_eq!(answer.to_bytes(), "ok");
    assert_eq!(reported(&mut reports).await.1, "5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n");
}

#[tokio::test]
async fn sec_hdr_09_an_answer_of_forbidden_trailers_alone_is_empty() {
    let upstream = Recorder::start(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Set-Cookie\r\n\r\n0\r\nSet-Cookie: a=1\r\n\r\n",
    )
    .await;
    let proxy = Proxy::with(upstream.address, |settings, _| settings.workers = 1).await;
    let mut stream = proxy.connect().await;
    for _ in 0..2 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n").await.unwrap();
        let head = read_head(&mut stream).await.to_lowercase();
        assert!(head.starts_with("http/1.1 200") && head.contains("content-length: 0\r\n"), "{head}");
        assert!(!head.contains("trailer"), "{head}");
    }
    assert_eq!(upstream.connections(), 1);
}

const EXPECTING: &str = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";

#[tokio::test]
async fn an_expectation_is_met_by_the_upstream() {
    let upstream = upstream(|mut stream| async move {
        assert!(read_head(&mut stream).await.contains("expect: 100-continue\r\n"));
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
        assert_eq!(read_exactly(&mut stream, 5).await, "hello");
        stream.write_all(OK.as_bytes()).await.unwrap();
    })
    .await;
    let proxy = Proxy::to(upstream).await;
    let mut stream = proxy.connect().await;
    stream.write_all(EXPECTING.as_bytes()).await.unwrap();
    assert_eq!(read_head(&mut stream).await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_refused_request_gets_no_100() {
    let recorder = Recorder::start("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n").await;
    let proxy = Proxy::to(recorder.address).await;
    let mut stream = proxy.connect().await;
    stream.write_all(EXPECTING.as_bytes()).await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 417"));
    let mut stream = proxy.connect().await;
    stream.write_all(EXPECTING.replace("/x", "/refused").as_bytes()).await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 401"));
    assert!(!recorder.seen().contains("/refused"));
}

#[tokio::test]
async fn an_upstream_that_ignores_the_expectation_gets_the_body_after_a_while() {
    let upstream = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        assert_eq!(read_exactly(&mut stream, 5).await, "hello");
        stream.write_all(OK.as_bytes()).await.unwrap();
    })
    .await;
    let proxy = Proxy::to(upstream).await;
    let mut stream = proxy.connect().await;
    stream.write_all(EXPECTING.as_bytes()).await.unwrap();
    assert_eq!(read_head(&mut stream).await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn five_gibibytes_pass_each_way_in_flat_memory() {
    const PIECE: usize = 64 << 10;
    const PIECES: usize = 5 << 14;
    let upstream = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        let mut buffer = vec![0; PIECE];
        for _ in 0..PIECES {
            stream.read_exact(&mut buffer).await.unwrap();
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", PIECES * PIECE);
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..PIECES {
            stream.write_all(&buffer).await.unwrap();
        }
    })
    .await;
    let rules = "[routes]\n\"/**\" = { all = \"anyone\" }\n";
    // A process of its own: no other test grows it.
    let server = Site::before(&format!("http://{upstream}"), rules).start().await;
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", PIECES * PIECE);
    let before = server.resident();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut buffer = vec![b'x'; PIECE];
    for _ in 0..PIECES {
        stream.write_all(&buffer).await.unwrap();
    }
    read_head(&mut stream).await;
    for _ in 0..PIECES {
        stream.read_exact(&mut buffer).await.unwrap();
    }
    let after = server.resident();
    assert!(after < before + (32 << 20), "{} MiB before, {} MiB after", before >> 20, after >> 20);
}
