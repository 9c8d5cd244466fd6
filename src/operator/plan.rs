//! What products with curvature matrices will cost, decided before they start.

use crate::architecture::{GptConfig, Parameter, Role};
use crate::base::error::{Error, Result};
use crate::base::settings::Settings;
use crate::data::Batch;
use crate::kernels::{attention, cross_entropy};
use crate::operator::Keep;

/// How a computation is cut to fit the memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Sequences per micro-batch.
    pub micro_batch: usize,
    /// Whether primal passes stay in memory.
    pub keep: Keep,
    /// Vectors a Krylov basis may have.
    pub max_basis: usize,
    /// Bytes of activations and gradients held at a time.
    pub activation_bytes: u64,
    /// Bytes of one vector of n numbers.
    pub vector_bytes: u64,
    /// Bytes in all, at the largest.
    pub bytes: u64,
}

/// What a computation asks for, in vectors of length n.
#[derive(Debug, Clone, Copy)]
pub struct Demand {
    /// Held from beginning to end beside the parameters: moments, a preconditioner, warm starts.
    pub held: usize,
    /// Multiplied at a time.
    pub block: usize,
    /// That a basis must hold.
    pub least: usize,
    /// That it would welcome.
    pub wish: usize,
}

impl Demand {
    /// Products of `block` vectors at a time with a basis of `wish` vectors, `least` at the least.
    pub fn new(block: usize, least: usize, wish: usize) -> Self {
        Demand { held: 0, block, least, wish }
    }

    /// The same with `more` vectors held.
    pub fn holding(self, more: usize) -> Self {
        Demand { held: self.held + more, ..self }
    }
}

/// Bytes of the process itself: its code, LAPACK's buffers, the threads' stacks, tokens (measured, two threads).
const PROCESS: u64 = 40 << 20;

/// Vectors of length n that live beside the basis for each of the k vectors of a product: x, its tangent tensors or
/// the product's, the product.
const WORKING: u64 = 3;

/// The share of the memory that is left to what the allocator cannot hand out: blocks of many sizes, some of them
/// larger than what is asked for next.
const SPARE: u64 = 16;

/// Numbers of attention's probabilities per token and layer.
fn probabilities(config: &GptConfig, seq: usize) -> usize {
    (config.n_head * attention::kept(seq)).div_ceil(seq)
}

/// Numbers that the layers of a parameter keep per token: (in a primal pass, in a tangent).
///
/// A primal pass keeps x̂ and the gradient of a norm, of a linear layer its input and the gradient by its output,
/// and what lies between two linear layers: qkv and the gradient by attention's output; two derivatives of the
/// nonlinearity and what the second one makes of the gradient. A tangent keeps tangents alone.
fn of_parameter(p: &Parameter) -> (usize, usize) {
    if p.bias {
        return (0, 0);
    }
    let (outputs, inputs) = (p.shape[0], p.len() / p.shape[0]);
    match p.role {
        Role::Norm => (2 * outputs, outputs),
        Role::AttentionInput(_) => (inputs + 2 * outputs, inputs + outputs),
        Role::AttentionOutput => (2 * inputs + outputs, inputs),
        Role::MlpInput => (inputs + outputs, inputs + outputs),
        Role::MlpOutput => (4 * inputs + outputs, inputs),
        Role::TokenEmbedding | Role::PositionEmbedding | Role::Head => (0, 0),
    }
}

/// (numbers kept per token by a primal pass, numbers that one tangent adds while a product runs).
fn per_token(config: &GptConfig, seq: usize) -> (u64, u64) {
    let (c, attention) = (config.n_embd, probabilities(config, seq) * config.n_layer);
    let list = config.parameters();
    let blocks = list.iter().filter(|p| p.layer.is_some()).map(of_parameter);
    let (kept, tangent) = blocks.fold((0, 0), |(a, b), (kept, tangent)| (a + kept, b + tangent));
    ((kept + 2 * attention + 5 * c) as u64, (tangent + attention + 16 * c) as u64)
}

impl Plan {
    /// Fits what is demanded into the settings' memory. Micro-batches are cut and primal passes recomputed only where the whole
    /// batch does not fit beside the least basis.
    ///
    /// # Errors
    /// [`Error::Usage`] where even one sequence at a time does not fit, naming the bytes needed.
    pub fn new(config: &GptConfig, batch: &Batch, settings: &Settings, demand: Demand) -> Result<Self> {
        let Demand { held, block, least, wish } = demand;
        let n = config.num_parameters();
        let size = settings.dtype.size() as u64;
        let vector_bytes = n as u64 * size;
        // parameters twice (flat and as tensors), the gradient, what is held, and the working vectors, of which one x is
        // in the basis
        let (kept_per_token, tangent_per_token) = per_token(config, batch.seq());
        let fixed = PROCESS + vector_bytes * (2 + held as u64 + WORKING * block as u64);
        let least = least.min(n);
        let activations = |sequences: usize, kept: usize| {
            let tokens = batch.seq() as u64 * size;
            let logits = |sequences: usize, k: usize| {
                let all = k * sequences * batch.seq() * config.vocab_size;
                2 * size * all.min(cross_entropy::KEPT * k) as u64
            };
            tokens * kept as u64 * kept_per_token
                + tokens * sequences as u64 * block as u64 * tangent_per_token
                + logits(kept, 1)
                + logits(sequences, block)
        };
        let memory = settings.memory - settings.memory / SPARE;
        let fits = |activation: u64| fixed + activation + least as u64 * vector_bytes <= memory;
        let whole = batch.batch_size();
        let largest = settings.micro_batch.unwrap_or(whole).clamp(1, whole);
        let halves = || std::iter::successors(Some(largest), |m| (*m > 1).then(|| m.div_ceil(2)));
        let kept =
            halves().map(|m| (m, Keep::Kept, activations(m, whole))).find(|(_, _, bytes)| fits(*bytes));
        let chosen = kept.or_else(|| {
            halves().map(|m| (m, Keep::Recomputed, activations(m, m))).find(|(_, _, bytes)| fits(*bytes))
        });
        let Some((micro_batch, keep, activation_bytes)) = chosen else {
            let needed = (fixed + activations(1, 1) + least as u64 * vector_bytes) * SPARE / (SPARE - 1);
            return Err(Error::usage_hint(
                format!(
                    "this needs at least {} and --memory allows {}",
                    bytes(needed),
                    bytes(settings.memory)
                ),
                "use a shorter --block-size, fewer eigenvalues, a narrower --scope, or a larger --memory",
            ));
        };
        let room = (memory - fixed - activation_bytes) / vector_bytes;
        let max_basis = wish.min(n).min(usize::try_from(room).unwrap_or(usize::MAX)).max(least);
        let total = fixed + activation_bytes + max_basis as u64 * vector_bytes;
        Ok(Plan { micro_batch, keep, max_basis, activation_bytes, vector_bytes, bytes: total })
    }

    /// The plan in words.
    pub fn describe(&self, batch: &Batch) -> String {
        let passes = match (self.keep, self.micro_batch >= batch.batch_size()) {
            (Keep::Kept, true) => "primal pass kept".to_string(),
            (Keep::Kept, false) => format!("primal passes kept, {} sequences at a time", self.micro_batch),
            (Keep::Recomputed, _) => {
                format!(
                    "primal passes recomputed for every product, {} sequences at a time",
                    self.micro_batch
                )
            }
        };
        format!(
            "{passes} ({}); basis of up to {} vectors ({}); {} in all",
            bytes(self.activation_bytes),
            self.max_basis,
            bytes(self.max_basis as u64 * self.vector_bytes),
            bytes(self.bytes)
        )
    }
}

/// A number of bytes in words: "1.7 GiB".
pub fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut size, mut unit) = (count as f64, 0);
    while size >= 1024.0 && unit + 1 < units.len() {
        size /= 1024.0;
        unit += 1;
    }
    if unit == 0 || size >= 100.0 {
        format!("{size:.0} {}", units[unit])
    } else {
        format!("{size:.1} {}", units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::device::Device;
    use crate::base::values::DType;

    fn settings(memory: u64) -> Settings {
        Settings { dtype: DType::F32, device: Device::Flex, micro_batch: None, memory, seed: 0 }
    }

    #[test]
    fn less_memory_means_smaller_pieces_then_recomputation_then_refusal() {
        let config: GptConfig = serde_json::from_str(
            r#"{"n_layer": 4, "n_head": 4, "n_embd": 128, "block_size": 64, "vocab_size": 65, "bias": false}"#,
        )
        .expect("valid");
        let batch = Batch::new(vec![0; 64 * 32], vec![0; 64 * 32], 64);
        let plan = |memory: u64| Plan::new(&config, &batch, &settings(memory), Demand::new(1, 16, 300));
        let roomy = plan(8 << 30).expect("fits");
        assert_eq!((roomy.keep, roomy.micro_batch, roomy.max_basis), (Keep::Kept, 32, 300));
        let tight = plan(316 << 20).expect("fits");
        assert!(tight.keep == Keep::Kept && tight.micro_batch < 32 && tight.max_basis < 300, "{tight:?}");
        let tighter = plan(156 << 20).expect("fits");
        assert_eq!(tighter.keep, Keep::Recomputed);
        assert!(plan(64 << 20).is_err());
        for (memory, plan) in [(8 << 30, roomy), (316 << 20, tight), (156 << 20, tighter)] {
            assert!(plan.bytes <= memory);
        }
    }

    #[test]
    fn bytes_read_well() {
        assert_eq!(
            (bytes(512), bytes(1536), bytes(3 << 30)),
            ("512 B".into(), "1.5 KiB".into(), "3.0 GiB".into())
        );
    }
}
