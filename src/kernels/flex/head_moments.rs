//! Norms of the head's gradients of pieces of a batch, by chunks of the vocabulary.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::cross_entropy::Head;
use super::float::Float;
use super::gemm::rows_per_task;
use super::moments::{Tile, formed, pairs, sorted};
use super::storage::{Input, ids, optional, unfilled};
use super::targets::subtract_targets;

impl<E: Float> Head<E> {
    pub fn moments(
        &self,
        targets: &FlexTensor,
        weight: f64,
        tokens: &FlexTensor,
        g_x: Option<FlexTensor>,
        m: FlexTensor,
        rows: usize,
    ) -> FlexTensor {
        let (n, c, v) = self.dims();
        let (targets, weight, m) = (ids(targets), E::of(weight), Input::<E>::new(m));
        let g_x = optional::<E>(g_x);
        let places = g_x.as_ref().map(|_| sorted(&ids(tokens), rows));
        let mut moments = vec![[0.0; 2]; n / rows];
        for (first, width) in self.chunks(1) {
            let mut g_z = unfilled::<E>(n * width);
            let by = rows_per_task(n, 2 * c * v);
            g_z.par_chunks_mut(by * width).enumerate().for_each(|(task, g_z)| {
                let start = task * by;
                self.probabilities(start, g_z.len() / width, first, width, g_z);
                subtract_targets(g_z, width, first, &targets[start..], weight);
            });
            // the rows of a tied matrix that tokens of the piece have in the tile
            let add = |piece: usize, tile: &Tile, numbers: &mut [E]| {
                let (Some(places), Some(g_x)) = (&places, &g_x) else { return };
                let places = &places[piece];
                let top = first + tile.row;
                let from = places.partition_point(|(id, _)| *id < top);
                for (id, token) in places[from..].iter().take_while(|(id, _)| *id < top + tile.rows) {
                    let row = &mut numbers[(id - top) * tile.columns..][..tile.columns];
                    let g = &g_x.get()[token * c + tile.column..][..tile.columns];
                    row.iter_mut().zip(g).for_each(|(sum, g)| *sum += *g);
                }
            };
            let m = &m.get()[first * c..(first + width) * c];
            let part = formed(&g_z, width, self.h(), c, m, rows, &add);
            moments.iter_mut().zip(part).for_each(|(sum, part)| *sum = [sum[0] + part[0], sum[1] + part[1]]);
        }
        pairs(moments)
    }
}
