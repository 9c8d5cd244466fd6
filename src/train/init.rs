//! What training starts from.

use rand_distr::{Distribution, StandardNormal};

use crate::architecture::{GptConfig, Initial};
use crate::base::random;
use crate::base::values::{DType, Values};

/// What the architecture says of each parameter; one random stream per parameter, so that a variant of the model
/// shares the rest.
pub fn initial_parameters(config: &GptConfig, seed: u64, dtype: DType) -> Values {
    let mut flat = vec![0.0f64; config.num_parameters()];
    for parameter in config.parameters() {
        let part = &mut flat[parameter.range()];
        match parameter.initial {
            Initial::Normal(deviation) => {
                let stream = &mut random::stream(seed, 0, &format!("init/{}", parameter.name));
                for x in part {
                    let z: f64 = StandardNormal.sample(stream);
                    *x = deviation * z;
                }
            }
            Initial::Ones => part.fill(1.0),
            Initial::Zeros => {}
        }
    }
    Values::F64(flat).cast(dtype)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_deviations_are_nanogpts() {
        let config: GptConfig = serde_json::from_str(
            r#"{"n_layer": 2, "n_head": 2, "n_embd": 64, "block_size": 16, "vocab_size": 65, "bias": true}"#,
        )
        .expect("valid");
        let flat = initial_parameters(&config, 1, DType::F64).to_f64();
        for p in config.parameters() {
            let part = &flat[p.range()];
            let rms = (part.iter().map(|x| x * x).sum::<f64>() / part.len() as f64).sqrt();
            let expected = match p.name.as_str() {
                name if name.ends_with("c_proj.weight") => 0.01,
                name if p.shape.len() == 2 && !name.is_empty() => 0.02,
                name if name.ends_with("bias") => 0.0,
                _ => 1.0,
            };
            // four standard errors of a root mean square over k numbers: 4/√(2k)
            assert!(
                (rms - expected).abs() <= expected * 4.0 / (2.0 * part.len() as f64).sqrt(),
                "{}",
                p.name
            );
        }
    }
}
