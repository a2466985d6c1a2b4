use super::{Token, Vocab};
use crate::Result;

/// Turns a stream of tokens into text, a character never cut in half.
///
/// ```
/// # fn main() -> llama::Result<()> {
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tiny-gemma4/tiny-gemma4-moe-Q8_0.gguf");
/// # let model = llama::Model::load(path)?;
/// let vocab = model.vocab();
/// let mut decoder = vocab.decoder();
/// let mut text = String::new();
/// for token in vocab.tokenize("naïve 🦀")? {
///     text.push_str(&decoder.push(token)?);
/// }
/// text.push_str(&decoder.finish());
/// assert_eq!(text.trim(), "naïve 🦀");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TokenDecoder {
    vocab: Vocab,
    /// Control tokens to write out as text, sorted.
    shown: Vec<Token>,
    held: Vec<u8>,
}

impl TokenDecoder {
    pub(crate) fn new(vocab: Vocab, mut shown: Vec<Token>) -> Self {
        shown.sort_unstable();
        Self { vocab, shown, held: Vec::new() }
    }

    /// The text that became whole with this token; often one word, sometimes nothing.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`](crate::Error::InvalidToken).
    pub fn push(&mut self, token: Token) -> Result<String> {
        let special = self.shown.binary_search(&token).is_ok();
        self.vocab.piece_into(token, special, &mut self.held)?;
        Ok(take_whole(&mut self.held))
    }

    /// What was still held back; bytes that never became a character are U+FFFD.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.held).into_owned()
    }
}

/// Takes all but a last character that may still be completed. Bytes that can never become one
/// are replaced.
fn take_whole(held: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let mut rest = held.as_slice();
    loop {
        match std::str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                rest = &[];
                break;
            }
            Err(e) => {
                let (valid, bad) = rest.split_at(e.valid_up_to());
                text.push_str(&String::from_utf8_lossy(valid));
                rest = bad;
                match e.error_len() {
                    Some(n) => {
                        text.push(char::REPLACEMENT_CHARACTER);
                        rest = &rest[n..];
                    }
                    None => break,
                }
            }
        }
    }
    *held = rest.to_vec();
    text
}

#[cfg(test)]
mod tests {
    use super::take_whole;

    fn stream(chunks: &[&[u8]]) -> (Vec<String>, Vec<u8>) {
        let mut held = Vec::new();
        let out = chunks
            .iter()
            .map(|chunk| {
                held.extend_from_slice(chunk);
                take_whole(&mut held)
            })
            .collect();
        (out, held)
    }

    #[test]
    fn a_character_waits_for_its_last_byte() {
        let crab = "🦀".as_bytes();
        let (out, held) = stream(&[b"a", &crab[..1], &crab[1..3], &crab[3..], b"b"]);
        assert_eq!(out, ["a", "", "", "🦀", "b"]);
        assert!(held.is_empty());
    }

    #[test]
    fn bytes_that_never_fit_are_replaced_and_lose_nothing_after() {
        let (out, held) = stream(&[b"\xff", b"ok", b"\xe2\x28"]);
        assert_eq!(out, ["\u{fffd}", "ok", "\u{fffd}("]);
        assert!(held.is_empty());
    }

    #[test]
    fn an_unfinished_character_is_kept() {
        let (out, held) = stream(&[b"x\xf0\x9f"]);
        assert_eq!(out, ["x"]);
        assert_eq!(held, b"\xf0\x9f");
    }
}
