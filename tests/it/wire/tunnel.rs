use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{accept_async, client_async};

use super::*;

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

#[tokio::test]
async fn a_websocket_speaks_through_the_tunnel() {
    use futures_util::{SinkExt as _, StreamExt as _};
    let upstream = upstream(|stream| async move {
        let mut socket = accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() {
                socket.send(message).await.unwrap();
            }
        }
    })
    .await;
    let proxy = Proxy::to(upstream).await;
    let (mut socket, _) = client_async("ws://a/chat", proxy.connect().await).await.unwrap();
    for text in ["one".to_owned(), "x".repeat(1 << 20)] {
        socket.send(Message::text(text.clone())).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(text));
    }
    socket.close(None).await.unwrap();
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(_))) | None));
}

#[tokio::test]
async fn an_end_that_closes_its_direction_still_hears_the_other() {
    let upstream = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(SWITCH.as_bytes()).await.unwrap();
        let all = read_to_end(&mut stream).await;
        stream.write_all(format!("heard {all}").as_bytes()).await.unwrap();
    })
    .await;
    let proxy = Proxy::to(upstream).await;
    let mut stream = proxy.connect().await;
    stream.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 101"));
    stream.write_all(b"GET is no request here").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut stream).await, "heard GET is no request here");
}

#[tokio::test]
async fn a_tunnel_that_is_silent_is_not_cut_and_one_that_clogs_is() {
    let (report, mut reports) = tokio::sync::mpsc::channel::<&str>(1);
    let (go, mut went) = tokio::sync::mpsc::channel::<()>(1);
    let upstream = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(SWITCH.as_bytes()).await.unwrap();
        went.recv().await;
        let piece = vec![b'x'; 64 << 10];
        while stream.write_all(&piece).await.is_ok() {}
        report.send("cut").await.unwrap();
    })
    .await;
    let span = Duration::from_millis(150);
    let proxy = Proxy::with(upstream, |_, limits| {
        limits.timeouts = limit::Timeouts { header: span, stall: span, idle: span, ..limits.timeouts };
    })
    .await;
    let mut stream = proxy.connect().await;
    stream.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    read_head(&mut stream).await;
    for _ in 0..3 {
        read_to_end(&mut proxy.connect().await).await;
    }
    go.send(()).await.unwrap();
    assert_eq!(read_exactly(&mut stream, 3).await, "xxx");
    assert_eq!(timeout(PATIENCE, reports.recv()).await.unwrap(), Some("cut"));
}

#[tokio::test]
async fn a_handshake_that_is_refused_is_an_ordinary_answer_and_the_last() {
    let recorder = Recorder::start("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let proxy = Proxy::to(recorder.address).await;
    let answer = proxy.raw(format!("{HANDSHAKE}GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.ends_with("\r\n\r\nno"), "{answer}");
    assert!(!recorder.seen().contains("hidden"));
    assert!(recorder.seen().to_lowercase().contains("upgrade: websocket\r\n"));
}

#[tokio::test]
async fn a_tunnel_can_be_cut_from_outside() {
    let upstream = upstream(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(SWITCH.as_bytes()).await.unwrap();
        read_to_end(&mut stream).await;
    })
    .await;
    let bound = listen::bind(&Settings { addresses: vec!["127.0.0.1:0".to_owned()], ..Settings::default() }).unwrap();
    let address = bound.address().unwrap();
    let limits = limit::Settings::default();
    let upstreams = Upstreams::new(vec![format!("http://{upstream}").parse().unwrap()], limits.timeouts);
    let over = Shutdown::new();
    let session = over.clone();
    let make = move |_| {
        let (pool, session) = (upstreams.pool(), session.clone());
        move |mut request: Request<Body>, _: Connection| {
            let (pool, session) = (pool.clone(), session.clone());
            async move {
                let cut = async move { session.reached(listen::Phase::Draining).await };
                request.headers_mut().remove("host");
                pool.upgrade(0, request, cut).await.unwrap()
            }
        }
    };
    let shutdown = Shutdown::new();
    let until = shutdown.clone();
    tokio::spawn(async move { listen::serve(bound, &Settings::default(), &limits, make, until).await });
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 101"));
    over.begin();
    assert_eq!(read_to_end(&mut stream).await, "");
    shutdown.force();
}
