//! Rate limits that all instances count together.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{Cmd, Script};

use super::link::{Answer, Link};
use crate::limit::{Budget, Over, Row};
use crate::secret::Digest;

/// The generic cell rate algorithm, for one budget after the other, by the server's clock in microseconds. What is kept
/// of a budget is when it will be whole again; then it goes. A clock that was turned back shuts nobody out for longer
/// than a budget takes to come back.
///
/// Then one for the first row with room. A row is kept until it is begun anew: one that is short for a day after the
/// last failure, so that made-up names go, any other for thirty.
///
/// `ARGV`: how many of the keys are budgets; for each of them the span after which one use comes back, and that of the
/// whole budget; for each other the length of a row. Answers 0, how long to wait, or -1 when no row has room.
static SCRIPT: LazyLock<Code> = LazyLock::new(|| {
    let text = r"
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local budgets = tonumber(ARGV[1])
for i = 1, budgets do
  local key, each, span = KEYS[i], tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local whole = tonumber(redis.call('GET', key) or now)
  whole = math.min(math.max(whole, now), now + span) + each
  if whole - span > now then return whole - span - now end
  redis.call('SET', key, string.format('%.0f', whole), 'PX', math.ceil((whole - now) / 1000))
end
for i = budgets + 1, #KEYS do
  local row = tonumber(redis.call('GET', KEYS[i]) or 0)
  if row < tonumber(ARGV[budgets + 1 + i]) then
    redis.call('SET', KEYS[i], row + 1, 'PX', row < 9 and 86400000 or 2592000000)
    return 0
  end
end
return budgets < #KEYS and -1 or 0
";
    Code { text, hash: Script::new(text).get_hash().to_owned() }
});

struct Code {
    text: &'static str,
    hash: String,
}

/// Counts one for each budget; `Ok` when there is nobody to ask: the local limits have let it through already.
pub(super) async fn count(link: &Link, limit: &str, budgets: &[Budget]) -> Result<(), Duration> {
    match count_try(link, limit, budgets, &[]).await {
        Err(Over::Budget(wait)) => Err(wait),
        Ok(()) | Err(Over::Rows) => Ok(()),
    }
}

/// The same, and one for the first row that has room.
pub(super) async fn count_try(link: &Link, limit: &str, budgets: &[Budget], rows: &[Row]) -> Result<(), Over> {
    if budgets.is_empty() && rows.is_empty() {
        return Ok(());
    }
    let name = &link.settings().name;
    let answer = match link.ask::<i64>(&command("EVALSHA", &SCRIPT.hash, name, limit, budgets, rows)).await {
        Answer::NoScript => link.ask(&command("EVAL", SCRIPT.text, name, limit, budgets, rows)).await,
        answer => answer,
    };
    match answer {
        Answer::Is(0) | Answer::NoScript | Answer::None => Ok(()),
        Answer::Is(micros) => {
            Err(u64::try_from(micros).map_or(Over::Rows, |micros| Over::Budget(Duration::from_micros(micros))))
        }
    }
}

/// The key of a row.
pub(super) fn row(name: &str, limit: &str, owner: Digest) -> String {
    format!("{name}:row:{{{limit}}}:{}", short(owner))
}

/// What is counted for one limit is kept on one node of a cluster, so that one script can see it: the part in braces is
/// what the node is chosen by ("Redis cluster specification", Hash tags).
fn command(how: &str, what: &str, name: &str, limit: &str, budgets: &[Budget], rows: &[Row]) -> Cmd {
    let mut command = redis::cmd(how);
    command.arg(what).arg(budgets.len() + rows.len());
    for budget in budgets {
        command.arg(format!("{name}:limit:{{{limit}}}:{}", short(budget.owner)));
    }
    for kept in rows {
        command.arg(row(name, limit, kept.owner));
    }
    command.arg(budgets.len());
    for budget in budgets {
        let count = u64::from(budget.rate.count.get());
        let each = u64::try_from(budget.rate.span.as_micros()).unwrap_or(u64::MAX / count).div_ceil(count).max(1);
        command.arg(each).arg(each.saturating_mul(count));
    }
    for row in rows {
        command.arg(row.most);
    }
    command
}

fn short(owner: Digest) -> String {
    owner.as_bytes()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}
