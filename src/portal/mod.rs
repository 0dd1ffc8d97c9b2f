//! Our own pages and forms under `/.auth`.

mod settings;

pub use settings::Settings;
