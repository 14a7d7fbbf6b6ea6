use crate::types::{HostMap, HostPattern};

use super::RouteId;
use super::path::PathTable;

/// The routes of one host pattern, or those without a host.
#[derive(Debug)]
pub(super) struct HostGroup {
    pub(super) pattern: Option<HostPattern>,
    /// In the order in which they are tried.
    pub(super) tried: Vec<RouteId>,
    pub(super) paths: PathTable,
}

/// Which groups are for a host.
#[derive(Debug, Default)]
pub(super) struct HostTable {
    groups: Vec<HostGroup>,
    by_host: HostMap<usize>,
    any: Option<usize>,
}

impl FromIterator<HostGroup> for HostTable {
    fn from_iter<I: IntoIterator<Item = HostGroup>>(groups: I) -> Self {
        let mut table = Self::default();
        for group in groups {
            table.add(group);
        }
        table
    }
}

impl HostTable {
    /// All groups, whatever their host.
    pub(super) fn iter(&self) -> impl Iterator<Item = &HostGroup> {
        self.groups.iter()
    }

    /// The groups for `host`, the most specific first.
    pub(super) fn groups_for<'t>(&'t self, host: &'t str) -> impl Iterator<Item = &'t HostGroup> {
        self.by_host.all_for(host).chain(&self.any).map(|&index| &self.groups[index])
    }

    fn add(&mut self, group: HostGroup) {
        let index = self.groups.len();
        match &group.pattern {
            Some(pattern) => self.by_host.insert(pattern.clone(), index),
            None => self.any = Some(index),
        }
        self.groups.push(group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(patterns: &[&str]) -> HostTable {
        let group = |pattern: &&str| HostGroup {
            pattern: pattern.parse().ok(),
            tried: Vec::new(),
            paths: PathTable::default(),
        };
        patterns.iter().map(group).collect()
    }

    fn found(table: &HostTable, host: &str) -> Vec<String> {
        let text =
            |group: &HostGroup| group.pattern.as_ref().map_or("any".to_owned(), HostPattern::to_string);
        table.groups_for(host).map(text).collect()
    }

    #[test]
    fn the_exact_host_comes_first_then_wildcards_from_the_longest_then_no_host() {
        let table = table(&["", "*.com", "*.b.example.com", "a.b.example.com", "*.example.com"]);
        let all = ["a.b.example.com", "*.b.example.com", "*.example.com", "*.com", "any"];
        assert_eq!(found(&table, "a.b.example.com"), all);
        assert_eq!(found(&table, "x.y.z.b.example.com"), all[1..]);
        assert_eq!(found(&table, "b.example.com"), all[2..]);
        assert_eq!(found(&table, "example.com"), all[3..]);
        assert_eq!(found(&table, "com"), all[4..]);
    }

    #[test]
    fn a_wildcard_is_not_for_its_bare_suffix() {
        assert!(found(&table(&["*.example.com"]), "example.com").is_empty());
        assert!(found(&table(&["*.example.com"]), ".example.com").is_empty());
    }
}
