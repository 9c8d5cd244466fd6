//! The architecture of a GPT and, following from it, the name and shape of every parameter.
//!
//! `config.json` of a native checkpoint is this structure. Parameter names and shapes are nanoGPT's
//! (`transformer.h.0.attn.c_attn.weight` of shape (3C, C)); a tied head is not listed, because it is
//! the token embedding. All flat vectors follow [`GptConfig::parameters`]: sorted by name, row-major.

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};

/// The nonlinearity of the MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x Φ(x) with the exact normal distribution function; nanoGPT's.
    #[default]
    Gelu,
    /// The tanh approximation; GPT-2's and Hugging Face's `gelu_new`.
    GeluTanh,
}

/// A pre-LN GPT-2 with learned positions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GptConfig {
    /// "gpt2", the only architecture so far.
    #[serde(default = "gpt2")]
    pub arch: String,
    /// Transformer blocks, L.
    pub n_layer: usize,
    /// Attention heads per block, H.
    pub n_head: usize,
    /// Width of the residual stream, C; a multiple of `n_head`.
    pub n_embd: usize,
    /// Longest sequence, T.
    pub block_size: usize,
    /// Token ids are below this, V.
    pub vocab_size: usize,
    /// Whether linear layers and layer norms have biases.
    #[serde(default = "yes")]
    pub bias: bool,
    /// The nonlinearity of the MLP.
    #[serde(default)]
    pub activation: Activation,
    /// Added to the variance in every layer norm.
    #[serde(default = "default_layer_norm_eps")]
    pub layer_norm_eps: f64,
    /// Whether the head's matrix is the token embedding.
    #[serde(default = "yes")]
    pub tied_lm_head: bool,
}

fn gpt2() -> String {
    "gpt2".into()
}
fn yes() -> bool {
    true
}
fn default_layer_norm_eps() -> f64 {
    1e-5
}

/// One parameter tensor and its place in the flat vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// nanoGPT's name.
    pub name: String,
    /// (rows, columns) for matrices, (length) for biases and norms.
    pub shape: Vec<usize>,
    /// Position of its first number in the flat vector.
    pub offset: usize,
}

impl Parameter {
    /// How many numbers it holds.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds none (it never does in a valid configuration).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its positions in the flat vector.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len()
    }

    /// The transformer block it belongs to, for names `transformer.h.N.…`.
    pub fn layer(&self) -> Option<usize> {
        self.name.strip_prefix("transformer.h.")?.split('.').next()?.parse().ok()
    }
}

/// More parameters than this are refused before any memory is taken: a config that asks for them is
/// damaged or hostile.
const MAX_PARAMETERS: usize = 100_000_000_000;

impl GptConfig {
    /// Checks that the sizes make a model.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the offending field.
    pub fn validate(&self) -> Result<()> {
        let sizes = [
            ("n_layer", self.n_layer, 10_000),
            ("n_head", self.n_head, 1 << 20),
            ("n_embd", self.n_embd, 1 << 20),
            ("block_size", self.block_size, 1 << 28),
            ("vocab_size", self.vocab_size, 1 << 28),
        ];
        for (name, size, largest) in sizes {
            if size == 0 {
                return Err(Error::usage(format!("{name} is 0; it must be at least 1")));
            }
            if size > largest {
                return Err(Error::usage(format!("{name} is {size}, larger than any GPT")));
            }
        }
        if self.arch != "gpt2" {
            return Err(Error::usage(format!("arch \"{}\" is not known; only \"gpt2\" is", self.arch)));
        }
        if !self.n_embd.is_multiple_of(self.n_head) {
            return Err(Error::usage(format!(
                "n_embd {} is not a multiple of n_head {}",
                self.n_embd, self.n_head
            )));
        }
        if !self.layer_norm_eps.is_finite() || self.layer_norm_eps <= 0.0 {
            return Err(Error::usage(format!(
                "layer_norm_eps is {}; it must be positive",
                self.layer_norm_eps
            )));
        }
        let (c, wide) = (self.n_embd as u128, (self.block_size + 2 * self.vocab_size) as u128);
        let count = 13 * self.n_layer as u128 * c * c + wide * c;
        if count > MAX_PARAMETERS as u128 {
            return Err(Error::usage(format!("the configuration asks for {count} parameters")));
        }
        Ok(())
    }

    /// Every parameter, sorted by name: the order of all flat vectors.
    pub fn parameters(&self) -> Vec<Parameter> {
        let (c, bias) = (self.n_embd, self.bias);
        let mut list: Vec<(String, Vec<usize>)> = vec![
            ("transformer.wte.weight".into(), vec![self.vocab_size, c]),
            ("transformer.wpe.weight".into(), vec![self.block_size, c]),
        ];
        let mut pair = |name: String, shape: Vec<usize>| {
            if bias {
                list.push((format!("{name}.bias"), vec![shape[0]]));
            }
            list.push((format!("{name}.weight"), shape));
        };
        for layer in 0..self.n_layer {
            let block = format!("transformer.h.{layer}");
            pair(format!("{block}.ln_1"), vec![c]);
            pair(format!("{block}.attn.c_attn"), vec![3 * c, c]);
            pair(format!("{block}.attn.c_proj"), vec![c, c]);
            pair(format!("{block}.ln_2"), vec![c]);
            pair(format!("{block}.mlp.c_fc"), vec![4 * c, c]);
            pair(format!("{block}.mlp.c_proj"), vec![c, 4 * c]);
        }
        pair("transformer.ln_f".into(), vec![c]);
        if !self.tied_lm_head {
            list.push(("lm_head.weight".into(), vec![self.vocab_size, c]));
        }
        list.sort();
        let mut offset = 0;
        list.into_iter()
            .map(|(name, shape)| {
                let parameter = Parameter { name, shape, offset };
                offset += parameter.len();
                parameter
            })
            .collect()
    }

    /// How many numbers the model holds, n; a tied head is counted once.
    pub fn num_parameters(&self) -> usize {
        self.parameters().last().map_or(0, |p| p.offset + p.len())
    }

    /// Width of one attention head, d = C/H.
    pub fn head_size(&self) -> usize {
        self.n_embd / self.n_head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> GptConfig {
        serde_json::from_str(
            r#"{"n_layer": 11, "n_head": 2, "n_embd": 6, "block_size": 8, "vocab_size": 11, "bias": false}"#,
        )
        .expect("valid")
    }

    #[test]
    fn parameters_are_sorted_and_contiguous() {
        let parameters = GptConfig { bias: true, tied_lm_head: false, ..small() }.parameters();
        assert!(parameters.windows(2).all(|w| w[0].name < w[1].name && w[0].range().end == w[1].offset));
        assert_eq!(parameters[0].name, "lm_head.weight");
        // lexicographic, so block 10 precedes block 2
        let position = |prefix: &str| parameters.iter().position(|p| p.name.starts_with(prefix));
        assert!(position("transformer.h.10.") < position("transformer.h.2."));
    }

    #[test]
    fn gpt2_small_has_its_published_size() {
        let gpt2 = GptConfig {
            n_layer: 12,
            n_head: 12,
            n_embd: 768,
            block_size: 1024,
            vocab_size: 50257,
            bias: true,
            ..small()
        };
        assert_eq!(gpt2.num_parameters(), 124_439_808);
    }

    #[test]
    fn impossible_sizes_are_refused() {
        for broken in [
            GptConfig { n_head: 4, ..small() },
            GptConfig { n_layer: 0, ..small() },
            GptConfig { n_embd: 1 << 27, ..small() },
            GptConfig { arch: "llama".into(), ..small() },
            GptConfig { layer_norm_eps: f64::NAN, ..small() },
            GptConfig { layer_norm_eps: f64::INFINITY, ..small() },
        ] {
            assert!(broken.validate().is_err(), "{broken:?}");
        }
        assert!(small().validate().is_ok());
        assert!(serde_json::from_str::<GptConfig>(r#"{"n_layer": 1, "rope": true}"#).is_err());
    }
}
