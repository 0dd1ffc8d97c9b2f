use super::*;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async fn ended(proxy: &mut Proxy) -> Outcome {
    timeout(PATIENCE, &mut proxy.ended).await.expect("the server goes on").unwrap()
}

#[tokio::test]
async fn while_draining_everybody_is_served_and_then_nobody_new() {
    let recorder = Recorder::start(OK).await;
    let mut proxy = Proxy::with(recorder.address, |settings, _| settings.drain = Duration::from_millis(300)).await;
    let mut kept = proxy.connect().await;
    kept.write_all(GET).await.unwrap();
    read_head(&mut kept).await;
    assert_eq!(read_exactly(&mut kept, 2).await, "ok");
    proxy.shutdown.begin();
    assert!(!proxy.shutdown.is_ready());
    let mut stream = proxy.connect().await;
    stream.write_all(GET).await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200"));
    // A connection without a request ends as soon as the drain is over.
    assert_eq!(read_to_end(&mut kept).await, "");
    assert_eq!(ended(&mut proxy).await, Outcome::Finished);
    assert!(TcpStream::connect(proxy.address).await.is_err());
}

/// An upstream that answers when told to.
async fn waiting() -> (SocketAddr, tokio::sync::mpsc::Receiver<()>, tokio::sync::mpsc::Sender<()>) {
    let (asked, was_asked) = tokio::sync::mpsc::channel(1);
    let (go, mut went) = tokio::sync::mpsc::channel::<()>(1);
    let address = upstream(move |mut stream| async move {
        read_head(&mut stream).await;
        asked.send(()).await.unwrap();
        if went.recv().await.is_some() {
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await;
    (address, was_asked, go)
}

#[tokio::test]
async fn a_request_in_progress_is_answered_and_is_the_last() {
    let (upstream, mut asked, go) = waiting().await;
    let mut proxy = Proxy::with(upstream, |settings, _| settings.drain = Duration::ZERO).await;
    let mut stream = proxy.connect().await;
    stream.write_all(GET).await.unwrap();
    reported(&mut asked).await;
    proxy.shutdown.begin();
    proxy.shutdown.reached(listen::Phase::Closing).await;
    let gone = async { while TcpStream::connect(proxy.address).await.is_ok() {} };
    timeout(PATIENCE, gone).await.unwrap();
    go.send(()).await.unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("ok"), "{answer}");
    assert_eq!(ended(&mut proxy).await, Outcome::Finished);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_broken_off() {
    let (upstream, mut asked, _go) = waiting().await;
    let mut proxy = Proxy::with(upstream, |settings, _| {
        (settings.drain, settings.timeout) = (Duration::ZERO, Duration::from_millis(100));
    })
    .await;
    let mut stream = proxy.connect().await;
    stream.write_all(GET).await.unwrap();
    reported(&mut asked).await;
    proxy.shutdown.begin();
    assert_eq!(ended(&mut proxy).await, Outcome::Forced);
    assert_eq!(read_to_end(&mut stream).await, "");
}

#[tokio::test]
async fn whoever_insists_ends_it_at_once() {
    let (upstream, mut asked, _go) = waiting().await;
    let mut proxy = Proxy::to(upstream).await;
    let mut stream = proxy.connect().await;
    stream.write_all(GET).await.unwrap();
    reported(&mut asked).await;
    proxy.shutdown.begin();
    proxy.shutdown.force();
    assert_eq!(ended(&mut proxy).await, Outcome::Forced);
}

#[tokio::test]
async fn http2_is_told_to_go_away_after_its_requests() {
    let (upstream, mut asked, go) = waiting().await;
    let mut proxy = Proxy::with(upstream, |settings, _| settings.drain = Duration::ZERO).await;
    let mut client = super::limits::http2(&proxy).await;
    let request = || Request::get("http://a/").body(Body::empty()).unwrap();
    let answer = tokio::spawn(client.send_request(request()));
    reported(&mut asked).await;
    proxy.shutdown.begin();
    proxy.shutdown.reached(listen::Phase::Closing).await;
    go.send(()).await.unwrap();
    assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    assert_eq!(ended(&mut proxy).await, Outcome::Finished);
    assert!(client.send_request(request()).await.is_err());
}

#[tokio::test]
async fn a_tunnel_does_not_hold_up_the_end() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let recorder = Recorder::start(switch).await;
    let mut proxy = Proxy::with(recorder.address, |settings, _| settings.drain = Duration::ZERO).await;
    let mut stream = proxy.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 101"));
    proxy.shutdown.begin();
    assert_eq!(ended(&mut proxy).await, Outcome::Finished);
    assert_eq!(read_to_end(&mut stream).await, "");
}
