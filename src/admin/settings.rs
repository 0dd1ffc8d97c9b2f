use crate::id::UserId;
use crate::secret::Secret;

/// `[admin]`; without it there is no operator's listener.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where operators come in: `host:port`, one or several, in the clear. Default `127.0.0.1:9090`.
    pub addresses: Vec<String>,
    /// Whoever has one of these is an operator. Without any, only probes and operators' keys are answered.
    pub tokens: Vec<Secret>,
    /// `[admin.app_services]`: the ids that paths of the App Services Admin API have; absent: it is not there.
    pub app: Option<AppIds>,
}

/// What scripts for the App Services Admin API call the project and the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppIds {
    /// The project, 24 hexadecimal digits.
    pub group: UserId,
    /// The app's internal id, 24 hexadecimal digits.
    pub app: UserId,
}

impl Default for Settings {
    fn default() -> Self {
        Self { addresses: vec!["127.0.0.1:9090".to_owned()], tokens: Vec::new(), app: None }
    }
}
