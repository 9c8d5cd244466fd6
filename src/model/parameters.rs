//! Between flat host vectors and the layers that hold them as tensors: by position in the architecture's list of
//! parameters, which has them in the order of the layers.

use std::sync::Arc;

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

impl<M, V> GptLayers<M, V> {
    /// What `matrix` and `vector` make of each parameter of `list`, which is in the order of the layers.
    fn build(list: &[Parameter], matrix: impl Fn(&Parameter) -> M, vector: impl Fn(&Parameter) -> V) -> Self {
        let mut list = list.iter().peekable();
        macro_rules! next {
            ($make:ident) => {
                $make(list.next().expect("the list has a parameter for each of the layers' tensors"))
            };
        }
        // a layer's weight, and its bias where the list has one
        macro_rules! layer {
            ($Layer:ident, $make:ident) => {{
                let weight = next!($make);
                $Layer { weight, bias: list.next_if(|p| p.bias).map(&vector) }
            }};
        }
        let (wte, wpe) = (next!(matrix), next!(matrix));
        let mut h = Vec::new();
        while list.peek().is_some_and(|p| p.layer.is_some()) {
            h.push(Block {
                ln_1: layer!(LayerNorm, vector),
                attn: Attention { c_attn: layer!(Linear, matrix), c_proj: layer!(Linear, matrix) },
                ln_2: layer!(LayerNorm, vector),
                mlp: Mlp { c_fc: layer!(Linear, matrix), c_proj: layer!(Linear, matrix) },
            });
        }
        GptLayers { wte, wpe, h, ln_f: layer!(LayerNorm, vector), lm_head: list.next().map(&matrix) }
    }

    /// What `matrix` and `vector` make of every tensor, in the order of the layers.
    fn into_list<T>(self, matrix: impl Fn(M) -> T, vector: impl Fn(V) -> T) -> Vec<T> {
        let mut list = vec![matrix(self.wte), matrix(self.wpe)];
        macro_rules! layer {
            ($layer:expr, $make:ident) => {
                list.push($make($layer.weight));
                list.extend($layer.bias.map(&vector));
            };
        }
        for block in self.h {
            layer!(block.ln_1, vector);
            layer!(block.attn.c_attn, matrix);
            layer!(block.attn.c_proj, matrix);
            layer!(block.ln_2, vector);
            layer!(block.mlp.c_fc, matrix);
            layer!(block.mlp.c_proj, matrix);
        }
        layer!(self.ln_f, vector);
        list.extend(self.lm_head.map(&matrix));
        list
    }
}

/// Where each parameter lies in a flat vector, and where its tensors live.
#[derive(Debug)]
pub struct Layout {
    config: GptConfig,
    /// In flat order.
    parameters: Vec<Parameter>,
    /// In the order of the layers.
    by_layer: Vec<Parameter>,
    /// The position in `parameters` of each of `by_layer`.
    places: Vec<usize>,
    device: Device,
}

impl Layout {
    /// The layout of `config` for tensors on `device`.
    pub fn new(config: &GptConfig, device: &Device) -> Self {
        let (parameters, by_layer) = (config.parameters(), config.parameters_by_layer());
        let place = |p: &Parameter| parameters.partition_point(|q| q.offset < p.offset);
        let places = by_layer.iter().map(place).collect();
        Layout { config: config.clone(), parameters, by_layer, places, device: device.clone() }
    }

    /// The architecture.
    pub fn config(&self) -> &GptConfig {
        &self.config
    }

    /// All parameters in flat order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// All parameters in the order of the layers.
    pub fn by_layer(&self) -> &[Parameter] {
        &self.by_layer
    }

    /// The names of the blocks.
    pub fn blocks(&self) -> impl Iterator<Item = &Arc<str>> {
        let modules = self.by_layer.chunk_by(|a, b| a.module == b.module);
        modules.filter(|module| module[0].layer.is_some()).map(|module| &module[0].module)
    }

    /// Where tensors live.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Length of the flat vector.
    pub fn n(&self) -> usize {
        self.parameters.last().map_or(0, |p| p.offset + p.len())
    }

    /// What there is of each parameter, from the order of the layers to the flat one.
    fn flat_order<T>(&self, by_layer: Vec<T>) -> Vec<T> {
        let mut list: Vec<(usize, T)> = self.places.iter().copied().zip(by_layer).collect();
        list.sort_unstable_by_key(|(place, _)| *place);
        list.into_iter().map(|(_, of)| of).collect()
    }

    /// The model's tensors from one flat vector.
    pub fn weights(&self, values: &Values) -> Weights {
        let numbers = |p: &Parameter| gather(values, self.n(), 1, p);
        let matrix = |p: &Parameter| self.upload(numbers(p), [p.shape[0], p.shape[1]]);
        GptLayers::build(&self.by_layer, matrix, |p| self.upload(numbers(p), [p.len()]))
    }

    /// Tangent tensors from K flat vectors.
    pub fn weights_dot(&self, vectors: &Vectors) -> WeightsDot {
        let k = vectors.k();
        let numbers = |p: &Parameter| gather(vectors.values(), vectors.n(), k, p);
        let matrix = |p: &Parameter| self.upload(numbers(p), [k, p.shape[0], p.shape[1]]);
        GptLayers::build(&self.by_layer, matrix, |p| self.upload(numbers(p), [k, p.len()]))
    }

    /// K gradients as K flat vectors.
    pub fn collect(&self, gradients: WeightsDot) -> Vectors {
        fn join<T: Copy + Element>(parts: &[TensorData], k: usize) -> Vec<T> {
            let slices: Vec<&[T]> = parts.iter().map(|part| part.as_slice().expect("one dtype")).collect();
            let of =
                |i: usize| slices.iter().map(move |part| &part[i * part.len() / k..(i + 1) * part.len() / k]);
            (0..k).flat_map(of).collect::<Vec<_>>().concat()
        }
        let parts = self.flat_order(gradients.into_list(Tensor::into_data, Tensor::into_data));
        let k = parts[0].shape()[0];
        let values = match parts[0].dtype() {
            BurnDType::F32 => Values::F32(join(&parts, k)),
            _ => Values::F64(join(&parts, k)),
        };
        Vectors::new(values, self.n())
    }

    /// (S, 2) of every parameter's tensor, in f64 and flat order.
    pub fn pairs(&self, layers: GptLayers<Tensor<2>, Tensor<2>>) -> Vec<Vec<[f64; 2]>> {
        let pairs = |tensor: Tensor<2>| {
            let data = tensor.into_data();
            data.as_slice::<f64>().expect("moments are f64").as_chunks::<2>().0.to_vec()
        };
        self.flat_order(layers.into_list(pairs, pairs))
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
