//! The page with a report inside, and without the core: a log is not in it either.

use what_if::report::Report;

const PAGE: &str = include_str!("../page/page.html");

/// The page that shows a report.
pub(crate) fn of(report: &Report) -> serde_json::Result<String> {
    // What a log brings along cannot end the element that it stands in.
    let report = serde_json::to_string(report)?.replace('<', "\\u003c");
    let mut page = String::new();
    for line in PAGE.lines() {
        match line {
            "@css@" => page.push_str(include_str!("../page/page.css")),
            "@js@" => {
                page.push_str(include_str!("../page/page.js"));
                page.push_str(include_str!("../page/storm.js"));
            }
            "@report@" => page.push_str(&report),
            "@wasm@" => (),
            line => page.push_str(line),
        }
        page.push('\n');
    }
    Ok(page)
}
