//! Rate limits that all instances count together.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{Cmd, Script};

use super::link::{Answer, Link};
use crate::limit::Budget;

/// The generic cell rate algorithm, for one budget after the other, by the server's clock in microseconds. What is kept
/// of a budget is when it will be whole again; then it goes. A clock that was turned back shuts nobody out for longer
/// than a budget takes to come back.
///
/// `ARGV`: for each key the span after which one use comes back, and that of the whole budget. Answers 0, or how long
/// to wait.
static SCRIPT: LazyLock<Code> = LazyLock::new(|| {
    let text = r"
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
for i, key in ipairs(KEYS) do
  local each, span = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local whole = tonumber(redis.call('GET', key) or now)
  whole = math.min(math.max(whole, now), now + span) + each
  if whole - span > now then return whole - span - now end
  redis.call('SET', key, string.format('%.0f', whole), 'PX', math.ceil((whole - now) / 1000))
end
return 0
";
    Code { text, hash: Script::new(text).get_hash().to_owned() }
});

struct Code {
    text: &'static str,
    hash: String,
}

/// Counts one for each budget; `Ok` when there is nobody to ask: the local limits have let it through already.
pub(super) async fn count(link: &Link, limit: &str, budgets: &[Budget]) -> Result<(), Duration> {
    if budgets.is_empty() {
        return Ok(());
    }
    let name = &link.settings().name;
    let answer = match link.ask(&command("EVALSHA", &SCRIPT.hash, name, limit, budgets)).await {
        Answer::NoScript => link.ask(&command("EVAL", SCRIPT.text, name, limit, budgets)).await,
        answer => answer,
    };
    match answer {
        Answer::Is(0) | Answer::NoScript | Answer::None => Ok(()),
        Answer::Is(micros) => Err(Duration::from_micros(micros)),
    }
}

/// The budgets of one limit are kept on one node of a cluster, so that one script can see them: the part in braces is
/// what the node is chosen by ("Redis cluster specification", Hash tags).
fn command(how: &str, what: &str, name: &str, limit: &str, budgets: &[Budget]) -> Cmd {
    let mut command = redis::cmd(how);
    command.arg(what).arg(budgets.len());
    for budget in budgets {
        let owner: String = budget.owner.as_bytes()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        command.arg(format!("{name}:limit:{{{limit}}}:{owner}"));
    }
    for budget in budgets {
        let count = u64::from(budget.rate.count.get());
        let each = u64::try_from(budget.rate.span.as_micros()).unwrap_or(u64::MAX / count).div_ceil(count).max(1);
        command.arg(each).arg(each.saturating_mul(count));
    }
    command
}
