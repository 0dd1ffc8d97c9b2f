use super::*;

/// Short spans, so that a test sees them end.
fn short(_: &mut Settings, limits: &mut limit::Settings) {
    let span = Duration::from_millis(150);
    limits.timeouts = limit::Timeouts { header: span, stall: span, idle: span, handshake: span, ..limits.timeouts };
}

#[tokio::test]
async fn sec_dos_01_stalled_clients_are_cut_and_a_healthy_one_is_served() {
    let upstream = Recorder::start(OK).await;
    let proxy = Proxy::with(upstream.address, short).await;
    let starts = [
        "",
        "G",
        "GET / HTTP/1.1\r\nHost: a\r\nX: ",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhe",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\n",
    ];
    let mut stalled = Vec::new();
    for start in starts.iter().cycle().take(40 * starts.len()) {
        let mut stream = proxy.connect().await;
        stream.write_all(start.as_bytes()).await.unwrap();
        stalled.push(stream);
    }
    let answer = proxy.raw("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for stream in &mut stalled {
        read_to_end(stream).await;
    }
}

#[tokio::test]
async fn sec_dos_01_a_header_that_drips_is_cut() {
    let proxy = Proxy::with(Recorder::start(OK).await.address, short).await;
    let mut stream = proxy.connect().await;
    let dripping = async {
        while stream.write_all(b"X").await.is_ok() {
            let mut byte = [0];
            if timeout(Duration::from_millis(10), stream.read(&mut byte)).await.is_ok() {
                break;
            }
        }
    };
    timeout(PATIENCE, dripping).await.expect("the drip goes on");
}

#[tokio::test]
async fn sec_dos_01_a_kept_connection_without_requests_is_closed() {
    let proxy = Proxy::with(Recorder::start(OK).await.address, short).await;
    let mut stream = proxy.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut stream).await.ends_with("\r\n\r\nok"));
}

#[tokio::test]
async fn sec_dos_01_a_client_that_takes_nothing_is_cut() {
    let (report, mut reports) = tokio::sync::mpsc::channel(1);
    let upstream = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        let piece = vec![b'x'; 64 << 10];
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&piece).await.is_ok() {}
        report.send(()).await.unwrap();
    })
    .await;
    let proxy = Proxy::with(upstream, short).await;
    let mut stream = proxy.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    timeout(PATIENCE, reports.recv()).await.expect("the upstream works on").unwrap();
}

#[tokio::test]
async fn an_event_stream_that_is_silent_in_both_directions_is_not_cut() {
    let (speak, mut spoken) = tokio::sync::mpsc::channel::<()>(1);
    let upstream = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        spoken.recv().await;
        stream.write_all(b"data: 2\n\n").await.unwrap();
    })
    .await;
    let proxy = Proxy::with(upstream, short).await;
    let mut stream = proxy.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    read_head(&mut stream).await;
    // Another client is given up meanwhile, twice: the spans have passed.
    for _ in 0..2 {
        read_to_end(&mut proxy.connect().await).await;
    }
    speak.send(()).await.unwrap();
    assert!(read_to_end(&mut stream).await.contains("data: 2"));
}

#[tokio::test]
async fn sec_dos_02_large_heads_are_refused_before_they_are_read() {
    let upstream = Recorder::start(OK).await;
    let proxy = Proxy::to(upstream.address).await;
    let get =
        |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}Connection: close\r\n\r\n");
    let cases = [
        ("4", get(&format!("/{}", "a".repeat(1 << 20)), "")),
        ("414", get(&format!("/{}", "a".repeat(9 << 10)), "")),
        ("4", get(&format!("/?{}", "a=b&".repeat(100_000)), "")),
        ("431", get("/", &"X: y\r\n".repeat(10_000))),
        ("431", get("/", &"X: y\r\n".repeat(101))),
        ("431", get("/", &format!("X: {}\r\n", "y".repeat(64 << 10)))),
        ("431", get("/", &format!("Cookie: {}\r\n", "a=b; ".repeat(5000 * 2)))),
    ];
    for (expected, request) in cases {
        let answer = proxy.raw(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{:?} got {answer:?}", &request[..60]);
    }
    assert_eq!(upstream.seen(), "");
    let answer = proxy.raw(get(&format!("/{}", "a".repeat(8000)), &"X: y\r\n".repeat(90))).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_others_to_end() {
    let upstream = Recorder::start(OK).await;
    let proxy = Proxy::with(upstream.address, |_, limits| limits.connections = 1).await;
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut first = proxy.connect().await;
    first.write_all(get.as_bytes()).await.unwrap();
    read_head(&mut first).await;
    // Workers hold the one permit in turn; whoever has it serves, the other waits.
    let mut second = proxy.connect().await;
    second.write_all(get.as_bytes()).await.unwrap();
    drop(first);
    read_head(&mut second).await;
}

#[tokio::test]
async fn sec_dos_02_large_heads_are_refused_on_http2() {
    let upstream = Recorder::start(OK).await;
    let proxy = Proxy::to(upstream.address).await;
    let mut client = http2(&proxy).await;
    let long = format!("http://a/{}", "a".repeat(9 << 10));
    let request = |uri: &str| Request::builder().uri(uri).body(Body::empty()).unwrap();
    assert_eq!(client.send_request(request(&long)).await.unwrap().status(), 414);
    let mut many = request("http://a/");
    for _ in 0..200 {
        many.headers_mut().append("x", "y".parse().unwrap());
    }
    assert_eq!(client.send_request(many).await.unwrap().status(), 431);
    let connect = Request::builder().method("CONNECT").uri("a:1").body(Body::empty()).unwrap();
    assert_eq!(client.send_request(connect).await.unwrap().status(), 501);
    // More than the header block that is announced: the stream or the connection may end instead.
    let field = |length: usize| vec![("x-a", "v".repeat(length))];
    for fields in [field(64 << 10), (0..5_000).map(|n| ("cookie", format!("c{n}=v"))).collect()] {
        let mut large = request("http://a/");
        for (name, value) in &fields {
            large.headers_mut().append(*name, value.parse().unwrap());
        }
        if let Ok(answer) = http2(&proxy).await.send_request(large).await {
            assert_eq!(answer.status(), 431);
        }
    }
    assert_eq!(upstream.seen(), "");
    assert_eq!(client.send_request(request("http://a/")).await.unwrap().status(), 200);
    let mut fits = request("http://a/");
    fits.headers_mut().append("x-a", "v".repeat(12 << 10).parse().unwrap());
    assert_eq!(client.send_request(fits).await.unwrap().status(), 200);
}

#[tokio::test]
async fn sec_dos_01_a_stalled_stream_ends_and_its_neighbour_lives() {
    use http_body_util::BodyExt as _;
    let (report, mut reports) = tokio::sync::mpsc::channel(1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut endless, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            read_head(&mut endless).await;
            endless.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            while endless.write_all(&[b'x'; 4096]).await.is_ok() {}
            report.send(()).await.unwrap();
        });
        let (stream, _) = listener.accept().await.unwrap();
        record_and_answer(stream, Arc::default(), OK).await;
    });
    let proxy = Proxy::with(upstream, |settings, limits| {
        (settings.workers, limits.timeouts.stall) = (1, Duration::from_millis(150));
    })
    .await;
    let mut client = http2(&proxy).await;
    let get = || Request::get("http://a/").body(Body::empty()).unwrap();
    let stalled = client.send_request(get()).await.unwrap();
    timeout(PATIENCE, reports.recv()).await.expect("the upstream works on").unwrap();
    assert!(stalled.into_body().collect().await.is_err());
    assert_eq!(client.send_request(get()).await.unwrap().into_body().collect().await.unwrap().to_bytes(), "ok");
}

#[tokio::test]
async fn an_upload_that_stalls_on_http2_ends() {
    let recorder = Recorder::start("").await;
    let proxy = Proxy::with(recorder.address, |_, limits| limits.timeouts.stall = Duration::from_millis(150)).await;
    let mut client = http2(&proxy).await;
    let body = futures_util::stream::pending::<Result<http_body::Frame<bytes::Bytes>, Error>>();
    let post = Request::post("http://a/").body(Body::new(http_body_util::StreamBody::new(body))).unwrap();
    assert!(timeout(PATIENCE, client.send_request(post)).await.expect("the upload goes on").is_err());
}

pub(super) async fn http2(proxy: &Proxy) -> hyper::client::conn::http2::SendRequest<Body> {
    let io = hyper_util::rt::TokioIo::new(proxy.connect().await);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (client, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    client
}
