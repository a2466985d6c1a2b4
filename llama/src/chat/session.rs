use std::hash::{BuildHasher, RandomState};
use std::ptr::NonNull;

use llama_sys as sys;
use serde::Deserialize;

use super::{Chat, ChatTemplates};
use crate::{Error, Image, Model, Projector, Prompt, PromptPart, Result, Token, TokenDecoder, shim};

/// A rendered conversation, and the parser of the reply to it.
pub struct ChatSession {
    ptr: NonNull<sys::shim_chat>,
    templates: ChatTemplates,
    info: Info,
    images: Vec<Image>,
    marker: String,
}

// SAFETY: a session owns its state; the vocab that it reads is immutable and kept alive by
// `templates`; one thread at a time feeds it, because that takes `&mut self`.
unsafe impl Send for ChatSession {}

impl Drop for ChatSession {
    fn drop(&mut self) {
        // SAFETY: made by the shim, freed once.
        unsafe { sys::shim_chat_free(self.ptr.as_ptr()) };
    }
}

#[derive(Debug, Deserialize)]
struct Info {
    format: String,
    grammar: String,
    additional_stops: Vec<String>,
    preserved_tokens: Vec<i32>,
}

/// A stretch of a rendered prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenderedPart<'a> {
    /// Text, of the template or of a message.
    Text(PromptPart<'a>),
    /// The image with this index, counted over all messages.
    Image(usize),
}

/// What a piece of generated text adds to the reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// Text for the user.
    Content(String),
    /// The model's thoughts.
    Reasoning(String),
    /// A tool call, or a piece of one.
    ToolCall {
        /// Which of the reply's calls.
        index: usize,
        /// Its id, with the first piece.
        id: Option<String>,
        /// The tool's name, with the first piece.
        name: Option<String>,
        /// The next piece of the arguments' JSON.
        arguments: String,
    },
}

/// The end of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish {
    /// What was still held back.
    pub deltas: Vec<Delta>,
    /// Why the whole does not parse, if it does not. The text that could not be parsed is then
    /// among the deltas as content.
    pub parse_error: Option<String>,
}

impl ChatSession {
    pub(super) fn new(templates: &ChatTemplates, chat: &Chat) -> Result<Self> {
        let vocab = templates.model().vocab();
        // A user who could guess the marker could make text count as an image.
        let random = RandomState::new();
        let marker = format!("<__media_{:016x}{:016x}__>", random.hash_one(0), random.hash_one(1));
        let request = chat.to_request(&marker).to_string();
        let mut ptr = std::ptr::null_mut();
        // SAFETY: templates and vocab are alive, and of one model; the request is a string of the
        // length given; `ptr` is written only on success.
        shim::call(|| unsafe {
            let (data, len) = (request.as_ptr().cast(), request.len());
            sys::shim_chat_new(templates.as_ptr(), vocab.as_ptr(), data, len, &mut ptr)
        })
        .map_err(Error::Chat)?;
        let ptr = NonNull::new(ptr).ok_or_else(|| Error::Chat("no session".into()))?;
        let mut session = Self {
            ptr,
            templates: templates.clone(),
            info: Info {
                format: String::new(),
                grammar: String::new(),
                additional_stops: Vec::new(),
                preserved_tokens: Vec::new(),
            },
            images: chat.images(),
            marker,
        };
        if session.raw_parts().any(|(bytes, _)| std::str::from_utf8(bytes).is_err()) {
            return Err(Error::Chat("the chat template cut a character in half".into()));
        }
        let info = session.string(sys::shim_chat_info)?;
        session.info = serde_json::from_str(&info).map_err(|e| Error::Chat(e.to_string()))?;
        Ok(session)
    }

    /// What a call of the shim returns as a string.
    fn string(
        &self,
        get: unsafe extern "C" fn(*const sys::shim_chat, *mut sys::shim_string) -> sys::shim_status,
    ) -> Result<String> {
        let mut out = sys::shim_string { data: std::ptr::null_mut(), len: 0 };
        // SAFETY: the session is alive.
        shim::call(|| unsafe { get(self.as_ptr(), &mut out) }).map_err(Error::Chat)?;
        // SAFETY: just written by the shim.
        Ok(unsafe { shim::take_string(out) })
    }

    pub(crate) fn as_ptr(&self) -> *const sys::shim_chat {
        self.ptr.as_ptr()
    }

    /// The model whose template rendered the conversation.
    pub fn model(&self) -> &Model {
        self.templates.model()
    }

    /// The format by which the reply is read ("peg-gemma4").
    pub fn format(&self) -> &str {
        &self.info.format
    }

    /// The GBNF grammar that the reply must follow because of tools or response format; empty
    /// without.
    pub fn grammar(&self) -> &str {
        &self.info.grammar
    }

    /// Strings that end the reply, beside the model's end-of-generation tokens.
    pub fn stops(&self) -> &[String] {
        &self.info.additional_stops
    }

    /// The rendered prompt as the shim has it: bytes, and whether they are input.
    fn raw_parts(&self) -> impl Iterator<Item = (&[u8], bool)> {
        // SAFETY: the session is alive.
        let n = unsafe { sys::shim_chat_n_parts(self.as_ptr()) };
        (0..n).map(|i| {
            let (mut len, mut is_input) = (0, false);
            // SAFETY: `i` is below the count; the text lives as long as the session, unchanged.
            let bytes = unsafe {
                let data = sys::shim_chat_part(self.as_ptr(), i, &mut len, &mut is_input);
                if len == 0 { &[] } else { std::slice::from_raw_parts(data.cast::<u8>(), len) }
            };
            (bytes, is_input)
        })
    }

    /// The rendered prompt, stretch by stretch.
    pub fn parts(&self) -> Vec<RenderedPart<'_>> {
        let mut parts = Vec::new();
        let mut n_images = 0;
        for (bytes, is_input) in self.raw_parts() {
            // Checked when the session was made.
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            for (k, text) in text.split(&self.marker).enumerate() {
                if k > 0 {
                    parts.push(RenderedPart::Image(n_images));
                    n_images += 1;
                }
                if !text.is_empty() {
                    parts.push(RenderedPart::Text(PromptPart { text, is_input }));
                }
            }
        }
        parts
    }

    /// The rendered prompt as one text, images left out.
    pub fn rendered(&self) -> String {
        let texts = self.parts().into_iter().map(|part| match part {
            RenderedPart::Text(part) => part.text,
            RenderedPart::Image(_) => "",
        });
        texts.collect()
    }

    /// The prompt in tokens, with its images cut to measure by the projector.
    ///
    /// # Errors
    ///
    /// [`Error::Projector`] for images without a projector, or where the template has no place for
    /// an image; [`Error::Image`] for an image that the projector refuses.
    pub fn prompt(&self, projector: Option<&Projector>) -> Result<Prompt> {
        let vocab = self.model().vocab();
        let parts = self.parts();
        let n_rendered = parts.iter().filter(|p| matches!(p, RenderedPart::Image(_))).count();
        if n_rendered != self.images.len() {
            return Err(Error::Projector(format!(
                "the chat template renders {n_rendered} of {} images",
                self.images.len()
            )));
        }
        let reserved = self.preserved_tokens();
        let mut prompt = Prompt::default();
        let mut texts = Vec::new();
        let mut first = true;
        for part in parts {
            match part {
                RenderedPart::Text(part) => texts.push(part),
                RenderedPart::Image(i) => {
                    let projector = projector.ok_or_else(|| {
                        Error::Projector(
                            "the conversation has images, but no projector is loaded: \
                             give the model's mmproj file (--mmproj)"
                                .into(),
                        )
                    })?;
                    let tokens = vocab.tokenize_reserving(&texts, std::mem::take(&mut first), &reserved)?;
                    prompt.push_tokens(tokens);
                    texts.clear();
                    prompt.push_image(projector, &self.images[i])?;
                }
            }
        }
        prompt.push_tokens(vocab.tokenize_reserving(&texts, first, &reserved)?);
        Ok(prompt)
    }

    /// A detokenizer that keeps the control tokens which the parser needs to see.
    pub fn decoder(&self) -> TokenDecoder {
        TokenDecoder::new(self.model().vocab(), self.preserved_tokens())
    }

    /// Control tokens and markers that mean something to the parser.
    fn preserved_tokens(&self) -> Vec<Token> {
        self.info.preserved_tokens.iter().map(|&id| Token(id)).collect()
    }

    /// Adds generated text without reading it yet. `token` is the one that the text came from; for
    /// a character of several tokens, the last.
    ///
    /// # Errors
    ///
    /// [`Error::Chat`] when memory does not suffice.
    pub fn push(&mut self, text: &str, token: Token) -> Result<()> {
        // SAFETY: the session is alive and the text valid for its length.
        shim::call(|| unsafe {
            let (data, len) = (text.as_ptr().cast(), text.len());
            sys::shim_chat_push(self.ptr.as_ptr(), data, len, token.0)
        })
        .map_err(Error::Chat)
    }

    /// Reads the text so far, and returns what the text since the last reading adds to the reply.
    /// Each reading begins anew with the whole text: of a long reply, not every token needs one.
    ///
    /// # Errors
    ///
    /// [`Error::Chat`] when memory does not suffice; text that does not parse is no error here.
    pub fn read(&mut self) -> Result<Vec<Delta>> {
        let mut out = sys::shim_string { data: std::ptr::null_mut(), len: 0 };
        // SAFETY: the session is alive.
        shim::call(|| unsafe { sys::shim_chat_read(self.ptr.as_ptr(), &mut out) }).map_err(Error::Chat)?;
        // SAFETY: just written by the shim.
        parse_deltas(&unsafe { shim::take_string(out) })
    }

    /// Adds generated text and reads it: [`push`](Self::push), then [`read`](Self::read).
    ///
    /// # Errors
    ///
    /// As for both.
    pub fn feed(&mut self, text: &str, token: Token) -> Result<Vec<Delta>> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        self.push(text, token)?;
        self.read()
    }

    /// Ends the reply. Never loses text: what does not parse comes back as content.
    pub fn finish(self) -> Finish {
        let mut out = sys::shim_string { data: std::ptr::null_mut(), len: 0 };
        // SAFETY: the session is alive, and consumed here, so that it ends once.
        let result = shim::call(|| unsafe { sys::shim_chat_finish(self.ptr.as_ptr(), &mut out) });
        // SAFETY: NULL or just written by the shim.
        let deltas = parse_deltas(&unsafe { shim::take_string(out) });
        match (deltas, result) {
            (Ok(deltas), result) => Finish { deltas, parse_error: result.err() },
            (Err(e), _) => Finish { deltas: Vec::new(), parse_error: Some(e.to_string()) },
        }
    }
}

impl std::fmt::Debug for ChatSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatSession").field("info", &self.info).finish_non_exhaustive()
    }
}

fn parse_deltas(json: &str) -> Result<Vec<Delta>> {
    #[derive(Deserialize)]
    struct Raw {
        reasoning_content: Option<String>,
        content: Option<String>,
        tool_call: Option<RawCall>,
    }
    #[derive(Deserialize)]
    struct RawCall {
        index: usize,
        id: Option<String>,
        name: Option<String>,
        arguments: String,
    }
    let invalid = |e: serde_json::Error| Error::Chat(e.to_string());
    if json.is_empty() {
        return Ok(Vec::new());
    }
    let mut deltas = Vec::new();
    for raw in serde_json::from_str::<Vec<Raw>>(json).map_err(invalid)? {
        deltas.extend(raw.reasoning_content.map(Delta::Reasoning));
        deltas.extend(raw.content.map(Delta::Content));
        deltas.extend(raw.tool_call.map(|call| Delta::ToolCall {
            index: call.index,
            id: call.id,
            name: call.name,
            arguments: call.arguments,
        }));
    }
    Ok(deltas)
}
