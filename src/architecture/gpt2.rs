//! GPT-2 as in nanoGPT: names, shapes, initialisation and decay are its own.
//!
//! A tied head is not listed, because it is the token embedding. Matrices start from N(0, 0.02²), the output
//! projections of each block from N(0, (0.02/√(2L))²); matrices alone decay.

use std::sync::Arc;

use super::{Architecture, GptConfig, Initial, Parameter, Projection, Role};

/// The architecture.
pub static GPT2: Architecture = Architecture {
    name: "gpt2",
    about: "pre-LN blocks of causal attention and an MLP, learned positions",
    list,
};

const QKV: Role = Role::AttentionInput(&[Projection::Query, Projection::Key, Projection::Value]);

fn list(sizes: &GptConfig) -> Vec<Parameter> {
    let (c, wide) = (sizes.n_embd, 4 * sizes.n_embd);
    let plain = 0.02;
    let output = 0.02 / (2.0 * sizes.n_layer as f64).sqrt();
    let mut list = List { bias: sizes.bias, layer: None, module: "".into(), parameters: vec![] };

    list.begin("transformer.wte", None);
    list.matrix("", Role::TokenEmbedding, [sizes.vocab_size, c], plain);
    list.begin("transformer.wpe", None);
    list.matrix("", Role::PositionEmbedding, [sizes.block_size, c], plain);
    for layer in 0..sizes.n_layer {
        list.begin(&format!("transformer.h.{layer}"), Some(layer));
        list.norm(".ln_1", c);
        list.linear(".attn.c_attn", QKV, [3 * c, c], plain);
        list.linear(".attn.c_proj", Role::AttentionOutput, [c, c], output);
        list.norm(".ln_2", c);
        list.linear(".mlp.c_fc", Role::MlpInput, [wide, c], plain);
        list.linear(".mlp.c_proj", Role::MlpOutput, [c, wide], output);
    }
    list.begin("transformer.ln_f", None);
    list.norm("", c);
    if !sizes.tied_lm_head {
        list.begin("lm_head", None);
        list.matrix("", Role::Head, [sizes.vocab_size, c], plain);
    }
    list.parameters
}

/// The list so far, and where in the model its next parameter lies.
struct List {
    bias: bool,
    layer: Option<usize>,
    module: Arc<str>,
    parameters: Vec<Parameter>,
}

impl List {
    /// A block, or what lies outside of blocks.
    fn begin(&mut self, module: &str, layer: Option<usize>) {
        (self.module, self.layer) = (module.into(), layer);
    }

    fn linear(&mut self, within: &str, role: Role, shape: [usize; 2], deviation: f64) {
        self.matrix(within, role, shape, deviation);
        self.bias(within, role, shape[0]);
    }

    fn norm(&mut self, within: &str, len: usize) {
        let weight = self.parameter(format!("{within}.weight"), Role::Norm, &[len]);
        self.parameters.push(Parameter { initial: Initial::Ones, ..weight });
        self.bias(within, Role::Norm, len);
    }

    fn matrix(&mut self, within: &str, role: Role, shape: [usize; 2], deviation: f64) {
        let weight = self.parameter(format!("{within}.weight"), role, &shape);
        self.parameters.push(Parameter { initial: Initial::Normal(deviation), decayed: true, ..weight });
    }

    fn bias(&mut self, within: &str, role: Role, len: usize) {
        if self.bias {
            let bias = self.parameter(format!("{within}.bias"), role, &[len]);
            self.parameters.push(Parameter { bias: true, ..bias });
        }
    }

    fn parameter(&self, within: String, role: Role, shape: &[usize]) -> Parameter {
        Parameter {
            name: format!("{}{within}", self.module),
            shape: shape.into(),
            offset: 0,
            role,
            bias: false,
            layer: self.layer,
            module: self.module.clone(),
            initial: Initial::Zeros,
            decayed: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(bias: bool, tied: bool) -> GptConfig {
        serde_json::from_str(&format!(
            r#"{{"n_layer": 12, "n_head": 12, "n_embd": 768, "block_size": 1024, "vocab_size": 50257,
                "bias": {bias}, "tied_lm_head": {tied}}}"#
        ))
        .expect("valid")
    }

    #[test]
    fn gpt2_small_has_its_published_size() {
        assert_eq!(sizes(true, true).num_parameters(), 124_439_808);
    }

    #[test]
    fn a_bias_follows_its_weight() {
        for (bias, tied) in [(false, true), (true, false)] {
            let list = list(&sizes(bias, tied));
            assert_eq!(list.iter().filter(|p| p.bias).count(), if bias { 6 * 12 + 1 } else { 0 });
            for pair in list.windows(2).filter(|pair| pair[1].bias) {
                let (weight, bias) = (&pair[0], &pair[1]);
                assert!(!weight.bias && weight.role == bias.role && weight.shape[0] == bias.len());
                assert_eq!(weight.name.strip_suffix(".weight"), bias.name.strip_suffix(".bias"));
            }
        }
    }

    #[test]
    fn heads_divide_what_attention_multiplies_by() {
        let sizes = sizes(true, true);
        for p in sizes.parameters().iter().filter(|p| p.layer == Some(3)) {
            let mut numbers: Vec<usize> =
                (0..sizes.n_head).flat_map(|h| p.of_head(h, sizes.head_size())).flatten().collect();
            numbers.sort_unstable();
            let attention = matches!(p.role, Role::AttentionInput(_) | Role::AttentionOutput);
            if attention && !(p.role == Role::AttentionOutput && p.bias) {
                assert!(numbers.into_iter().eq(p.range()), "{}", p.name);
            } else {
                assert!(numbers.is_empty(), "{}", p.name);
            }
        }
    }
}
