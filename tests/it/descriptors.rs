//! Without file descriptors: who is in stays in, nobody is let in by mistake, and it ends by itself.

use crate::support::{RecordingUpstream, Site, within};

#[tokio::test]
async fn without_file_descriptors_it_waits_says_so_and_goes_on_when_there_are_some() {
    let app = RecordingUpstream::start();
    let rules = "[providers.local-userpass]\n[routes]\n\"/**\" = { all = \"signed_in\" }\n";
    let server = Site::new(&app, rules).user("ann@example.com", &[]).start().await;
    let client = server.client();
    client.sign_in("ann@example.com").await;
    client.get("/").script().await.is(200);
    server.allow_more_files(12);
    let mut idle = Vec::new();
    while server.log().with("cannot accept connections").is_empty() {
        idle.push(server.raw().await);
        assert!(idle.len() < 1000, "it goes on accepting");
        tokio::task::yield_now().await;
    }
    assert!(idle.len() >= 8, "{}", idle.len());
    let reached = app.count();
    drop(idle);
    let back = async { while client.get("/").script().await.status != 200 {} };
    within("the service to go on", back).await;
    server.client().get("/").script().await.is(401);
    server.client().sign_in("ann@example.com").await;
    assert!(app.count() > reached);
}
