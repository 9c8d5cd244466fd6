//! The formats of runs, one per file, and one line each in the list.

mod bark;
mod headless;
mod hugging_face;
mod lightning;
mod loose_tensors;
mod megatron;
mod nanogpt;
mod native;
mod optimizer_alone;

use super::format::Format;

/// Every format. The first that recognises a checkpoint opens it: what is more particular stands first.
pub const FORMATS: &[&dyn Format] = &[
    &bark::Bark,
    &nanogpt::NanoGpt,
    &hugging_face::HuggingFace,
    &native::Native,
    &loose_tensors::LooseTensors,
    &optimizer_alone::OptimizerAlone,
    &lightning::Lightning,
    &megatron::Megatron,
    &headless::Headless,
];
