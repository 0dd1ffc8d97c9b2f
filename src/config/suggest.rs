//! "Did you mean": the known word nearest to what somebody wrote.

use std::cmp::Reverse;

/// The nearest of the words, if it is near enough to be meant.
pub(super) fn nearest<'a>(written: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded: Vec<char> = fold(written).chars().collect();
    let near = words.into_iter().filter_map(|word| {
        let letters: Vec<char> = fold(word).chars().collect();
        let tolerated = tolerated(letters.len().max(folded.len()));
        let distance = (letters.len().abs_diff(folded.len()) <= tolerated)
            .then(|| distance(&folded, &letters))
            .filter(|d| *d <= tolerated)?;
        // A letter is forgotten more often than a foreign one is added.
        Some((distance, letters_apart(&folded, letters.clone()), Reverse(letters.len()), word))
    });
    near.min_by_key(|(distance, apart, length, _)| (*distance, *apart, *length)).map(|(.., word)| word)
}

fn fold(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

/// A third of the letters may be wrong.
fn tolerated(letters: usize) -> usize {
    (letters / 3).clamp(1, 4)
}

/// How many letters only one of the two has: "reset" is nearer to "rest" than "test" is.
fn letters_apart(one: &[char], mut rest: Vec<char>) -> usize {
    let mut apart = 0;
    for letter in one {
        match rest.iter().position(|candidate| candidate == letter) {
            Some(at) => {
                rest.swap_remove(at);
            }
            None => apart += 1,
        }
    }
    apart + rest.len()
}

/// How many letters to add, drop, change or swap with their neighbour (optimal string alignment).
fn distance(one: &[char], other: &[char]) -> usize {
    let mut rows = vec![vec![0; other.len() + 1]; one.len() + 1];
    for (index, row) in rows.iter_mut().enumerate() {
        row[0] = index;
    }
    rows[0] = (0..=other.len()).collect();
    for i in 1..=one.len() {
        for j in 1..=other.len() {
            let changed = rows[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
            let mut best = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_is_one_step() {
        for (written, meant) in [("upstraem", "upstream"), ("al", "all"), ("anyonee", "anyone"), ("rea", "read")] {
            let letters = |word: &str| word.chars().collect::<Vec<_>>();
            assert_eq!(distance(&letters(written), &letters(meant)), 1, "{written}");
        }
    }

    #[test]
    fn a_word_far_from_all_suggests_nothing() {
        assert_eq!(nearest("elephant", ["read", "write", "all"]), None);
        assert_eq!(nearest("wirte", ["read", "write", "all"]), Some("write"));
    }

    #[test]
    fn among_equally_near_words_the_one_with_the_same_letters_wins() {
        assert_eq!(nearest("formm", ["forms", "form"]), Some("form"));
    }
}
