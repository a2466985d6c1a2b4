use llama::{ChatSession, Delta, Projector, Sampler, Speculative, Token, ToolCall};

/// A whole reply.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reply {
    /// Text for the user.
    pub content: String,
    /// The model's thoughts.
    pub reasoning: String,
    /// Its calls.
    pub tool_calls: Vec<ToolCall>,
    /// The tokens generated.
    pub tokens: Vec<Token>,
    /// Why the reply does not parse, if it does not.
    pub parse_error: Option<String>,
}

impl Reply {
    fn add(&mut self, delta: Delta) {
        match delta {
            Delta::Content(text) => self.content += &text,
            Delta::Reasoning(text) => self.reasoning += &text,
            Delta::ToolCall { index, id, name, arguments } => {
                if self.tool_calls.len() <= index {
                    let empty = ToolCall { id: String::new(), name: String::new(), arguments: String::new() };
                    self.tool_calls.resize(index + 1, empty);
                }
                let call = &mut self.tool_calls[index];
                call.id = id.unwrap_or_else(|| std::mem::take(&mut call.id));
                call.name = name.unwrap_or_else(|| std::mem::take(&mut call.name));
                call.arguments += &arguments;
            }
        }
    }
}

/// Generates a reply of at most `max_tokens`.
///
/// # Errors
///
/// What rendering, computing or sampling returns.
pub fn generate(
    spec: &mut Speculative,
    sampler: &mut Sampler,
    mut session: ChatSession,
    projector: Option<&Projector>,
    max_tokens: usize,
) -> llama::Result<Reply> {
    let mut reply = Reply::default();
    let mut decoder = session.decoder();
    spec.prompt(&session.prompt(projector)?)?;
    while let Some(tokens) = spec.next(sampler)? {
        for token in tokens {
            reply.tokens.push(token);
            for delta in session.feed(&decoder.push(token)?, token)? {
                reply.add(delta);
            }
        }
        if reply.tokens.len() >= max_tokens {
            break;
        }
    }
    let finish = session.finish();
    finish.deltas.into_iter().for_each(|delta| reply.add(delta));
    reply.parse_error = finish.parse_error;
    Ok(reply)
}
