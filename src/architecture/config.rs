//! The sizes of a GPT. `config.json` of a native checkpoint is this structure.
//!
//! All flat vectors follow [`GptConfig::parameters`]: sorted by name, row-major.

use serde::{Deserialize, Serialize};

use super::{ARCHITECTURES, Architecture, Parameter};
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

/// Which architecture, and of what sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GptConfig {
    /// The architecture; in JSON its name.
    #[serde(default = "first", deserialize_with = "Architecture::deserialize")]
    pub arch: &'static Architecture,
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

fn first() -> &'static Architecture {
    ARCHITECTURES[0]
}
fn yes() -> bool {
    true
}
fn default_layer_norm_eps() -> f64 {
    1e-5
}

/// More parameters than this are refused before any memory is taken: a config that asks for them is
/// damaged or hostile.
const MAX_PARAMETERS: usize = 100_000_000_000;

impl GptConfig {
    /// From the text of a `config.json`, checked.
    ///
    /// # Errors
    /// [`Error::Usage`] saying what is wrong with it; an architecture that is not known before anything else, since
    /// its sizes may have names of their own.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Named {
            arch: String,
        }
        if let Ok(Named { arch }) = serde_json::from_slice(text) {
            Architecture::named(&arch).map_err(Error::usage)?;
        }
        let config: GptConfig = serde_json::from_slice(text).map_err(|e| Error::usage(e.to_string()))?;
        config.validate()?;
        Ok(config)
    }

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
        let count = self.num_parameters();
        if count > MAX_PARAMETERS {
            return Err(Error::usage(format!("the configuration asks for {count} parameters")));
        }
        Ok(())
    }

    /// Every parameter, sorted by name: the order of all flat vectors.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut list = self.parameters_by_layer();
        list.sort_by_key(|p| p.offset);
        list
    }

    /// Every parameter in the order of the layers, as PyTorch's `named_parameters` has them.
    pub fn parameters_by_layer(&self) -> Vec<Parameter> {
        let mut list = (self.arch.list)(self);
        let mut by_name: Vec<&mut Parameter> = list.iter_mut().collect();
        by_name.sort_by(|a, b| a.name.cmp(&b.name));
        let mut offset = 0;
        for parameter in by_name {
            parameter.offset = offset;
            offset += parameter.len();
        }
        list
    }

    /// How many numbers the model holds, n; a tied head is counted once.
    pub fn num_parameters(&self) -> usize {
        (self.arch.list)(self).iter().map(Parameter::len).sum()
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
    fn impossible_sizes_are_refused() {
        for broken in [
            GptConfig { n_head: 4, ..small() },
            GptConfig { n_layer: 0, ..small() },
            GptConfig { n_embd: 1 << 27, ..small() },
            GptConfig { layer_norm_eps: f64::NAN, ..small() },
            GptConfig { layer_norm_eps: f64::INFINITY, ..small() },
        ] {
            assert!(broken.validate().is_err(), "{broken:?}");
        }
        assert!(small().validate().is_ok());
        assert!(serde_json::from_str::<GptConfig>(r#"{"n_layer": 1, "rope": true}"#).is_err());
    }

    #[test]
    fn an_unknown_architecture_is_refused_by_its_name() {
        let llama = br#"{"rope_theta": 1e4, "arch": "llama"}"#;
        let error = GptConfig::from_json(llama).expect_err("not known").to_string();
        assert_eq!(error, r#"arch "llama" is not known; what is known: "gpt2""#);
        let text = serde_json::to_vec(&small()).expect("written");
        assert_eq!(GptConfig::from_json(&text).expect("read"), small());
    }
}
