//! Many patterns at once. Every third place of a text is looked up in a bitmap of the four-byte groups that stand near the
//! start of a pattern, which nearly every text misses; only where it hits are patterns compared, by halving a sorted list.
//!
//! Unlike an automaton it takes in a pattern without being built anew, is hardly larger than the patterns, and can be zeroed.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use super::MIN_BYTES;
use super::forms::Form;

/// How many bytes a group has.
const GROUP: usize = 4;

/// How far apart the places are that are looked up: each pattern has a whole group at one of them.
const STRIDE: usize = MIN_BYTES - GROUP + 1;

/// Bits of the bitmaps for each pattern: with three groups each, one look-up in twenty hits by chance.
const BITS_PER_PATTERN: usize = 64;

/// Bits of the smallest bitmap, as a power of two.
const SMALLEST: u32 = 16;

/// What a pattern stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Label(pub(super) u32);

struct Pattern {
    /// What follows the first [`MIN_BYTES`]: mostly enough to tell two patterns apart.
    next: u128,
    bytes: Form,
    label: Label,
}

impl Pattern {
    /// How it stands to a text that begins with the same [`MIN_BYTES`].
    #[inline]
    fn compare(&self, next: u128, text: &[u8]) -> Ordering {
        self.next.cmp(&next).then_with(|| self.bytes.as_slice().cmp(text))
    }
}

/// Sixteen bytes as a number that is sorted like them; what is not there counts as zero.
#[inline]
fn next(text: &[u8]) -> u128 {
    let text = &text[MIN_BYTES..];
    let mut all = [0; 16];
    let length = text.len().min(all.len());
    all[..length].copy_from_slice(&text[..length]);
    u128::from_be_bytes(all)
}

/// What begins at a place.
#[derive(Debug, PartialEq, Eq)]
enum Here {
    Nothing,
    /// The longest pattern.
    Match(usize, Label),
    /// The text ends inside a pattern.
    Begun,
}

/// What was found first.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The leftmost pattern, the longest of those that begin there.
    Match(std::ops::Range<usize>, Label),
    /// None up to here; what follows, if anything, may be the beginning of one.
    None(usize),
}

/// See the module.
#[derive(Default)]
pub(super) struct Patterns {
    /// By their first [`MIN_BYTES`]; each list is sorted.
    lists: HashMap<u64, Vec<Pattern>, BuildHasherDefault<HeadHasher>>,
    count: usize,
    /// Groups at the first [`STRIDE`] places of a pattern.
    near: Bits,
    /// The first [`MIN_BYTES`] of patterns.
    first: Bits,
    /// What is shorter and begins a pattern.
    heads: HashSet<u64, BuildHasherDefault<HeadHasher>>,
}

impl Patterns {
    /// Takes in a pattern of at least [`MIN_BYTES`]. One that is known keeps the lower of two labels.
    pub(super) fn insert(&mut self, bytes: Form, label: Label) {
        debug_assert!(bytes.len() >= MIN_BYTES, "shorter patterns would be missed");
        if (self.count + 1) * BITS_PER_PATTERN > self.near.len() {
            self.grow();
        }
        self.mark(&bytes);
        for length in 1..MIN_BYTES {
            self.heads.insert(head(&bytes[..length]));
        }
        let list = self.lists.entry(head(&bytes[..MIN_BYTES])).or_default();
        let next = next(&bytes);
        match list.binary_search_by(|known| known.compare(next, &bytes)) {
            Ok(at) => list[at].label = list[at].label.min(label),
            Err(at) => {
                list.insert(at, Pattern { next, bytes, label });
                self.count += 1;
            }
        }
    }

    fn grow(&mut self) {
        let bits = (2 * (self.count + 1) * BITS_PER_PATTERN).next_power_of_two().ilog2().max(SMALLEST);
        (self.near, self.first) = (Bits::new(bits), Bits::new(bits));
        let lists = std::mem::take(&mut self.lists);
        for pattern in lists.values().flatten() {
            self.mark(&pattern.bytes);
        }
        self.lists = lists;
    }

    fn mark(&mut self, bytes: &[u8]) {
        self.first.set(head(&bytes[..MIN_BYTES]));
        for at in 0..STRIDE {
            self.near.set(head(&bytes[at..at + GROUP]));
        }
    }

    /// The first pattern at or after `from`. Unless this is the `last` of the text, more may follow it.
    pub(super) fn find(&self, text: &[u8], from: usize, last: bool) -> Found {
        if self.count == 0 {
            return Found::None(text.len());
        }
        let mut at = from;
        while let Some(bytes) = text.get(at..at + GROUP) {
            if self.near.has(head(bytes)) {
                for start in at.saturating_sub(STRIDE - 1).max(from)..=at {
                    match self.here(&text[start..], last) {
                        Here::Nothing => {}
                        Here::Match(length, label) => return Found::Match(start..start + length, label),
                        Here::Begun => return Found::None(start),
                    }
                }
            }
            at += STRIDE;
        }
        if !last {
            // Beginnings too short to hold a group at a place that was looked at.
            for start in text.len().saturating_sub(MIN_BYTES - 1).max(from)..text.len() {
                if self.here(&text[start..], last) == Here::Begun {
                    return Found::None(start);
                }
            }
        }
        Found::None(text.len())
    }

    /// What stands at the start of the text.
    fn here(&self, text: &[u8], last: bool) -> Here {
        let Some(first) = text.get(..MIN_BYTES) else {
            let begun = !last && self.heads.contains(&head(text));
            return if begun { Here::Begun } else { Here::Nothing };
        };
        let first = head(first);
        if !self.first.has(first) {
            return Here::Nothing;
        }
        let Some(known) = self.lists.get(&first) else { return Here::Nothing };
        let upto = |list: &[Pattern], text: &[u8]| {
            let next = next(text);
            list.partition_point(|pattern| pattern.compare(next, text) != Ordering::Greater)
        };
        let mut end = upto(known, text);
        if !last && known.get(end).is_some_and(|next| next.bytes.starts_with(text)) {
            return Here::Begun;
        }
        // The last pattern not above the text begins with every pattern that the text begins with.
        let mut text = text;
        while let Some(pattern) = end.checked_sub(1).map(|at| &known[at]) {
            let common = pattern.bytes.iter().zip(text).take_while(|(a, b)| a == b).count();
            if common == pattern.bytes.len() {
                return Here::Match(common, pattern.label);
            }
            text = &text[..common];
            end = upto(&known[..end], text);
        }
        Here::Nothing
    }
}

/// Up to six bytes as a number; of another length, another number.
#[inline]
fn head(bytes: &[u8]) -> u64 {
    let mut all = [0; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    all[7] = u8::try_from(bytes.len()).unwrap_or_default();
    u64::from_le_bytes(all)
}

/// Spreads what differs in few bits over many.
#[inline]
fn spread(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A bitmap of hashed heads.
#[derive(Default)]
struct Bits {
    words: Vec<u64>,
    shift: u32,
}

impl Bits {
    fn new(bits: u32) -> Self {
        Self { words: vec![0; 1 << (bits - 6)], shift: 64 - bits }
    }

    fn len(&self) -> usize {
        self.words.len() * 64
    }

    #[inline]
    fn place(&self, head: u64) -> (usize, u64) {
        let hash = spread(head) >> self.shift;
        (usize::try_from(hash >> 6).unwrap_or_default(), 1 << (hash & 63))
    }

    fn set(&mut self, head: u64) {
        let (word, bit) = self.place(head);
        self.words[word] |= bit;
    }

    #[inline]
    fn has(&self, head: u64) -> bool {
        let (word, bit) = self.place(head);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }
}

/// Heads are looked up far more often than anyone could choose them badly.
#[derive(Default)]
struct HeadHasher(u64);

impl Hasher for HeadHasher {
    fn finish(&self) -> u64 {
        self.0.rotate_left(32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = spread(self.0.rotate_left(5) ^ number);
    }
}
