//! Circles in a directed graph.

use std::collections::BTreeSet;

/// The sets of nodes that reach each other, of two nodes or more, largest first.
pub(super) fn circles(nodes: usize, edges: &BTreeSet<(usize, usize)>) -> Vec<Vec<usize>> {
    let forward = neighbours(nodes, edges.iter().copied());
    let back = neighbours(nodes, edges.iter().map(|(from, to)| (*to, *from)));
    let mut placed = vec![false; nodes];
    let mut circles = Vec::new();
    for start in 0..nodes {
        if placed[start] {
            continue;
        }
        let reaches = reached(start, &forward);
        let circle: Vec<usize> = reached(start, &back).intersection(&reaches).copied().collect();
        circle.iter().for_each(|node| placed[*node] = true);
        circles.extend((circle.len() > 1).then_some(circle));
    }
    circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
    circles
}

fn neighbours(nodes: usize, edges: impl Iterator<Item = (usize, usize)>) -> Vec<Vec<usize>> {
    let mut lists = vec![Vec::new(); nodes];
    edges.for_each(|(from, to)| lists[from].push(to));
    lists
}

fn reached(start: usize, neighbours: &[Vec<usize>]) -> BTreeSet<usize> {
    let mut reached = BTreeSet::from([start]);
    let mut open = vec![start];
    while let Some(node) = open.pop() {
        open.extend(neighbours[node].iter().copied().filter(|next| reached.insert(*next)));
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_circle_is_found_once_and_a_line_is_none() {
        let edges = BTreeSet::from([(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (5, 4), (4, 5)]);
        assert_eq!(circles(6, &edges), [vec![0, 1, 2], vec![4, 5]]);
        assert!(circles(3, &BTreeSet::from([(0, 1), (1, 2), (0, 2)])).is_empty());
    }
}
