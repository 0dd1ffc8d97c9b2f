use super::*;

const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

/// Each of these is answered 400 and nothing else, the connection is closed, and the upstream hears nothing.
async fn assert_refused(requests: &[String]) {
    let upstream = Recorder::start(OK).await;
    let proxy = Proxy::to(upstream.address).await;
    for request in requests {
        let answer = proxy.raw(request).await;
        let shown = &request[..request.len().min(200)];
        let statuses: Vec<_> = answer.match_indices("HTTP/1.").map(|(at, _)| &answer[at + 9..at + 12]).collect();
        assert_eq!(statuses, ["400"], "{shown:?} got {answer:?}");
        assert_eq!(upstream.seen(), "", "{shown:?}");
    }
}

/// The twin: each of these reaches the upstream.
async fn assert_served(requests: &[String]) {
    for request in requests {
        let upstream = Recorder::start(OK).await;
        let proxy = Proxy::to(upstream.address).await;
        let answer = proxy.raw(request).await;
        assert_eq!(answer.get(8..15), Some(" 200 OK"), "{request:?} got {answer:?}");
        assert!(upstream.seen().contains("/ HTTP/1.1\r\n"), "{request:?}");
    }
}

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}Connection: close\r\n\r\n{body}")
}

#[tokio::test]
async fn sec_smug_01_two_lengths_are_refused_in_either_order() {
    let body = format!("0\r\n\r\n{HIDDEN}");
    assert_refused(&[
        post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", &body),
        post("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", &body),
        post("transfer-encoding: chunked\r\nX: y\r\ncontent-length: 5\r\n", &body),
    ])
    .await;
    assert_served(&[post("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"), post("Content-Length: 2\r\n", "hi")]).await;
}

#[tokio::test]
async fn sec_smug_01_a_bad_request_among_pipelined_ones_is_refused_alone() {
    let upstream = Recorder::start(OK).await;
    let proxy = Proxy::to(upstream.address).await;
    let good = "GET /good HTTP/1.1\r\nHost: a\r\n\r\n";
    let bad = post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n");
    let answer = proxy.raw(format!("{good}{bad}{HIDDEN}")).await;
    let statuses: Vec<_> = answer.match_indices("HTTP/1.1 ").map(|(at, _)| &answer[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "400"]);
    assert!(upstream.seen().contains("/good") && !upstream.seen().contains("hidden"));
}

#[tokio::test]
async fn sec_smug_02_a_transfer_coding_is_one_chunked_or_refused() {
    let body = "0\r\n\r\n";
    let values = [
        "chunked, identity",
        "identity, chunked",
        "xchunked",
        "chunked;q=1",
        "\x0bchunked",
        "gzip, chunked",
        "identity",
        "chunked\r\nTransfer-Encoding: chunked",
        "chunked\r\nTransfer-Encoding: identity",
        "",
        "\"chunked\"",
    ];
    let mut requests = values.map(|value| post(&format!("Transfer-Encoding: {value}\r\n"), body)).to_vec();
    requests.push("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned());
    requests.push("POST / HTTP/1.0\r\nHost: a\r\n\r\nuntil the end".to_owned());
    assert_refused(&requests).await;
    assert_served(&[
        post("Transfer-Encoding:  Chunked \r\n", body),
        "POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi".to_owned(),
    ])
    .await;
}

#[tokio::test]
async fn sec_smug_03_a_content_length_is_digits_or_refused() {
    let values = [
        "+5",
        "-0",
        "0x5",
        "5 5",
        "5,5",
        "5, 6",
        "",
        "12345678901234567890",
        "5\r\nContent-Length: 6",
        "5;",
        "\x0b5",
        "5\r\nContent-Length: x",
    ];
    assert_refused(&values.map(|value| post(&format!("Content-Length: {value}\r\n"), "hello"))).await;
}

#[tokio::test]
async fn sec_smug_03_equal_lengths_and_leading_zeros_are_folded_into_one() {
    for fields in ["Content-Length: 0000005\r\n", "Content-Length: 5\r\nContent-Length: 5\r\n"] {
        let upstream = Recorder::start(OK).await;
        let proxy = Proxy::to(upstream.address).await;
        let answer = proxy.raw(post(fields, "hello")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let seen = upstream.seen().to_lowercase();
        assert_eq!(seen.matches("content-length").count(), 1, "{seen}");
        assert!(seen.ends_with("\r\n\r\nhello"), "{seen}");
    }
}

#[tokio::test]
async fn sec_smug_03_a_length_without_its_body_ends_by_the_stall() {
    let upstream = Recorder::start("").await;
    let proxy = Proxy::with(upstream.address, |_, limits| limits.timeouts.stall = Duration::from_millis(100)).await;
    assert_eq!(proxy.raw("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe").await, "");
}

#[tokio::test]
async fn sec_smug_04_chunks_are_read_strictly() {
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(1 << 20));
    let five = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(5000));
    let bodies = [
        "FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5 ;a\r\nhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n00000000000000000000\r\n\r\n",
        &long,
        &five,
    ];
    assert_refused(&bodies.map(|body| post("Transfer-Encoding: chunked\r\n", &format!("{body}{HIDDEN}")))).await;
}

#[tokio::test]
async fn sec_smug_04_the_upstream_gets_chunks_of_our_own() {
    let upstream = Recorder::start(OK).await;
    let proxy = Proxy::to(upstream.address).await;
    let body = "05;name=value\r\nhello\r\n000\r\nX-Auth-User: admin\r\n\r\n";
    let answer = proxy.raw(post("Transfer-Encoding: chunked\r\nTrailer: X-Auth-User\r\n", body)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // It answers before it has the whole body.
    let whole = async {
        while !upstream.seen().ends_with("0\r\n\r\n") {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, whole).await.unwrap();
    let seen = upstream.seen().to_lowercase();
    assert!(seen.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{seen}");
    assert!(!seen.contains("name=value") && !seen.contains("admin") && !seen.contains("trailer"), "{seen}");
}

#[tokio::test]
async fn sec_smug_04_a_chunk_that_breaks_later_breaks_the_upload_off() {
    let (done, mut broken_off) = tokio::sync::mpsc::channel(2);
    let upstream = upstream(|mut stream| async move {
        done.send(read_head(&mut stream).await).await.unwrap();
        done.send(read_to_end(&mut stream).await).await.unwrap();
    })
    .await;
    let proxy = Proxy::to(upstream).await;
    let mut stream = proxy.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await.unwrap();
    assert!(reported(&mut broken_off).await.starts_with("POST /"));
    stream.write_all(format!("5 \r\nworld\r\n0\r\n\r\n{HIDDEN}").as_bytes()).await.unwrap();
    assert!(!reported(&mut broken_off).await.contains("0\r\n\r\n"));
    let answer = read_to_end(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.matches("HTTP/1.1").count() <= 1, "{answer}");
}

#[tokio::test]
async fn sec_smug_05_field_lines_are_read_strictly() {
    let mut requests: Vec<String> = [
        ": x",
        "Host : a",
        "X: a\r\n folded",
        "X: a\0b",
        "X: a\rb",
        "Transfer-Encoding\0: chunked",
        "no colon",
        "X\0: y",
        "X y: z",
    ]
    .iter()
    .map(|line| post(&format!("{line}\r\n"), ""))
    .collect();
    requests.push(post(&format!("{}: x\r\n", "n".repeat(300)), ""));
    requests.push("GET / HTTP/1.1\r\n Host: a\r\n\r\n".to_owned());
    requests.push("GET / HTTP/1.1\nHost: a\n\n".to_owned());
    requests.push("GET / HTTP/1.1\r\nHost: a\r\nX: y\nZ: w\r\n\r\n".to_owned());
    requests.push("GET / HTTP/1.1\r\n\r\n".to_owned());
    requests.push("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned());
    requests.push("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n".to_owned());
    assert_refused(&requests).await;
    assert_served(&[post("X-Ok:\ta b\t\r\nX_y.z~!: \r\n", "")]).await;
}

#[tokio::test]
async fn sec_smug_05_a_name_of_64_kib_never_arrives() {
    let upstream = Recorder::start(OK).await;
    let proxy = Proxy::to(upstream.address).await;
    let answer = proxy.raw(post(&format!("{}: x\r\n", "n".repeat(65_536)), "")).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(upstream.seen(), "");
}

#[tokio::test]
async fn sec_smug_06_an_unread_body_is_never_read_as_a_request() {
    let upstream = Recorder::start(OK).await;
    let proxy = Proxy::to(upstream.address).await;
    for length in [10, 10 << 10, 1 << 20] {
        let head = format!("POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        let body = HIDDEN.repeat(length / HIDDEN.len() + 1);
        let mut stream = proxy.connect().await;
        stream.write_all(format!("{head}{}{HIDDEN}", &body[..length]).as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // No reset: the client reads its answer to the end.
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401"), "{length}: {answer}");
        let answers = answer.matches("HTTP/1.1").count();
        assert_eq!(upstream.seen().matches("/hidden").count(), answers - 1, "{length}: {answer}");
        upstream.seen.lock().unwrap().clear();
    }
}

#[tokio::test]
async fn sec_smug_09_nothing_but_websocket_is_ever_upgraded() {
    let upstream =
        Recorder::start("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n").await;
    let proxy = Proxy::to(upstream.address).await;
    for upgrade in ["h2c", "h2c, websocket", "TLS/1.0"] {
        let fields =
            format!("Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABk\r\n");
        let answer = proxy.raw(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 502"), "{upgrade}: {answer}");
    }
    let seen = upstream.seen().to_lowercase();
    assert!(!seen.contains("upgrade") && !seen.contains("http2-settings"), "{seen}");
}
