//! Ends a reply at a stop string without ever showing a part of one.

/// Pieces of text that a [`StopMatcher`] let through, each with its tag.
type Passed<T> = Vec<(String, T)>;

/// Looks for stop strings in a text that arrives in pieces.
///
/// A piece is passed on once no stop string can begin in it; the tag that came with it goes along
/// (the caller's token, which a piece cut out of a longer buffer would have lost).
#[derive(Debug)]
pub(crate) struct StopMatcher<T> {
    stops: Vec<String>,
    /// Length of the longest stop string.
    longest: usize,
    /// Text of the held pieces, joined.
    text: String,
    /// The held pieces: where each ends in `text`, and its tag.
    held: Vec<(usize, T)>,
}

impl<T> StopMatcher<T> {
    /// Empty strings are ignored: they would match before the first token.
    pub(crate) fn new(stops: impl IntoIterator<Item = String>) -> Self {
        let stops: Vec<_> = stops.into_iter().filter(|stop| !stop.is_empty()).collect();
        let longest = stops.iter().map(String::len).max().unwrap_or(0);
        Self { stops, longest, text: String::new(), held: Vec::new() }
    }

    /// Adds a piece. Returns what is now certain, and whether a stop string was found: then
    /// the text in front of it has been passed on and the rest is gone.
    pub(crate) fn push(&mut self, piece: &str, tag: T) -> (Passed<T>, bool) {
        if piece.is_empty() {
            return (Vec::new(), false);
        }
        let new_from = self.text.len();
        self.text.push_str(piece);
        self.held.push((self.text.len(), tag));
        let Some(at) = self.find(new_from) else {
            return (self.pass(self.safe_len()), false);
        };
        self.text.truncate(at);
        let mut begin = 0;
        self.held.retain_mut(|(end, _)| {
            let kept = begin < at;
            begin = *end;
            *end = begin.min(at);
            kept
        });
        (self.pass(at), true)
    }

    /// The pieces still held, when the text ended without a stop string.
    pub(crate) fn finish(mut self) -> Passed<T> {
        self.pass(self.text.len())
    }

    /// Where the first stop string begins that ends in the text from `new_from` on.
    fn find(&self, new_from: usize) -> Option<usize> {
        let mut from = new_from.saturating_sub(self.longest);
        while !self.text.is_char_boundary(from) {
            from -= 1;
        }
        let searched = &self.text[from..];
        self.stops.iter().filter_map(|stop| searched.find(stop.as_str())).min().map(|at| from + at)
    }

    /// Length of the text in front of the first place where a stop string could be under way.
    fn safe_len(&self) -> usize {
        let begin = self.text.len().saturating_sub(self.longest.saturating_sub(1));
        (begin..self.text.len())
            .filter(|&at| self.text.is_char_boundary(at))
            .find(|&at| self.stops.iter().any(|stop| stop.starts_with(&self.text[at..])))
            .unwrap_or(self.text.len())
    }

    /// Passes on the pieces that end within the first `len` bytes.
    fn pass(&mut self, len: usize) -> Passed<T> {
        let n = self.held.iter().take_while(|(end, _)| *end <= len).count();
        let mut begin = 0;
        let mut passed = Vec::with_capacity(n);
        for (end, tag) in self.held.drain(..n) {
            passed.push((self.text[begin..end].to_owned(), tag));
            begin = end;
        }
        self.text.drain(..begin);
        for (end, _) in &mut self.held {
            *end -= begin;
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is passed on after each piece and, without a match, at the end; and whether the text
    /// was stopped.
    fn run(stops: &[&str], pieces: &[&str]) -> (Vec<String>, bool) {
        let mut matcher = StopMatcher::new(stops.iter().map(|s| (*s).to_owned()));
        let mut out = Vec::new();
        for (i, piece) in pieces.iter().enumerate() {
            let (passed, stopped) = matcher.push(piece, i);
            out.push(passed.into_iter().map(|(text, _)| text).collect());
            if stopped {
                return (out, true);
            }
        }
        out.push(matcher.finish().into_iter().map(|(text, _)| text).collect());
        (out, false)
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn without_stops_nothing_waits() {
        assert_eq!(run(&[], &["a", "", "b"]), (strings(&["a", "", "b", ""]), false));
        assert_eq!(run(&[""], &["a"]), (strings(&["a", ""]), false));
    }

    #[test]
    fn a_match_inside_one_piece_cuts_it() {
        assert_eq!(run(&["\n"], &["one\ntwo"]), (strings(&["one"]), true));
        assert_eq!(run(&["one"], &["one"]), (strings(&[""]), true));
    }

    #[test]
    fn a_match_across_pieces_is_never_shown() {
        assert_eq!(run(&["STOP"], &["go S", "T", "OP on"]), (strings(&["", "", "go "]), true));
    }

    #[test]
    fn a_false_start_is_passed_on_later() {
        let (out, stopped) = run(&["STOP"], &["ST", "ST", "AY"]);
        assert_eq!((out, stopped), (strings(&["", "ST", "STAY", ""]), false));
    }

    #[test]
    fn an_overlapping_prefix_is_found_again() {
        assert_eq!(run(&["aabaac"], &["aabaa", "baac!"]), (strings(&["", "aab"]), true));
        assert_eq!(run(&["abab"], &["ab", "ba", "ba", "b"]), (strings(&["", "ab", "", "b"]), true));
    }

    #[test]
    fn the_earliest_of_several_stops_wins() {
        assert_eq!(run(&["three", "two"], &["one two three"]), (strings(&["one "]), true));
    }

    #[test]
    fn a_short_stop_inside_a_long_one_wins_when_it_is_complete() {
        assert_eq!(run(&["<end>", "e"], &["<", "e"]), (strings(&["", "<"]), true));
    }

    #[test]
    fn characters_of_several_bytes_stay_whole() {
        assert_eq!(run(&["🦀!"], &["a🦀", "🦀", "!"]), (strings(&["", "a🦀", ""]), true));
        assert_eq!(run(&["é"], &["caf", "é", "x"]), (strings(&["caf", ""]), true));
        // Another character with the same first bytes is no beginning of the stop string.
        assert_eq!(run(&["🦀"], &["🦁"]), (strings(&["🦁", ""]), false));
    }

    #[test]
    fn the_end_releases_what_was_held() {
        assert_eq!(run(&["STOP"], &["a STO"]), (strings(&["", "a STO"]), false));
    }

    #[test]
    fn tags_stay_with_their_text() {
        let mut matcher = StopMatcher::new(["xyz".to_owned()]);
        assert_eq!(matcher.push("ax", 1), (vec![], false));
        assert_eq!(matcher.push("y", 2), (vec![], false));
        assert_eq!(matcher.push("-", 3), (vec![("ax".into(), 1), ("y".into(), 2), ("-".into(), 3)], false));
        assert_eq!(matcher.push("bxy", 4), (vec![], false));
        assert_eq!(matcher.push("z", 5), (vec![("b".into(), 4)], true));
    }
}
