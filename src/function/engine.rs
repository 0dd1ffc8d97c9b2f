//! One call of a function in JavaScript: a runtime of its own, made for it and gone after it.

use std::cell::Cell;
use std::mem;
use std::rc::Rc;

use rquickjs::context::{EvalOptions, intrinsic};
use rquickjs::{Context, Ctx, Function, Object, Runtime, Value};
use serde_json::json;

use super::wire::{Bound, Level, Order, Report};

/// Runs the function of this order until it has an answer or goes too far. `is_over` says whether its processor time
/// is used up; `log` takes lines of `console`.
pub(super) fn run(
    order: &Order,
    is_over: impl Fn() -> bool + 'static,
    log: impl Fn(Level, String) + 'static,
) -> Report {
    let stopped = Rc::new(Cell::new(false));
    let Ok((runtime, context)) = realm(order) else { return Report::Stopped(Bound::Memory) };
    let stop = Rc::clone(&stopped);
    runtime.set_interrupt_handler(Some(Box::new(move || {
        stop.set(stop.get() || is_over());
        stop.get()
    })));
    let report = context.with(|ctx| call(&ctx, order, &stopped, log));
    let report = if stopped.get() { Report::Stopped(Bound::Cpu) } else { report };
    if matches!(report, Report::Stopped(_)) {
        // What went too far is not taken apart piece by piece: the process ends anyway.
        mem::forget((runtime, context));
    }
    report
}

/// What is wrong with the grammar of a file, without running any of it.
pub(super) fn check(source: &str, file: &str) -> Result<(), Fault> {
    let unchecked = |_| Fault { line: None, message: "it cannot be read as JavaScript".to_owned() };
    let runtime = Runtime::new().map_err(unchecked)?;
    runtime.set_memory_limit(CHECK_MEMORY);
    let context = Context::custom::<Intrinsics>(&runtime).map_err(unchecked)?;
    context.with(|ctx| {
        // All of it is read before any of it runs, and it does not get further than the first word.
        let hash_bang = if source.starts_with("#!") { "//" } else { "" };
        let strict = source.trim_start().strip_prefix(['\'', '"']).is_some_and(|rest| rest.starts_with("use strict"));
        let evaluated = ctx.eval_with_options::<(), _>(format!("throw 0;{hash_bang}{source}"), options(file, strict));
        let Err(error) = evaluated else { return Ok(()) };
        if !error.is_exception() {
            return Err(Fault { line: None, message: "it holds a byte that no JavaScript has (NUL)".to_owned() });
        }
        let thrown = ctx.catch();
        match thrown.as_exception() {
            None => Ok(()),
            Some(error) => Err(Fault {
                line: error.stack().as_deref().and_then(line),
                message: error.message().unwrap_or_else(|| "it cannot be read as JavaScript".to_owned()),
            }),
        }
    })
}

/// A fault of grammar.
#[derive(Debug, PartialEq)]
pub(super) struct Fault {
    /// Counted from 1.
    pub(super) line: Option<u32>,
    pub(super) message: String,
}

/// The language, and nothing else: no clock but `Date`, no timers, no files, no network, no other processes.
type Intrinsics = (
    intrinsic::Date,
    intrinsic::Eval,
    intrinsic::RegExpCompiler,
    intrinsic::RegExp,
    intrinsic::Json,
    intrinsic::Proxy,
    intrinsic::MapSet,
    intrinsic::TypedArrays,
    intrinsic::Promise,
);

fn realm(order: &Order) -> rquickjs::Result<(Runtime, Context)> {
    let runtime = Runtime::new()?;
    runtime.set_memory_limit(order.bounds.memory);
    runtime.set_max_stack_size(order.bounds.stack);
    let context = Context::custom::<Intrinsics>(&runtime)?;
    Ok((runtime, context))
}

fn call(ctx: &Ctx<'_>, order: &Order, stopped: &Cell<bool>, log: impl Fn(Level, String) + 'static) -> Report {
    let outcome = match prepare(ctx, order, log) {
        Ok(outcome) => outcome,
        Err(_) => {
            ctx.catch();
            return Report::Stopped(Bound::Memory);
        }
    };
    match attempt(ctx, order, &outcome) {
        Ok(true) => {}
        Ok(false) => return Report::Unfit(format!("{} sets `exports` to no function", order.file)),
        Err(_) => {
            let thrown = ctx.catch();
            if thrown.is_null() {
                // What the engine throws when there is no room for an error.
                return Report::Stopped(Bound::Memory);
            }
            return match describe(&outcome, thrown) {
                Report::Threw { message, place } => Report::Unfit(format!("{}: {message}{place}", order.file)),
                stopped => stopped,
            };
        }
    }
    while !stopped.get() && ctx.execute_pending_job() {}
    ended(order, &outcome).unwrap_or_else(|_| {
        ctx.catch();
        Report::Stopped(Bound::Memory)
    })
}

/// Makes the surroundings of the function: `context`, `console`, `exports`.
fn prepare<'js>(ctx: &Ctx<'js>, order: &Order, log: impl Fn(Level, String) + 'static) -> rquickjs::Result<Object<'js>> {
    let log = Function::new(ctx.clone(), move |level: String, line: String| {
        let level = match level.as_str() {
            "debug" => Level::Debug,
            "warn" => Level::Warn,
            "error" => Level::Error,
            _ => Level::Info,
        };
        log(level, line);
    })?;
    let input = json!({ "arguments": order.arguments, "context": order.context }).to_string();
    let prelude: Function<'js> = ctx.eval_with_options(PRELUDE, options("prelude", true))?;
    prelude.call((log, input))
}

/// Runs the file and calls what it exports; `false`: it exports no function.
fn attempt<'js>(ctx: &Ctx<'js>, order: &Order, outcome: &Object<'js>) -> rquickjs::Result<bool> {
    ctx.eval_with_options::<Value<'js>, _>(order.source.as_str(), options(&order.file, false))?;
    // By name and not as a property of the global object: `let exports = …` is one, too.
    let exports: Value<'js> = ctx.eval_with_options("exports", options(&order.file, false))?;
    let Some(function) = exports.as_function() else { return Ok(false) };
    let call: Function<'js> = outcome.get("call")?;
    call.call::<_, ()>((function.clone(),))?;
    Ok(true)
}

fn ended(order: &Order, outcome: &Object<'_>) -> rquickjs::Result<Report> {
    let state: String = outcome.get("state")?;
    Ok(match state.as_str() {
        "returned" => {
            let answer: Option<String> = outcome.get("answer")?;
            match answer {
                Some(answer) if answer.len() > order.bounds.output => Report::Stopped(Bound::Output),
                answer => Report::Returned(answer),
            }
        }
        "thrown" => thrown(outcome.get("thrown")?),
        // Nothing is left that could settle it: there are no timers and no events.
        _ => Report::Unfit(format!("{}: what it returned never settles", order.file)),
    })
}

fn describe<'js>(outcome: &Object<'js>, value: Value<'js>) -> Report {
    let described = outcome.get("describe").and_then(|describe: Function<'js>| describe.call((value,)));
    described.map_or_else(|_| Report::Stopped(Bound::Memory), thrown)
}

fn thrown(description: Vec<String>) -> Report {
    let [kind, message, stack] = <[String; 3]>::try_from(description).unwrap_or_default();
    match kind.as_str() {
        "memory" => Report::Stopped(Bound::Memory),
        "stack" => Report::Stopped(Bound::Stack),
        _ => {
            let place = stack.lines().next().map(str::trim).unwrap_or_default();
            let place = if place.is_empty() { String::new() } else { format!(" ({place})") };
            Report::Threw { message, place }
        }
    }
}

fn options(file: &str, strict: bool) -> EvalOptions {
    let mut options = EvalOptions::default();
    options.strict = strict;
    options.filename = Some(file.replace('\0', ""));
    options
}

/// `    at auth.js:3:7` → 3.
fn line(stack: &str) -> Option<u32> {
    let mut parts = stack.lines().next()?.trim_end_matches(')').rsplit(':');
    parts.next()?;
    parts.next()?.parse().ok()
}

const PRELUDE: &str = include_str!("prelude.js");
/// Bytes that reading a file may take.
const CHECK_MEMORY: usize = 64 << 20;
