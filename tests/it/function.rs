//! Functions in JavaScript: what they get, what they may answer, and how far they may go.

use serde_json::{Value, json};
use vestibule::function::{Call, Failure, Function, Program, Script, Settings, Workers};

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
        let why = why(run(source).await);
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
