//! Token files and text to batches, deterministically.
//!
//! [`Corpus::open`] turns what the user typed after `--data` into tokens; [`sampling`] cuts batches out of
//! them; `tokenizer` and [`prepare`] turn text into token files; [`synthetic`] needs no file at all.

mod batch;
mod batch_file;
mod corpus;
mod packages;
mod prepare;
pub mod sampling;
pub mod synthetic;
mod tokenizer;
mod tokens;

pub use batch::{Batch, id, joint_sha256};
pub use batch_file::read as read_batch;
pub use corpus::{Corpus, Split};
pub use packages::{Recipe, recipe, recipes};
pub use prepare::{Prepared, prepare};
pub use tokenizer::Tokenizer;
pub use tokens::Tokens;
