//! What the page opens with: which runs, on what, with what, and what was found.

use std::fmt::Write;
use std::sync::Arc;

use super::findings::Finding;
use super::html::escape;

/// What is known of a run beside its numbers: names of facts and the facts, in the order they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The run.
    pub run: Arc<str>,
    /// Model, data, rates, versions.
    pub facts: Vec<(&'static str, String)>,
}

/// A table of facts, one column per run, or one for all where they agree.
pub fn facts(all: &[Facts]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in all.iter().flat_map(|run| &run.facts) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return String::new();
    }
    let of = |run: &Facts, name: &str| {
        run.facts.iter().find(|(other, _)| *other == name).map_or("not known", |(_, fact)| fact).to_string()
    };
    let mut text = String::from("<h2>What was measured</h2>\n<table class=\"facts\">\n<tr><th></th>");
    for run in all {
        let _ = write!(text, "<th>{}</th>", escape(&run.run));
    }
    text.push_str("</tr>\n");
    for name in names {
        let values: Vec<String> = all.iter().map(|run| escape(&of(run, name))).collect();
        let _ = write!(text, "<tr><th>{}</th>", escape(name));
        if values.iter().all(|value| *value == values[0]) {
            let _ = write!(text, "<td colspan=\"{}\">{}</td>", values.len(), values[0]);
        } else {
            for (run, value) in all.iter().zip(values) {
                // a narrow screen has no room for columns: each fact names its run
                let _ = write!(text, "<td data-run=\"{}\">{value}</td>", escape(&run.run));
            }
        }
        text.push_str("</tr>\n");
    }
    text + "</table>\n"
}

/// A list of findings, each with its caveat.
pub fn findings(all: &[Finding]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut text = String::from("<h2>What was found</h2>\n<ol class=\"findings\">\n");
    for finding in all {
        let (sentence, caveat) = (escape(&finding.sentence), escape(&finding.caveat));
        let _ = writeln!(text, "<li>{sentence} <span class=\"caveat\">{caveat}</span></li>");
    }
    text + "</ol>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_that_agree_are_said_once() {
        let run = |name: &str, warmup: &str| Facts {
            run: name.into(),
            facts: vec![("model", "gpt2 <small>".into()), ("warmup", warmup.into())],
        };
        let text = facts(&[run("cold", "none"), run("warm", "60 updates")]);
        assert!(text.contains("<td colspan=\"2\">gpt2 &lt;small&gt;</td>"), "{text}");
        assert!(
            text.contains("<td data-run=\"cold\">none</td><td data-run=\"warm\">60 updates</td>"),
            "{text}"
        );
        let unknown = Facts { run: "loose".into(), facts: vec![] };
        assert!(
            facts(&[run("cold", "none"), unknown.clone()]).contains("<td data-run=\"loose\">not known</td>")
        );
        assert_eq!(facts(&[unknown]), "");
    }
}
