use crate::types::Random;

/// Draws numbers with given weights: an alias table (Walker 1977; Vose, "A Linear Algorithm for Generating Random
/// Numbers with a Given Distribution", 1991), so that a draw costs the same for any number of weights.
#[derive(Clone, Debug)]
pub(super) struct AliasTable {
    columns: Box<[Column]>,
    total: u64,
}

/// One column of the table: below `own` the draw means the column's own number, from there on the alias.
#[derive(Clone, Copy, Debug)]
struct Column {
    own: u64,
    alias: usize,
}

impl AliasTable {
    /// The table for one or more weights, each 1 or more.
    pub(super) fn new(weights: impl Iterator<Item = u64>) -> Self {
        let weights: Vec<u64> = weights.collect();
        let total = weights.iter().sum();
        // In units of 1/count of a weight every column holds exactly `total`, without fractions.
        let shares = weights.iter().map(|weight| weight * weights.len() as u64);
        let mut columns: Box<[Column]> =
            shares.enumerate().map(|(index, own)| Column { own, alias: index }).collect();
        let (mut small, mut large): (Vec<_>, Vec<_>) =
            (0..columns.len()).partition(|&i| columns[i].own < total);
        while let (Some(needy), Some(&donor)) = (small.pop(), large.last()) {
            columns[needy].alias = donor;
            columns[donor].own -= total - columns[needy].own;
            if columns[donor].own < total {
                large.pop();
                small.push(donor);
            }
        }
        Self { columns, total }
    }

    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    pub(super) fn draw(&self, random: &mut Random) -> usize {
        let index = random.usize(0..self.columns.len());
        let column = self.columns[index];
        if random.u64(0..self.total) < column.own { index } else { column.alias }
    }
}
