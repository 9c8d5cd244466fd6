//! What everything else is made of, and knows nothing of it: errors, rows, numbers, files, seeds.

pub mod allocator;
pub mod device;
pub mod error;
pub mod figure;
pub mod files;
pub mod guard;
pub mod key;
pub mod observer;
pub mod pickle;
pub mod random;
pub mod registry;
pub mod resources;
pub mod row;
pub mod settings;
pub mod simd;
pub mod specification;
pub mod steps;
pub mod takes;
pub mod values;
pub mod vectors;
