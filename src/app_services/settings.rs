use super::functions::Folder;

/// `[app_services]`.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Settings {
    /// The client app id, such as `blog-abcde`.
    pub app_id: String,
    /// Origins whose pages may call; empty means every origin, as App Services had it, of which those of
    /// `redirect_uris` alone may with cookies. Our own always may.
    pub allowed_origins: Vec<String>,
    /// Addresses that a sign-in in a popup may return to, exactly as apps name them.
    pub redirect_uris: Vec<String>,
    /// What a caller learns of accounts. Default named.
    pub accounts: Accounts,
    /// Functions that signed-in users may call.
    pub functions: Option<Folder>,
}

/// Whether answers tell known addresses from unknown ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Accounts {
    /// Register, confirm/send and reset/send say so, as App Services did: apps show it to their users.
    #[default]
    Named,
    /// They answer the same to everybody.
    Hidden,
}
