use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::account::{Kind, User};
use crate::function::{Call, Function};

/// Tells a function of new users, behind the scenes: what it makes of them undoes nothing.
#[derive(Clone, Debug)]
pub(super) struct Created {
    function: Option<Function>,
    room: Arc<Semaphore>,
}

impl Created {
    pub(super) fn new(function: Option<Function>) -> Self {
        Self { function, room: Arc::new(Semaphore::new(ROOM)) }
    }

    /// Tells it, a moment later and at most once.
    pub(super) fn tell(&self, provider: &str, user: &User) {
        let Some(function) = self.function.clone() else { return };
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            tracing::error!(user = %user.id, function = function.name(), "too many new users: the function is not told");
            return;
        };
        let (id, call) = (user.id, Call::by_system(provider, shown(user)));
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = function.run(call).await {
                tracing::error!(user = %id, function = function.name(), %error, "a function failed to take a new user");
            }
        });
    }
}

/// A user as functions see one, which is how App Services showed `context.user`.
pub fn shown(user: &User) -> Value {
    let kind = if user.kind == Kind::Service { "server" } else { "normal" };
    let identities: Vec<Value> = user
        .identities
        .iter()
        .map(|identity| json!({ "id": identity.subject, "provider_type": identity.provider, "data": identity.data }))
        .collect();
    json!({
        "id": user.id.to_string(),
        "type": kind,
        "data": user.data,
        "custom_data": user.custom_data,
        "identities": identities,
    })
}

/// New users that are told of at the same time.
const ROOM: usize = 64;
