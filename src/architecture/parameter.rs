//! One parameter tensor: its name and shape, and what it is for.

use std::ops::Range;
use std::sync::Arc;

/// What a parameter is for; a bias has the role of the weight it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A row for each token id.
    TokenEmbedding,
    /// A row for each position.
    PositionEmbedding,
    /// Scale and shift of a norm.
    Norm,
    /// Rows that make queries, keys or values of a block's input: as many for each, and in each head after head.
    AttentionInput(&'static [Projection]),
    /// Columns that take the heads' outputs, head after head.
    AttentionOutput,
    /// Into the MLP.
    MlpInput,
    /// Out of the MLP.
    MlpOutput,
    /// A row of logits for each token id, where that is not the token embedding.
    Head,
}

/// What attention makes of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projection {
    /// q.
    Query,
    /// k.
    Key,
    /// v.
    Value,
}

impl Projection {
    /// Its letter.
    pub fn letter(self) -> char {
        match self {
            Projection::Query => 'q',
            Projection::Key => 'k',
            Projection::Value => 'v',
        }
    }
}

/// What training starts from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initial {
    /// Normal numbers with mean 0 and this standard deviation.
    Normal(f64),
    /// Ones.
    Ones,
    /// Zeros.
    Zeros,
}

/// One parameter tensor and its place in the flat vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name in checkpoints.
    pub name: String,
    /// (rows, columns) for matrices, (length) for biases and norms.
    pub shape: Vec<usize>,
    /// Position of its first number in the flat vector.
    pub offset: usize,
    /// What it is for.
    pub role: Role,
    /// Whether it is what its layer adds, where the weight is what it multiplies by.
    pub bias: bool,
    /// The transformer block it belongs to.
    pub layer: Option<usize>,
    /// The name of that block, or of the embedding, norm or head outside of blocks.
    pub module: Arc<str>,
    /// What training starts from.
    pub initial: Initial,
    /// Whether weight decay is for it.
    pub decayed: bool,
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
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.len()
    }

    /// Whether it is a matrix, whose rows are neurons or the vectors of a table.
    pub fn is_matrix(&self) -> bool {
        self.shape.len() >= 2
    }

    /// Whether it is the weight of a linear layer inside a block.
    pub fn is_linear(&self) -> bool {
        let attention = matches!(self.role, Role::AttentionInput(_) | Role::AttentionOutput);
        !self.bias && (attention || matches!(self.role, Role::MlpInput | Role::MlpOutput))
    }

    /// The positions of the queries', keys' and values' rows, where it has such rows.
    pub fn projections(&self) -> Vec<(Projection, Range<usize>)> {
        let Role::AttentionInput(projections) = self.role else { return vec![] };
        let size = self.len() / projections.len();
        let start = |i: usize| self.offset + i * size;
        projections.iter().enumerate().map(|(i, &p)| (p, start(i)..start(i + 1))).collect()
    }

    /// The positions of the rows that make a projection for `head`, of `size` rows a head.
    pub fn head_rows(&self, projection: Projection, head: usize, size: usize) -> Option<Range<usize>> {
        let (_, rows) = self.projections().into_iter().find(|(p, _)| *p == projection)?;
        let size = size * self.len() / self.shape[0];
        let start = rows.start + head * size;
        Some(start..start + size)
    }

    /// The positions of what belongs to `head`, of `size` channels: rows that make its queries, keys and values, and
    /// columns that take its output.
    pub fn of_head(&self, head: usize, size: usize) -> Vec<Range<usize>> {
        match self.role {
            Role::AttentionInput(projections) => {
                projections.iter().filter_map(|&p| self.head_rows(p, head, size)).collect()
            }
            Role::AttentionOutput if !self.bias => {
                let columns = self.len() / self.shape[0];
                let start = |row: usize| self.offset + row * columns + head * size;
                (0..self.shape[0]).map(|row| start(row)..start(row) + size).collect()
            }
            _ => vec![],
        }
    }
}
