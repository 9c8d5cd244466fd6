//! Between flat host vectors and the layers that hold them as tensors.

use std::collections::HashMap;

use burn::tensor::{DType as BurnDType, Device, Element, Tensor, TensorData};

use super::layers::attention::Attention;
use super::layers::block::Block;
use super::layers::layer_norm::LayerNorm;
use super::layers::linear::Linear;
use super::layers::mlp::Mlp;
use crate::architecture::{GptConfig, Parameter};
use crate::base::values::Values;
use crate::base::vectors::Vectors;

/// All layers of a GPT; matrices held as `M`, biases and norms as `V`.
#[derive(Debug, Clone)]
pub struct GptLayers<M, V> {
    /// Token embedding (V, C).
    pub wte: M,
    /// Position embedding (block size, C).
    pub wpe: M,
    /// Blocks.
    pub h: Vec<Block<M, V>>,
    /// Final norm.
    pub ln_f: LayerNorm<V>,
    /// The head's matrix (V, C) when it is not the token embedding.
    pub lm_head: Option<M>,
}

/// The parameters themselves.
pub type Weights = GptLayers<Tensor<2>, Tensor<1>>;

/// K tangents or gradients of them.
pub type WeightsDot = GptLayers<Tensor<3>, Tensor<2>>;

/// Gives the tensor of each parameter by name.
pub trait Source<M, V> {
    /// A matrix parameter.
    fn matrix(&mut self, name: &str) -> M;
    /// A vector parameter.
    fn vector(&mut self, name: &str) -> V;
}

/// Takes the tensor of each parameter by name.
pub trait Sink<M, V> {
    /// A matrix parameter.
    fn matrix(&mut self, name: &str, tensor: M);
    /// A vector parameter.
    fn vector(&mut self, name: &str, tensor: V);
}

impl<M, V> GptLayers<M, V> {
    /// Asks `source` for every parameter of `config`.
    pub fn build(config: &GptConfig, source: &mut impl Source<M, V>) -> Self {
        fn linear<M, V>(source: &mut impl Source<M, V>, name: String, bias: bool) -> Linear<M, V> {
            Linear {
                weight: source.matrix(&format!("{name}.weight")),
                bias: bias.then(|| source.vector(&format!("{name}.bias"))),
            }
        }
        fn norm<M, V>(source: &mut impl Source<M, V>, name: String, bias: bool) -> LayerNorm<V> {
            LayerNorm {
                weight: source.vector(&format!("{name}.weight")),
                bias: bias.then(|| source.vector(&format!("{name}.bias"))),
            }
        }
        let bias = config.bias;
        let h = (0..config.n_layer)
            .map(|layer| {
                let name = |part: &str| format!("transformer.h.{layer}.{part}");
                Block {
                    ln_1: norm(source, name("ln_1"), bias),
                    attn: Attention {
                        c_attn: linear(source, name("attn.c_attn"), bias),
                        c_proj: linear(source, name("attn.c_proj"), bias),
                    },
                    ln_2: norm(source, name("ln_2"), bias),
                    mlp: Mlp {
                        c_fc: linear(source, name("mlp.c_fc"), bias),
                        c_proj: linear(source, name("mlp.c_proj"), bias),
                    },
                }
            })
            .collect();
        GptLayers {
            wte: source.matrix("transformer.wte.weight"),
            wpe: source.matrix("transformer.wpe.weight"),
            h,
            ln_f: norm(source, "transformer.ln_f".into(), bias),
            lm_head: (!config.tied_lm_head).then(|| source.matrix("lm_head.weight")),
        }
    }

    /// Hands every parameter to `sink`, with its name.
    pub fn visit(self, sink: &mut impl Sink<M, V>) {
        fn linear<M, V>(sink: &mut impl Sink<M, V>, name: String, layer: Linear<M, V>) {
            sink.matrix(&format!("{name}.weight"), layer.weight);
            if let Some(bias) = layer.bias {
                sink.vector(&format!("{name}.bias"), bias);
            }
        }
        fn norm<M, V>(sink: &mut impl Sink<M, V>, name: String, layer: LayerNorm<V>) {
            sink.vector(&format!("{name}.weight"), layer.weight);
            if let Some(bias) = layer.bias {
                sink.vector(&format!("{name}.bias"), bias);
            }
        }
        sink.matrix("transformer.wte.weight", self.wte);
        sink.matrix("transformer.wpe.weight", self.wpe);
        for (layer, block) in self.h.into_iter().enumerate() {
            let name = |part: &str| format!("transformer.h.{layer}.{part}");
            norm(sink, name("ln_1"), block.ln_1);
            linear(sink, name("attn.c_attn"), block.attn.c_attn);
            linear(sink, name("attn.c_proj"), block.attn.c_proj);
            norm(sink, name("ln_2"), block.ln_2);
            linear(sink, name("mlp.c_fc"), block.mlp.c_fc);
            linear(sink, name("mlp.c_proj"), block.mlp.c_proj);
        }
        norm(sink, "transformer.ln_f".into(), self.ln_f);
        if let Some(lm_head) = self.lm_head {
            sink.matrix("lm_head.weight", lm_head);
        }
    }
}

/// Where each parameter lies in a flat vector, and where its tensors live.
#[derive(Debug, Clone)]
pub struct Layout {
    config: GptConfig,
    parameters: Vec<Parameter>,
    device: Device,
}

impl Layout {
    /// The layout of `config` for tensors on `device`.
    pub fn new(config: &GptConfig, device: &Device) -> Self {
        Layout { config: config.clone(), parameters: config.parameters(), device: device.clone() }
    }

    /// All parameters in flat order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Length of the flat vector.
    pub fn n(&self) -> usize {
        self.parameters.last().map_or(0, |p| p.offset + p.len())
    }

    fn parameter(&self, name: &str) -> &Parameter {
        let at = self.parameters.binary_search_by(|p| p.name.as_str().cmp(name));
        &self.parameters[at.expect("layers and configuration name the same parameters")]
    }

    /// The model's tensors from one flat vector.
    pub fn weights(&self, values: &Values) -> Weights {
        struct One<'a>(&'a Layout, &'a Values);
        impl Source<Tensor<2>, Tensor<1>> for One<'_> {
            fn matrix(&mut self, name: &str) -> Tensor<2> {
                let p = self.0.parameter(name);
                let shape = [p.shape[0], p.shape[1]];
                self.0.upload(gather(self.1, self.0.n(), 1, p), shape)
            }
            fn vector(&mut self, name: &str) -> Tensor<1> {
                let p = self.0.parameter(name);
                self.0.upload(gather(self.1, self.0.n(), 1, p), [p.len()])
            }
        }
        GptLayers::build(&self.config, &mut One(self, values))
    }

    /// Tangent tensors from K flat vectors.
    pub fn weights_dot(&self, vectors: &Vectors) -> WeightsDot {
        struct Many<'a>(&'a Layout, &'a Vectors);
        impl Source<Tensor<3>, Tensor<2>> for Many<'_> {
            fn matrix(&mut self, name: &str) -> Tensor<3> {
                let (p, k) = (self.0.parameter(name), self.1.k());
                let shape = [k, p.shape[0], p.shape[1]];
                self.0.upload(gather(self.1.values(), self.1.n(), k, p), shape)
            }
            fn vector(&mut self, name: &str) -> Tensor<2> {
                let (p, k) = (self.0.parameter(name), self.1.k());
                self.0.upload(gather(self.1.values(), self.1.n(), k, p), [k, p.len()])
            }
        }
        GptLayers::build(&self.config, &mut Many(self, vectors))
    }

    /// K gradients as K flat vectors.
    pub fn collect(&self, gradients: WeightsDot) -> Vectors {
        #[derive(Default)]
        struct Parts(HashMap<String, TensorData>);
        impl Sink<Tensor<3>, Tensor<2>> for Parts {
            fn matrix(&mut self, name: &str, tensor: Tensor<3>) {
                self.0.insert(name.into(), tensor.into_data());
            }
            fn vector(&mut self, name: &str, tensor: Tensor<2>) {
                self.0.insert(name.into(), tensor.into_data());
            }
        }
        fn join<T: Copy + Element>(parameters: &[Parameter], parts: &Parts, k: usize) -> Vec<T> {
            let part = |p: &Parameter| parts.0[&p.name].as_slice::<T>().expect("one dtype");
            let slices: Vec<(usize, &[T])> = parameters.iter().map(|p| (p.len(), part(p))).collect();
            (0..k)
                .flat_map(|i| slices.iter().map(move |(len, part)| &part[i * len..(i + 1) * len]))
                .collect::<Vec<_>>()
                .concat()
        }
        let mut parts = Parts::default();
        gradients.visit(&mut parts);
        let first = &parts.0[&self.parameters[0].name];
        let k = first.shape()[0];
        let values = match first.dtype() {
            BurnDType::F32 => Values::F32(join(&self.parameters, &parts, k)),
            _ => Values::F64(join(&self.parameters, &parts, k)),
        };
        Vectors::new(values, self.n())
    }

    fn upload<const D: usize>(&self, values: Values, shape: [usize; D]) -> Tensor<D> {
        match values {
            Values::F32(v) => Tensor::from_data(TensorData::new(v, shape), (&self.device, BurnDType::F32)),
            Values::F64(v) => Tensor::from_data(TensorData::new(v, shape), (&self.device, BurnDType::F64)),
        }
    }
}

/// The numbers of one parameter in each of k flat vectors of length n.
fn gather(values: &Values, n: usize, k: usize, parameter: &Parameter) -> Values {
    fn pick<T: Copy>(v: &[T], n: usize, k: usize, p: &Parameter) -> Vec<T> {
        let mut out = Vec::with_capacity(k * p.len());
        for i in 0..k {
            out.extend_from_slice(&v[i * n..][p.range()]);
        }
        out
    }
    match values {
        Values::F32(v) => Values::F32(pick(v, n, k, parameter)),
        Values::F64(v) => Values::F64(pick(v, n, k, parameter)),
    }
}
