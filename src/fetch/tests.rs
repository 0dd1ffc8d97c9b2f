use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Answer, Error, Fetch, Settings};

/// Answers every connection with these bytes, and tells what it was sent.
async fn server(answer: impl Into<Vec<u8>>) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let answer = answer.into();
    let served = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let length = socket.read(&mut asked).await.unwrap();
        // Whoever refuses in the middle of an answer closes.
        let _ = socket.write_all(&answer).await;
        String::from_utf8_lossy(&asked[..length]).into_owned()
    });
    (host, served)
}

fn get(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

async fn fetched(answer: impl Into<Vec<u8>>) -> Result<Answer, Error> {
    let (host, _server) = server(answer).await;
    Fetch::new(&Settings::default()).unwrap().send(get(&format!("http://{host}/x?secret=canary"))).await
}

#[tokio::test]
async fn an_answer_comes_back_whole() {
    let (host, server) = server("HTTP/1.1 400 Bad\r\ncontent-type: application/json\r\n\r\n{\"error\":\"x\"}").await;
    let fetch = Fetch::new(&Settings::default()).unwrap();
    let answer = fetch.send(get(&format!("http://{host}/x"))).await.unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json().unwrap()["error"], "x");
    let asked = server.await.unwrap().to_lowercase();
    assert!(asked.starts_with("get /x http/1.1\r\n"), "{asked}");
    assert!(asked.contains(&format!("host: {host}\r\n")), "{asked}");
    assert!(asked.contains("accept-encoding: identity\r\n"), "{asked}");
}

#[tokio::test]
async fn sec_ssrf_02_a_redirect_is_not_followed() {
    for status in [301, 302, 303, 307, 308, 304] {
        let answer = fetched(format!("HTTP/1.1 {status} X\r\nlocation: http://169.254.169.254/\r\n\r\n")).await;
        assert!(matches!(answer, Err(Error::Redirect(_))), "{status}: {answer:?}");
    }
}

#[tokio::test]
async fn sec_dos_06_an_answer_is_read_to_its_limit_and_never_unpacked() {
    let mega = "x".repeat(1 << 20);
    assert!(fetched(format!("HTTP/1.1 200 OK\r\n\r\n{mega}")).await.is_ok());
    for answer in [
        format!("HTTP/1.1 200 OK\r\n\r\n{mega}x"),
        format!("HTTP/1.1 200 OK\r\ncontent-length: 1048577\r\n\r\n{mega}x"),
        "HTTP/1.1 200 OK\r\ncontent-length: 5368709120\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n100001\r\n{mega}x\r\n0\r\n\r\n"),
    ] {
        assert!(matches!(fetched(answer).await, Err(Error::TooLarge(_))));
    }
    let packed = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\nx";
    assert!(matches!(fetched(packed).await, Err(Error::Encoded(_))));
}

#[tokio::test]
async fn a_smaller_limit_counts_for_one_use_alone() {
    let answer = "HTTP/1.1 200 OK\r\n\r\n12345";
    for (most, fits) in [(5, true), (4, false)] {
        let (host, _server) = server(answer).await;
        let fetch = Fetch::new(&Settings::default()).unwrap();
        let answer = fetch.at_most(most).send(get(&format!("http://{host}/"))).await;
        assert_eq!(answer.is_ok(), fits, "{answer:?}");
    }
}

#[tokio::test]
async fn what_is_cut_off_or_no_http_is_no_answer_and_names_nothing_secret() {
    for broken in ["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx", "SSH-2.0-x\r\n", ""] {
        let error = fetched(broken).await.unwrap_err();
        assert!(matches!(error, Error::Broken(_)), "{error:?}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn who_is_not_there_is_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap();
    drop(listener);
    let error = Fetch::new(&Settings::default()).unwrap().send(get(&format!("http://{host}/"))).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_is_no_answer_after_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let fetch = Fetch::new(&Settings::default()).unwrap();
    for (fetch, seconds) in [(fetch.clone(), 5), (fetch.within(Duration::from_secs(1)), 1)] {
        let before = tokio::time::Instant::now();
        assert!(matches!(fetch.send(get(&url)).await, Err(Error::Timeout(_))));
        assert_eq!(before.elapsed().as_secs(), seconds);
    }
}

#[tokio::test]
async fn sec_ssrf_01_a_document_names_its_own_origin_and_public_addresses_alone() {
    let answer = "HTTP/1.1 200 OK\r\n\r\n";
    let at = |uri: &str, settings: &Settings| {
        let document: Uri = uri.parse().unwrap();
        Fetch::new(settings).unwrap().named_by(&document).unwrap()
    };
    let (own, _server) = server(answer).await;
    let own_url = format!("http://{own}/keys");
    assert!(at(&format!("http://{own}/"), &Settings::default()).send(get(&own_url)).await.is_ok());
    // Another port of this machine, another scheme, another host: each is another origin.
    let (other, _other) = server(answer).await;
    for document in ["https://id.example.com/".to_owned(), format!("https://{other}/"), format!("http://{own}/")] {
        let answer = at(&document, &Settings::default()).send(get(&format!("http://{other}/keys"))).await;
        assert!(matches!(answer, Err(Error::Private(_))), "{document}: {answer:?}");
    }
    let settings = Settings { allow_private: vec!["127.0.0.1".into()], ..Settings::default() };
    assert!(at("https://id.example.com/", &settings).send(get(&format!("http://{other}/keys"))).await.is_ok());
}

/// Every spelling of an address of this machine or its network: refused by where it leads, not by how it is written.
#[tokio::test]
async fn sec_ssrf_01_no_spelling_of_an_address_leads_into_the_own_network() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let document: Uri = "https://id.example.com/".parse().unwrap();
    let fetch = Fetch::new(&Settings::default()).unwrap().named_by(&document).unwrap();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "0",
        "0.0.0.0",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "[fd00::1]",
        "169.254.169.254",
        "user:password@127.0.0.1",
        "id.example.com@127.0.0.1",
    ] {
        for scheme in ["https", "http"] {
            let Ok(uri) = format!("{scheme}://{host}:{port}/keys").parse::<Uri>() else { continue };
            let answer = fetch.send(Request::get(uri).body(Bytes::new()).unwrap()).await;
            let refused = matches!(answer, Err(Error::Private(_) | Error::Insecure(_) | Error::Address));
            // A spelling that no resolver takes for an address is none.
            assert!(refused || matches!(answer, Err(Error::Connect { .. })), "{scheme}://{host}: {answer:?}");
        }
    }
    let connected = std::future::poll_fn(|cx| std::task::Poll::Ready(listener.poll_accept(cx).is_ready())).await;
    assert!(!connected, "somebody was at the door");
}
