//! What an SDK tells of the device it runs on.

use serde_json::{Map, Value};

use super::call::Call;
use super::ejson::object_id;
use crate::clock::Timestamp;
use crate::id::DeviceId;
use crate::session::{AppDevice, Device};

/// Takes `options` out of what was sent, and reads the device in it. A device without an id gets one; nothing told is
/// no device.
pub(super) fn take(call: &Call, fields: &mut Map<String, Value>, now: Timestamp) -> Device {
    let options = fields.remove("options");
    let told = options.as_ref().and_then(|options| options.get("device")).and_then(Value::as_object);
    of(call, told, now)
}

/// The same of a device that was told by itself.
pub(super) fn of(call: &Call, told: Option<&Map<String, Value>>, now: Timestamp) -> Device {
    Device {
        user_agent: call.user_agent(),
        address: Some(call.client.address),
        app: told.filter(|told| !told.is_empty()).map(|told| read(told, now)),
    }
}

/// The id as SDKs expect it: zeros mean none.
pub(super) fn shown(id: Option<DeviceId>) -> String {
    id.map_or_else(|| "0".repeat(24), |id| id.to_string())
}

fn read(told: &Map<String, Value>, now: Timestamp) -> AppDevice {
    let text = |name: &str| {
        let text = told.get(name).and_then(Value::as_str).unwrap_or_default();
        text.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
    };
    // It is a label and proves nothing: one that somebody else has, too, admits nobody.
    let id = told.get("deviceId").and_then(object_id).and_then(|id| id.to_ascii_lowercase().parse::<DeviceId>().ok());
    let id = id.filter(|id| *id.as_bytes() != [0; 12]).unwrap_or_else(|| DeviceId::generate(now));
    AppDevice {
        id: Some(id),
        platform: text("platform"),
        platform_version: text("platformVersion"),
        sdk_version: text("sdkVersion"),
        app_name: text("appId"),
        app_version: text("appVersion"),
    }
}

const LONGEST: usize = 64;
