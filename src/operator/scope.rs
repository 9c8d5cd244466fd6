//! The parts of a model an operator can be restricted to.
//!
//! `all`; `blocks`, one per parameter tensor; `layers`, one per transformer block, the embeddings and the
//! final norm; `heads`, one per attention head; or a regular expression, one joint block of all tensors it
//! matches. The parts of c_attn are `…c_attn.weight[q]`, `[k]`, `[v]` and likewise for its bias.

use std::ops::Range;

use regex::Regex;

use crate::architecture::{GptConfig, Parameter, Projection};
use crate::base::error::{Error, Result};
use crate::base::takes::nearest;

/// A named set of coordinates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// What reports call it: "all", a parameter's name, a block's name, or the expression.
    pub name: String,
    /// Its transformer block, where it has one.
    pub layer: Option<u32>,
    /// Its attention head, where it is one.
    pub head: Option<u32>,
    /// Its coordinates in the flat vector, ascending.
    pub ranges: Vec<Range<usize>>,
}

impl Scope {
    /// How many coordinates.
    pub fn n(&self) -> usize {
        self.ranges.iter().map(ExactSizeIterator::len).sum()
    }

    /// All numbers of these parameters; their block is its own where they have one in common.
    pub fn of(name: impl Into<String>, parameters: &[&Parameter]) -> Self {
        let ranges = join(parameters.iter().map(|p| p.range()).collect());
        Scope { name: name.into(), layer: common_layer(parameters), head: None, ranges }
    }
}

/// The block that all of these lie in.
fn common_layer(parameters: &[&Parameter]) -> Option<u32> {
    let layer = parameters.first()?.layer;
    layer.filter(|_| parameters.iter().all(|p| p.layer == layer)).map(|layer| layer as u32)
}

/// Sorted, with neighbours merged.
fn join(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|r| r.start);
    let mut joined: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

/// Scopes that have a name of their own.
const WORDS: [&str; 4] = ["all", "blocks", "layers", "heads"];

/// The scopes that `text` names.
///
/// # Errors
/// [`Error::Usage`] where `text` is no regular expression, or one that matches no tensor.
pub fn scopes(text: &str, config: &GptConfig) -> Result<Vec<Scope>> {
    let parameters = config.parameters();
    let all: Vec<&Parameter> = parameters.iter().collect();
    match text {
        "all" => Ok(vec![Scope::of("all", &all)]),
        "blocks" => Ok(all.iter().map(|p| Scope::of(p.name.as_str(), &[*p])).collect()),
        "layers" => Ok(layers(config)),
        "heads" => Ok(heads(config)),
        expression => matching(expression, &parameters).map(|scope| vec![scope]),
    }
}

/// The blocks, then what lies outside of them.
fn layers(config: &GptConfig) -> Vec<Scope> {
    let list = config.parameters_by_layer();
    let (blocks, outside): (Vec<&Parameter>, Vec<&Parameter>) = list.iter().partition(|p| p.layer.is_some());
    let modules = |list: Vec<&Parameter>| -> Vec<Scope> {
        let modules = list.chunk_by(|a, b| a.module == b.module);
        modules.map(|parameters| Scope::of(&*parameters[0].module, parameters)).collect()
    };
    [modules(blocks), modules(outside)].concat()
}

/// A head's rows of q, k and v, and its columns of the projection behind them.
fn heads(config: &GptConfig) -> Vec<Scope> {
    let list = config.parameters_by_layer();
    let blocks = list.chunk_by(|a, b| a.module == b.module).filter(|block| block[0].layer.is_some());
    let of_block = |block: &[Parameter]| -> Vec<Scope> {
        let ranges = |head| block.iter().flat_map(|p| p.of_head(head, config.head_size())).collect();
        let scope = |head| Scope {
            name: format!("{}.attn[{head}]", block[0].module),
            layer: block[0].layer.map(|layer| layer as u32),
            head: Some(head as u32),
            ranges: join(ranges(head)),
        };
        (0..config.n_head).map(scope).collect()
    };
    blocks.flat_map(of_block).collect()
}

/// Bytes of a regular expression; its memory grows several hundred times as fast.
const LONGEST: usize = 4096;

fn matching(expression: &str, parameters: &[Parameter]) -> Result<Scope> {
    if expression.len() > LONGEST {
        return Err(Error::usage(format!("--scope takes an expression of {LONGEST} bytes at most")));
    }
    let regex = Regex::new(expression).map_err(|e| {
        Error::usage_hint(
            format!("--scope `{expression}` is not a regular expression: {}", last_line(&e)),
            "use all, blocks, layers, heads, or an expression such as 'mlp\\.c_fc\\.weight$'",
        )
    })?;
    let mut ranges = Vec::new();
    let mut matched = Vec::new();
    for p in parameters {
        let before = ranges.len();
        if regex.is_match(&p.name) {
            ranges.push(p.range());
        } else {
            let is_match =
                |projection: Projection| regex.is_match(&format!("{}[{}]", p.name, projection.letter()));
            ranges.extend(p.projections().into_iter().filter(|(q, _)| is_match(*q)).map(|(_, range)| range));
        }
        if ranges.len() > before {
            matched.push(p);
        }
    }
    if ranges.is_empty() {
        return Err(Error::usage_hint(
            format!("--scope `{expression}` matches no parameter of this model"),
            near(expression, parameters).map_or_else(
                || {
                    "it takes all, blocks, layers, heads, or part of a parameter's name, as `warmlab inspect` lists them; \
                     the parts of c_attn end in [q], [k], [v]"
                        .into()
                },
                |near| format!("did you mean --scope {near}?"),
            ),
        ));
    }
    Ok(Scope { name: expression.into(), layer: common_layer(&matched), head: None, ranges: join(ranges) })
}

/// The reason alone: the expression itself, drawn with a mark below, takes several lines.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_string()
}

/// The word, or the last parts of a parameter's name, that was meant.
fn near(expression: &str, parameters: &[Parameter]) -> Option<String> {
    let ends = parameters.iter().flat_map(|p| {
        let name = p.name.as_str();
        name.match_indices('.').map(|(at, _)| &name[at + 1..])
    });
    nearest(expression, WORDS.into_iter().chain(ends)).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(bias: bool) -> GptConfig {
        serde_json::from_str(&format!(
            r#"{{"n_layer": 2, "n_head": 2, "n_embd": 4, "block_size": 3, "vocab_size": 5, "bias": {bias}}}"#
        ))
        .expect("valid")
    }

    #[test]
    fn blocks_and_layers_partition_the_parameters() {
        for bias in [true, false] {
            let config = config(bias);
            for text in ["all", "blocks", "layers"] {
                let scopes = scopes(text, &config).expect("scopes");
                let ranges = join(scopes.iter().flat_map(|s| s.ranges.clone()).collect());
                assert_eq!(ranges, [0..config.num_parameters()], "{text}");
                assert_eq!(scopes.iter().map(Scope::n).sum::<usize>(), config.num_parameters());
            }
        }
    }

    #[test]
    fn heads_partition_attention_without_the_output_bias() {
        let config = config(true);
        let list = scopes("heads", &config).expect("scopes");
        assert_eq!(list.len(), 4);
        // per head 3 d (C + 1) of c_attn and C d of c_proj
        assert!(list.iter().all(|s| s.n() == 3 * 2 * 5 + 4 * 2));
        let attention: usize = config
            .parameters()
            .iter()
            .filter(|p| p.name.contains(".attn.") && !p.name.ends_with("c_proj.bias"))
            .map(Parameter::len)
            .sum();
        assert_eq!(list.iter().map(Scope::n).sum::<usize>(), attention);
    }

    #[test]
    fn expressions_reach_the_parts_of_c_attn() {
        let config = config(false);
        let all = scopes(r"c_attn\.weight$", &config).expect("scope").remove(0);
        let parts: Vec<Scope> = ["q", "k", "v"]
            .iter()
            .map(|part| scopes(&format!(r"c_attn\.weight\[{part}\]"), &config).expect("scope").remove(0))
            .collect();
        assert_eq!(join(parts.iter().flat_map(|s| s.ranges.clone()).collect()), all.ranges);
        assert_eq!(scopes(r"h\.1\..*ln_2", &config).expect("scope")[0].layer, Some(1));
        for (typed, meant) in
            [("layer", "layers"), ("block", "blocks"), ("c_atn", "c_attn.weight"), ("All", "all")]
        {
            let error = scopes(typed, &config).expect_err("no such scope");
            assert_eq!(error.hint(), Some(&*format!("did you mean --scope {meant}?")));
        }
        assert!(
            scopes("nothing", &config).expect_err("no such scope").hint().expect("a hint").contains("blocks")
        );
        assert!(scopes("(", &config).is_err());
    }
}
