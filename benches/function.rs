//! What a function in JavaScript costs: from the call to its answer, through a worker process.
//!
//! `cargo bench --bench function` needs the `vestibule` program of the same build.

use std::error::Error;

use criterion::Criterion;
use serde_json::json;
use vestibule::function::{Call, Function, Program, Script, Settings, WORKER, Workers};

const TRIVIAL: &str = "exports = async function (payload) { return payload.member; };";
const BUSY: &str = "exports = async function (payload) {
  let sum = 0;
  for (let i = 0; i < 100000; i++) sum += i % 7;
  return `${payload.member}-${sum}`;
};";

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut criterion = Criterion::default().configure_from_args();
    let workers = Workers::new(Program::new(env!("CARGO_BIN_EXE_vestibule"), &[WORKER]), Settings::default());
    for (name, source) in [("function: trivial", TRIVIAL), ("function: 100,000 turns of a loop", BUSY)] {
        let script = Script::parse("bench.js", source)?;
        let function = Function::javascript(name, script, Default::default(), workers.clone());
        let call = || function.run(Call::by_system("custom-function", json!({ "member": "17" })));
        runtime.block_on(call())?;
        criterion.bench_function(name, |bench| bench.iter(|| runtime.block_on(call())));
    }
    criterion.final_summary();
    Ok(())
}
