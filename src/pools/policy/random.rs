use crate::hooks::{Member, PickCx, Policy};
use crate::types::Random;

/// Chooses at random, each member with the chance that its weight gives it.
///
/// Built as an alias table (Walker 1977; Vose, "A Linear Algorithm for Generating Random Numbers with a Given
/// Distribution", 1991): a pick costs two draws for any number of members and any weights.
#[derive(Clone, Debug)]
pub struct RandomByWeight {
    columns: Box<[Column]>,
    total: u64,
}

/// One column of the table: below `own` the draw means the column's member, from there on the alias.
#[derive(Clone, Copy, Debug)]
struct Column {
    own: u64,
    alias: usize,
}

impl RandomByWeight {
    /// The table for these members' weights.
    pub fn new(members: &[Member]) -> Self {
        let count = members.len() as u64;
        let total = members.iter().map(|member| u64::from(member.weight())).sum();
        // In units of 1/count of a weight every column holds exactly `total`, without fractions.
        let shares = members.iter().map(|member| u64::from(member.weight()) * count);
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
}

impl Policy for RandomByWeight {
    fn pick(&self, _: &[Member], _: &PickCx<'_>, random: &mut Random) -> usize {
        let index = random.usize(0..self.columns.len());
        let column = self.columns[index];
        if random.u64(0..self.total) < column.own { index } else { column.alias }
    }
}
