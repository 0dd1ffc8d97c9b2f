//! Functions in JavaScript: what they get, what they may answer, and how far they may go.

use std::time::Duration;

use serde_json::{Value, json};
use vestibule::function::{Call, Failure, Function, Program, Script, Settings, Workers};
use vestibule::secret::Secret;

use crate::support::site::BINARY;

fn workers(settings: Settings) -> Workers {
    Workers::new(Program::new(BINARY, &["function-worker"]), settings)
}

fn function(source: &str) -> Function {
    function_with(source, Settings::default())
}

fn function_with(source: &str, settings: Settings) -> Function {
    Function::javascript("test", Script::parse("test.js", source).unwrap(), Default::default(), workers(settings))
}

async fn run(source: &str) -> Result<Option<Value>, Failure> {
    function(source).run(Call::by_system("custom-function", json!({ "name": "ann" }))).await
}

fn why(result: Result<Option<Value>, Failure>) -> String {
    match result {
        Err(Failure::CannotTell(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_function_answers_with_what_it_returns() {
    for (source, answer) in [
        ("exports = async function (payload) { return payload.name + '-1'; }", Some(json!("ann-1"))),
        (
            "exports = function ({ name }) { return { id: name, n: [1, 2.5, null, undefined] }; }",
            Some(json!({ "id": "ann", "n": [1, 2.5, null, null] })),
        ),
        ("exports = async (p) => { await null; return p; }", Some(json!({ "name": "ann" }))),
        ("const exports = () => 7;", Some(json!(7))),
        ("exports = () => {}", None),
        ("exports = () => Symbol('x')", None),
        ("exports = () => ({ then(yes) { yes('later'); } })", Some(json!("later"))),
        ("exports = () => ({ toJSON() { return 'text'; } })", Some(json!("text"))),
        ("exports = function () { return typeof this; }", Some(json!("object"))),
    ] {
        assert_eq!(run(source).await, Ok(answer), "{source}");
    }
}

#[tokio::test]
async fn what_is_thrown_is_a_no_whatever_it_is() {
    for (thrown, message) in [
        ("new Error('no such user')", "no such user"),
        ("'text'", "text"),
        ("{ code: 7 }", "{\"code\":7}"),
        ("null", "null"),
        ("undefined", "undefined"),
        ("Symbol('s')", "Symbol(s)"),
        ("7n", "7"),
        ("{ toJSON() { throw 1; } }", "a value that cannot be shown"),
        ("new Proxy({}, { getPrototypeOf() { throw 1; } })", "a value that cannot be shown"),
        ("Object.assign(new Error(), { message: { toString() { throw 1; } } })", "a value that cannot be shown"),
    ] {
        for source in [
            format!("exports = async () => {{ throw {thrown}; }}"),
            format!("exports = () => {{ throw {thrown}; }}"),
            format!("exports = () => Promise.reject({thrown})"),
        ] {
            match run(&source).await {
                Err(Failure::Refused { message: said, .. }) => assert_eq!(said, message, "{source}"),
                other => panic!("{source}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn what_went_wrong_is_told_with_its_line() {
    let Err(Failure::Refused { message, place }) = run("exports = () => {\n  return missing.x;\n}").await else {
        panic!("it answered")
    };
    assert!(message.contains("missing") && place.contains("test.js:2:"), "{message}{place}");
}

#[tokio::test]
async fn a_file_without_a_function_cannot_tell() {
    for (source, says) in [
        ("exports.answer = 7", "no function"),
        ("exports = 'text'", "no function"),
        ("delete globalThis.exports", "exports"),
        ("exports = () => 1; throw new Error('at the top')", "at the top"),
        ("exports = () => new Promise(() => {})", "never settles"),
        ("exports = () => ({ then() {} })", "never settles"),
    ] {
        let why = why(run(source).await);
        assert!(why.contains(says), "{source}: {why}");
    }
}

#[tokio::test]
async fn each_limit_stops_what_goes_beyond_it() {
    for (source, limit) in [
        ("exports = () => { for (;;) {} }", "cpu"),
        ("exports = async () => { for (;;) await null; }", "cpu"),
        ("exports = () => /^(a+)+$/.test('a'.repeat(40) + 'b')", "cpu"),
        ("exports = () => new Array(1e9).join()", "cpu"),
        ("exports = () => [].indexOf.call({ length: 2 ** 53 - 1 }, 1)", "cpu"),
        ("exports = () => 'a'.repeat(2 ** 23).indexOf('a'.repeat(2 ** 22) + 'b')", "cpu"),
        ("exports = () => { throw { toJSON() { for (;;) {} } }; }", "cpu"),
        ("exports = () => ({ get then() { for (;;) {} } })", "cpu"),
        ("for (;;) {} exports = () => 1", "cpu"),
        ("exports = () => new ArrayBuffer(2 ** 30)", "memory"),
        ("exports = () => { return 'x'.repeat(2 ** 29); }", "memory"),
        ("exports = () => { const a = []; for (;;) a.push([a]); }", "memory"),
        ("exports = function f() { return f() + 1; }", "stack"),
        ("exports = () => 'x'.repeat(10 << 20)", "output"),
    ] {
        // Only the first kind is to be about processor time, on a slow machine, too.
        let cpu = if limit == "cpu" { Settings::default().cpu } else { Duration::from_secs(2) };
        let function = function_with(source, Settings { cpu, ..Settings::default() });
        let why = why(function.run(Call::by_system("custom-function", json!({}))).await);
        assert!(why.contains(&format!("limit of {limit}")), "{source}: {why}");
    }
}

#[tokio::test]
async fn the_same_within_its_limits_is_answered() {
    for source in [
        "exports = () => { for (let i = 0; i < 1e4; i++) {} return 1; }",
        "exports = () => /^(a+)+$/.test('aaab') ? 0 : 1",
        "exports = () => new Array(1e3).join().length - 998",
        "exports = () => new ArrayBuffer(2 ** 20).byteLength / 2 ** 20",
        "exports = function f(n) { return n === 50 ? 1 : f(typeof n === 'number' ? n + 1 : 0); }",
        "exports = () => 'x'.repeat(200 << 10).length / (200 << 10)",
    ] {
        assert_eq!(run(source).await, Ok(Some(json!(1))), "{source}");
    }
}

#[tokio::test]
async fn sec_ssrf_05_nothing_of_a_call_is_left_for_the_next() {
    let source = "exports = ({ n }) => { \
        const seen = [{}.marked, globalThis.marked, [].join === marked, context.marked, exports.marked]; \
        Object.prototype.marked = globalThis.marked = context.marked = exports.marked = n; \
        Array.prototype.join = marked; \
        return seen.map(String); } \n function marked() { return 'marked'; }";
    let source =
        source.replace("globalThis.marked, [].join === marked", "typeof globalThis.marked, [].join === marked");
    let function = function_with(&source, Settings { workers: 1, ..Settings::default() });
    for n in 0..3 {
        let seen = function.run(Call::by_system("custom-function", json!({ "n": n }))).await.unwrap().unwrap();
        assert_eq!(seen, json!(["undefined", "function", "false", "undefined", "undefined"]), "{n}");
    }
}

#[tokio::test]
async fn sec_ssrf_05_there_is_nothing_but_the_language() {
    let names = "require process Deno Bun fetch XMLHttpRequest WebSocket setTimeout setInterval \
                 setImmediate std os bjson Worker performance WeakRef navigator print \
                 scriptArgs gc module __dirname";
    for name in names.split_whitespace() {
        let found = run(&format!("exports = () => typeof {name}")).await;
        assert_eq!(found, Ok(Some(json!("undefined"))), "{name}");
    }
    for text_as_code in [
        "Function('return 1')()",
        "new Function('return 1')()",
        "(() => {}).constructor('return 1')()",
        "(async () => {}).constructor('return 1')()",
        "(function* () {}).constructor('return 1')().next().value",
        "(async function* () {}).constructor('return 1')()",
        "(class {}).constructor('return 1')()",
        "Reflect.construct(Object.getPrototypeOf(Object).constructor, ['return 1'])()",
        "globalThis.eval('1')",
        "(0, eval)('1')",
        "import('fs')",
        "import('data:text/javascript,1')",
    ] {
        let outcome = run(&format!("exports = async () => {{ await ({text_as_code}); return 'it ran'; }}")).await;
        assert!(matches!(outcome, Err(Failure::Refused { .. })), "{text_as_code}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_function_of_several_arguments_gets_them_in_order() {
    let mut call = Call::by_system("custom-function", json!(1));
    call.arguments.extend([json!({ "__proto__": { "a": 1 } }), json!(null)]);
    let source = "exports = (...all) => [all.length, all[0], Object.keys(all[1]), all[2], {}.a === undefined]";
    let answer = function(source).run(call).await;
    assert_eq!(answer, Ok(Some(json!([3, 1, ["__proto__"], null, true]))));
}

#[tokio::test]
async fn a_function_sees_values_and_who_calls() {
    let values = [("pepper".to_owned(), Secret::new("canary"))].into();
    let script = Script::parse(
        "test.js",
        "exports = () => [context.values.get('pepper'), context.values.pepper, context.values.get('constructor'), \
         Object.keys(context.values), context.user.id, context.runningAsSystem()]",
    );
    let function = Function::javascript("test", script.unwrap(), values, workers(Settings::default()));
    let mut call = Call::by_system("custom-function", json!({}));
    let answer = function.run(call.clone()).await;
    assert_eq!(answer, Ok(Some(json!(["canary", "canary", null, ["pepper"], "", true]))));
    call.user = Some(json!({ "id": "u1", "type": "normal" }));
    let answer = function.run(call).await;
    assert_eq!(answer, Ok(Some(json!(["canary", "canary", null, ["pepper"], "u1", false]))));
    assert!(!format!("{function:?}").contains("canary"));
}

#[tokio::test]
async fn a_value_may_have_any_name() {
    for name in ["get", "__proto__", "constructor", "a b"] {
        let script = Script::parse("test.js", &format!("exports = () => context.values[{name:?}]")).unwrap();
        let values = [(name.to_owned(), Secret::new("canary"))].into();
        let function = Function::javascript("test", script, values, workers(Settings::default()));
        assert_eq!(
            function.run(Call::by_system("custom-function", json!({}))).await,
            Ok(Some(json!("canary"))),
            "{name}"
        );
    }
}

#[tokio::test]
async fn beyond_a_short_queue_nobody_waits() {
    let function = function_with(
        "exports = () => { for (;;) {} }",
        Settings { workers: 1, cpu: Duration::from_secs(20), time: Duration::from_millis(300), ..Settings::default() },
    );
    let calls = (0..70).map(|_| function.run(Call::by_system("custom-function", json!({}))));
    let told: Vec<String> = futures_util::future::join_all(calls).await.into_iter().map(why).collect();
    assert_eq!(told.iter().filter(|why| why.contains("too many functions wait")).count(), 6, "{told:?}");
    assert_eq!(told.iter().filter(|why| why.contains("limit of time")).count(), 64);
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_is_ended() {
    let settings =
        Settings { workers: 1, cpu: Duration::from_secs(20), time: Duration::from_secs(20), ..Settings::default() };
    let source = "exports = ({ n }) => { while (n) {} return 'ann-1'; }";
    let function = function_with(source, settings);
    let call = |n: u8| function.run(Call::by_system("custom-function", json!({ "n": n })));
    assert!(call(0).await.is_ok());
    let mut endless = Box::pin(call(1));
    assert!(futures_util::FutureExt::now_or_never(&mut endless).is_none());
    drop(endless);
    assert!(call(0).await.is_ok(), "the one worker is free again");
}

#[test]
fn a_file_with_a_fault_is_found_before_it_runs() {
    for (source, line, says) in [
        ("exports = () => {\n  return (;\n}", Some(2), ""),
        ("exports = (", Some(1), ""),
        ("'use strict';\nexports = () => 010", Some(2), ""),
        ("let a = 1;", None, "exports nothing"),
        ("exports = '\0'", None, "NUL"),
    ] {
        let fault = Script::parse("test.js", source).unwrap_err();
        assert_eq!(fault.line, line, "{source}: {fault}");
        assert!(fault.message.contains(says), "{source}: {fault}");
    }
    for source in
        ["exports = () => 010", "for (;;) {} exports = 1", "#!/x\nexports = () => 1", "\u{feff}exports = () => 1"]
    {
        assert!(Script::parse("test.js", source).is_ok(), "{source}");
    }
}
