//! Our own pages and forms under `/.auth`.

mod answer;
mod assets;
pub mod csrf;
mod look;
mod page;
mod refusal;
pub mod return_to;
mod settings;
mod templates;

pub use settings::Settings;
