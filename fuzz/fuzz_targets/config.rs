//! A configuration is read or refused with places that are in the text, and never kills the program.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule::config;

fuzz_target!(|text: &str| {
    let Err(report) = config::parse(text, "vestibule.toml", []) else { return };
    assert!(!report.problems.is_empty());
    let lines = text.split('\n').count();
    for problem in &report.problems {
        if problem.file == "vestibule.toml" && let Some(line) = problem.line {
            assert!((1..=lines).contains(&(line as usize)), "line {line} of {lines}: {}", problem.message);
        }
    }
    let _ = report.to_string();
});
