use crate::{app, config};

/// Why there is no gate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is wrong with the configuration, all of it.
    #[error("{0}")]
    Config(#[from] config::Report),
    /// What [`Builder::public_url`](super::Builder::public_url) was given is no address.
    #[error("Builder::public_url: {0:?} is not an address such as https://blog.example.com")]
    PublicUrl(String),
    /// What cannot be opened or built.
    #[error(transparent)]
    App(#[from] app::Error),
    /// A function in JavaScript, and no program to run it.
    #[error(
        "functions in JavaScript run in a program of their own: name one with Builder::worker, such as \
         worker(\"/usr/bin/vestibule\", [\"function-worker\"])"
    )]
    NoWorker,
    /// Without tokio nothing here can wait.
    #[error("a gate is built within a tokio runtime")]
    NoRuntime,
}
