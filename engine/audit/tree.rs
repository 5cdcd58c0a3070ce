//! The Merkle tree of RFC 6962 over the bodies of the entries: roots, frontiers and inclusion proofs.
//!
//! Knows hashes only: neither what an entry is nor where it is kept.

use sha2::{Digest as _, Sha256};

/// A SHA-256.
pub type Hash = [u8; 32];

/// How many leaves make a tile, a whole subtree whose root is kept so that proofs need not read every leaf.
pub(super) const TILE_LEAVES: u64 = 1 << TILE_LEVEL;

/// The height of a tile.
const TILE_LEVEL: u32 = 8;

/// The hash of a leaf: SHA-256 of 0x00 and the body (RFC 6962, 2.1).
pub(super) fn leaf(body: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(body).finalize().into()
}

/// The hash of an inner node: SHA-256 of 0x01 and its two children (RFC 6962, 2.1).
pub(super) fn node(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    Sha256::digest(bytes).into()
}

/// Everything of a tree that is needed to go on appending to it: the roots of its whole subtrees, largest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The frontier that [`Frontier::to_bytes`] wrote; none if the bytes cannot belong to a tree of that size.
    pub(super) fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        let peaks: Vec<Hash> = bytes.chunks(32).map(Hash::try_from).collect::<Result<_, _>>().ok()?;
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    /// The peaks, one after the other.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.peaks.concat()
    }

    /// How many leaves.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The tree over the leaves from `from` up to `to` or the end of this one, where `from` begins a peak.
    pub(super) fn part(&self, from: u64, to: u64) -> Option<Self> {
        let (mut begins, mut part) = (0, Self::default());
        let sizes = (0..u64::BITS).rev().map(|bit| 1 << bit).filter(|size| self.size & size != 0);
        for (size, peak) in sizes.zip(&self.peaks) {
            if begins >= from && begins < to {
                part.peaks.push(*peak);
                part.size += size;
            }
            begins += size;
        }
        (part.size > 0 && from + part.size == to.min(self.size)).then_some(part)
    }

    /// Appends a tree whose every subtree is smaller than the smallest of this one.
    pub(super) fn append(&mut self, part: Self) {
        assert!(self.size == 0 || part.size < 1 << self.size.trailing_zeros(), "each peak is smaller");
        self.peaks.extend(part.peaks);
        self.size += part.size;
    }

    /// Forgets the leaves at the end that are no whole multiple of so many, a power of two.
    pub(super) fn truncate(&mut self, multiple: u64) {
        let extra = (self.size % multiple).count_ones() as usize;
        self.peaks.truncate(self.peaks.len() - extra);
        self.size -= self.size % multiple;
    }

    /// Appends a leaf. Returns the root of the tile that it completes, if it does.
    pub(super) fn push(&mut self, leaf: Hash) -> Option<Hash> {
        self.merge(leaf, 0)
    }

    /// Appends a whole tile to a tree that consists of whole tiles.
    pub(super) fn push_tile(&mut self, root: Hash) {
        assert!(self.size.is_multiple_of(TILE_LEAVES), "a tile stands at a multiple of its size");
        self.merge(root, TILE_LEVEL);
    }

    /// The hash of the tree (RFC 6962, 2.1).
    pub(super) fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        match peaks.next() {
            None => Sha256::digest([]).into(),
            Some(last) => peaks.fold(*last, |right, left| node(left, &right)),
        }
    }

    /// A subtree of height `level` joins every whole subtree of its own height that stands before it.
    fn merge(&mut self, mut hash: Hash, level: u32) -> Option<Hash> {
        let mut tile = None;
        let mut height = level;
        while self.size >> height & 1 == 1 {
            let left = self.peaks.pop();
            let Some(left) = left else { unreachable!("one peak for each bit of the size") };
            hash = node(&left, &hash);
            height += 1;
            if height == TILE_LEVEL {
                tile = Some(hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1 << level;
        tile
    }
}

/// The inclusion proof of leaf `index` in the tree of `size` leaves (RFC 6962, 2.1.1). `range` tells the hash of the
/// subtree over leaves `from..to`.
pub(super) fn inclusion<E>(
    index: u64,
    size: u64,
    range: &mut impl FnMut(u64, u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    assert!(index < size, "a proof is for a leaf of the tree");
    let (mut from, mut to) = (0, size);
    let mut siblings = Vec::new();
    while to - from > 1 {
        let middle = from + (to - from).next_power_of_two() / 2;
        if index < middle {
            siblings.push(range(middle, to)?);
            to = middle;
        } else {
            siblings.push(range(from, middle)?);
            from = middle;
        }
    }
    siblings.reverse();
    Ok(siblings)
}

/// The root that a leaf and its inclusion proof lead to (RFC 9162, 2.1.3.2); none if the proof has the wrong length.
pub(super) fn root_from_inclusion(index: u64, size: u64, leaf: Hash, proof: &[Hash]) -> Option<Hash> {
    let mut place = index;
    let mut last = size.checked_sub(1)?;
    if place > last {
        return None;
    }
    let mut hash = leaf;
    for sibling in proof {
        if last == 0 {
            return None;
        }
        if place & 1 == 1 || place == last {
            hash = node(sibling, &hash);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 6962 word for word.
    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => *one,
            _ => {
                let mut k = 1;
                while k * 2 < leaves.len() {
                    k *= 2;
                }
                node(&naive(&leaves[..k]), &naive(&leaves[k..]))
            }
        }
    }

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|n| leaf(n.to_string().as_bytes())).collect()
    }

    fn frontier(leaves: &[Hash]) -> Frontier {
        let mut tree = Frontier::default();
        for leaf in leaves {
            tree.push(*leaf);
        }
        tree
    }

    #[test]
    fn empty_and_known_roots() {
        assert_eq!(hex(&Frontier::default().root()), hex(&Sha256::digest([]).into()));
        // The first test vector of Certificate Transparency: one empty leaf.
        assert_eq!(hex(&leaf(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    }

    fn hex(hash: &Hash) -> String {
        use std::fmt::Write as _;
        hash.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    #[test]
    fn tiles_are_reported_and_can_be_pushed_whole() {
        let all = leaves(700);
        let mut by_leaf = Frontier::default();
        let tiles: Vec<Hash> = all.iter().filter_map(|leaf| by_leaf.push(*leaf)).collect();
        assert_eq!(tiles, [naive(&all[..256]), naive(&all[256..512])]);
        let mut by_tile = Frontier::default();
        for tile in tiles {
            by_tile.push_tile(tile);
        }
        for leaf in &all[512..] {
            by_tile.push(*leaf);
        }
        assert_eq!(by_tile, by_leaf);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn roots_agree_with_the_naive_tree(count in 0_usize..400) {
            let all = leaves(count);
            let tree = frontier(&all);
            prop_assert_eq!(tree.root(), naive(&all));
            prop_assert_eq!(Frontier::from_bytes(tree.size(), &tree.to_bytes()), Some(tree));
        }

        #[test]
        fn proofs_prove_and_nothing_else_does(count in 1_usize..400, pick in any::<prop::sample::Index>()) {
            let all = leaves(count);
            let index = pick.index(count);
            let (place, size) = (index as u64, count as u64);
            let root = naive(&all);
            let mut range = |from: u64, to: u64| {
                Ok::<_, ()>(naive(&all[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()]))
            };
            let mut proof = inclusion(place, size, &mut range).unwrap();
            prop_assert_eq!(root_from_inclusion(place, size, all[index], &proof), Some(root));
            prop_assert_ne!(root_from_inclusion(place, size, leaf(b"other"), &proof), Some(root));
            if count > 1 {
                let other = (place + 1) % size;
                prop_assert_ne!(root_from_inclusion(other, size, all[index], &proof), Some(root));
                proof[0][0] ^= 1;
                prop_assert_ne!(root_from_inclusion(place, size, all[index], &proof), Some(root));
                proof.pop();
                prop_assert_ne!(root_from_inclusion(place, size, all[index], &proof), Some(root));
            }
        }
    }
}
