use llama_sys as sys;

use super::{Model, TokenDecoder};
use crate::{Error, Result, shim};

/// Id of a token. It is checked against the vocabulary wherever it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Token(pub(crate) sys::llama_token);

impl Token {
    /// The token with this id.
    pub fn new(id: i32) -> Self {
        Self(id)
    }

    /// The id.
    pub fn id(self) -> i32 {
        self.0
    }
}

/// A piece of a prompt's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptPart<'a> {
    /// The text.
    pub text: &'a str,
    /// Whether it came from a user, a tool or another untrusted source. Such text never becomes
    /// control tokens, whatever it contains.
    pub is_input: bool,
}

/// The tokens of a model.
#[derive(Debug, Clone)]
pub struct Vocab {
    model: Model,
}

impl Vocab {
    pub(super) fn new(model: Model) -> Self {
        Self { model }
    }

    pub(crate) fn as_ptr(&self) -> *const sys::llama_vocab {
        // SAFETY: the model is alive as long as `self`, and owns its vocab.
        unsafe { sys::llama_model_get_vocab(self.model.as_ptr()) }
    }

    /// Number of tokens; ids run from 0 to one less.
    pub fn n_tokens(&self) -> u32 {
        // SAFETY: the vocab is alive.
        unsafe { sys::llama_vocab_n_tokens(self.as_ptr()) }.unsigned_abs()
    }

    /// Checks that a token is one of this vocabulary.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidToken`] for an id out of range.
    pub fn check(&self, token: Token) -> Result<Token> {
        let n_tokens = self.n_tokens();
        match u32::try_from(token.0) {
            Ok(id) if id < n_tokens => Ok(token),
            _ => Err(Error::InvalidToken { token: token.0, n_tokens }),
        }
    }

    /// Tokens of plain text, with the beginning-of-sequence token if the model wants one.
    ///
    /// Text that looks like a control token stays text; [`tokenize_parts`](Self::tokenize_parts)
    /// tells the two apart.
    ///
    /// # Errors
    ///
    /// Text that is too long for llama.cpp.
    pub fn tokenize(&self, text: &str) -> Result<Vec<Token>> {
        self.tokenize_with(text, true, false)
    }

    /// Tokens of a text. `add_special` puts the tokens in front and behind that the model wants
    /// around a text; `parse_special` turns the text of control tokens into those tokens.
    ///
    /// # Errors
    ///
    /// Text that is too long for llama.cpp.
    pub fn tokenize_with(&self, text: &str, add_special: bool, parse_special: bool) -> Result<Vec<Token>> {
        // Rarely more tokens than bytes, and then the second round knows the number.
        let mut tokens = vec![Token(0); text.len() + 2];
        loop {
            let mut n = 0;
            // SAFETY: text and tokens are valid for the lengths given; `Token` is a transparent
            // llama_token.
            shim::call(|| unsafe {
                sys::shim_tokenize(
                    self.as_ptr(),
                    text.as_ptr().cast(),
                    text.len(),
                    add_special,
                    parse_special,
                    tokens.as_mut_ptr().cast(),
                    tokens.len(),
                    &mut n,
                )
            })
            .map_err(Error::Tokenize)?;
            let fits = n <= tokens.len();
            tokens.resize(n, Token(0));
            if fits {
                return Ok(tokens);
            }
        }
    }

    /// Tokens of a prompt made of trusted text, whose control tokens count, and input, whose
    /// control tokens are just text. So are markers that a vocabulary lists as ordinary words,
    /// such as Gemma 4's `<|tool_call>`.
    ///
    /// The parts are tokenized as one text wherever that makes no difference to safety, because
    /// that is how models were trained: a token may span the border between two parts.
    ///
    /// # Errors
    ///
    /// Text that is too long for llama.cpp.
    pub fn tokenize_parts(&self, parts: &[PromptPart<'_>], add_special: bool) -> Result<Vec<Token>> {
        self.tokenize_reserving(parts, add_special, &[])
    }

    /// As [`tokenize_parts`](Self::tokenize_parts), with more tokens that input must not become.
    pub(crate) fn tokenize_reserving(
        &self,
        parts: &[PromptPart<'_>],
        add_special: bool,
        reserved: &[Token],
    ) -> Result<Vec<Token>> {
        let mut tokens = Vec::new();
        let mut joined = String::new();
        let mut first = add_special;
        for part in parts {
            if !part.is_input {
                joined.push_str(part.text);
                continue;
            }
            let plain = self.tokenize_with(part.text, false, false)?;
            let is_safe = plain == self.tokenize_with(part.text, false, true)?
                && !plain.iter().any(|&token| self.is_reserved(token, reserved));
            if is_safe {
                joined.push_str(part.text);
            } else {
                tokens.extend(self.tokenize_joined(&joined, &mut first)?);
                joined.clear();
                if std::mem::take(&mut first) {
                    tokens.extend(self.tokenize_with("", true, false)?);
                }
                self.tokenize_as_text(part.text, reserved, &mut tokens)?;
            }
        }
        tokens.extend(self.tokenize_joined(&joined, &mut first)?);
        Ok(tokens)
    }

    fn is_reserved(&self, token: Token, reserved: &[Token]) -> bool {
        reserved.contains(&token) || self.model.markers().binary_search(&token).is_ok()
    }

    /// Tokens of a text none of which is reserved: what would become one is taken apart.
    fn tokenize_as_text(&self, text: &str, reserved: &[Token], out: &mut Vec<Token>) -> Result<()> {
        for token in self.tokenize_with(text, false, false)? {
            let marker = if self.is_reserved(token, reserved) {
                String::from_utf8(self.piece(token, true)?).ok()
            } else {
                None
            };
            match marker.as_deref().and_then(|text| Some(text.split_at(text.chars().next()?.len_utf8()))) {
                Some((first, rest)) if !rest.is_empty() => {
                    self.tokenize_as_text(first, reserved, out)?;
                    self.tokenize_as_text(rest, reserved, out)?;
                }
                _ => out.push(token),
            }
        }
        Ok(())
    }

    /// Tokens that mark something in a conversation but are listed as ordinary words.
    pub(super) fn find_markers(&self) -> Vec<Token> {
        let ids = 0..self.n_tokens() as sys::llama_token;
        ids.map(Token).filter(|&token| self.is_marker(token)).collect()
    }

    fn is_marker(&self, token: Token) -> bool {
        let mut attr = 0;
        // SAFETY: the vocab is alive; the shim reports a token out of range.
        let status = unsafe { sys::shim_token_attr(self.as_ptr(), token.0, &mut attr) };
        let is_word =
            shim::check(status, "").is_ok() && attr & sys::LLAMA_TOKEN_ATTR_USER_DEFINED as i32 != 0;
        is_word
            && self
                .piece(token, true)
                .is_ok_and(|text| text.starts_with(b"<") && text.ends_with(b">") && text[1..].contains(&b'|'))
    }

    fn tokenize_joined(&self, text: &str, first: &mut bool) -> Result<Vec<Token>> {
        if text.is_empty() && !*first {
            return Ok(Vec::new());
        }
        self.tokenize_with(text, std::mem::take(first), true)
    }

    /// The bytes of a token's text, which need not be whole characters. Control tokens have text
    /// only if `special` is set.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidToken`].
    pub fn piece(&self, token: Token, special: bool) -> Result<Vec<u8>> {
        let mut piece = Vec::new();
        self.piece_into(token, special, &mut piece)?;
        Ok(piece)
    }

    /// Appends a token's text to `out`.
    pub(super) fn piece_into(&self, token: Token, special: bool, out: &mut Vec<u8>) -> Result<()> {
        self.check(token)?;
        let start = out.len();
        let mut room = 32;
        loop {
            out.resize(start + room, 0);
            let mut n = 0;
            // SAFETY: the token is in range, and `out` has `room` bytes from `start`.
            shim::call(|| unsafe {
                let piece = out[start..].as_mut_ptr().cast();
                sys::shim_token_to_piece(self.as_ptr(), token.0, special, piece, room, &mut n)
            })
            .map_err(Error::Tokenize)?;
            let fits = n <= room;
            out.truncate(start + n.min(room));
            if fits {
                return Ok(());
            }
            room = n;
        }
    }

    /// Text of a whole sequence of tokens; bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidToken`].
    pub fn detokenize(&self, tokens: &[Token], special: bool) -> Result<String> {
        let mut bytes = Vec::new();
        for &token in tokens {
            self.piece_into(token, special, &mut bytes)?;
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A streaming detokenizer, which holds back bytes until they are whole characters.
    pub fn decoder(&self) -> TokenDecoder {
        TokenDecoder::new(self.clone(), Vec::new())
    }

    /// Whether a token ends a generation.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidToken`].
    pub fn is_eog(&self, token: Token) -> Result<bool> {
        self.check(token)?;
        // SAFETY: the token is in range.
        Ok(unsafe { sys::llama_vocab_is_eog(self.as_ptr(), token.0) })
    }

    /// Whether a token is a control token, which has no text of its own.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidToken`].
    pub fn is_control(&self, token: Token) -> Result<bool> {
        self.check(token)?;
        // SAFETY: the token is in range.
        Ok(unsafe { sys::llama_vocab_is_control(self.as_ptr(), token.0) })
    }

    /// The token that begins a sequence, if the model has one.
    pub fn bos(&self) -> Option<Token> {
        // SAFETY: the vocab is alive.
        present(unsafe { sys::llama_vocab_bos(self.as_ptr()) })
    }

    /// The token that ends a sequence, if the model has one.
    pub fn eos(&self) -> Option<Token> {
        // SAFETY: the vocab is alive.
        present(unsafe { sys::llama_vocab_eos(self.as_ptr()) })
    }

    /// The token that ends a turn, if the model has one.
    pub fn eot(&self) -> Option<Token> {
        // SAFETY: the vocab is alive.
        present(unsafe { sys::llama_vocab_eot(self.as_ptr()) })
    }
}

fn present(id: sys::llama_token) -> Option<Token> {
    (id != sys::LLAMA_TOKEN_NULL).then_some(Token(id))
}
