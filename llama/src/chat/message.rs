use serde_json::{Map, Value, json};

use crate::Image;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions from the application.
    System,
    /// Instructions from the application, in newer templates; otherwise as `System`.
    Developer,
    /// The person, or the agent on their behalf.
    User,
    /// The model.
    Assistant,
    /// The result of a tool that the model called.
    Tool,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Developer => "developer",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Text.
    Text(String),
    /// A picture.
    Image(Image),
}

/// A call that the model made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// Ties the result to the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments: a JSON object as text.
    pub arguments: String,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said; empty for a turn that only calls tools.
    pub content: Vec<Content>,
    /// What the model thought before it spoke.
    pub reasoning: Option<String>,
    /// Tools that the model called.
    pub tool_calls: Vec<ToolCall>,
    /// In a tool's message: the call that it answers.
    pub tool_call_id: Option<String>,
    /// Name of the tool or the speaker.
    pub name: Option<String>,
}

impl Message {
    /// A message without content.
    pub fn new(role: Role) -> Self {
        Self {
            role,
            content: Vec::new(),
            reasoning: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
            name: None,
        }
    }

    /// Instructions for the whole conversation.
    pub fn system(text: impl Into<String>) -> Self {
        Self::new(Role::System).text(text)
    }

    /// What the user says.
    pub fn user(text: impl Into<String>) -> Self {
        Self::new(Role::User).text(text)
    }

    /// What the model said.
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::new(Role::Assistant).text(text)
    }

    /// What a tool returned for the call with this id.
    pub fn tool(call_id: impl Into<String>, text: impl Into<String>) -> Self {
        Self { tool_call_id: Some(call_id.into()), ..Self::new(Role::Tool).text(text) }
    }

    /// Adds text.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.content.push(Content::Text(text.into()));
        self
    }

    /// Adds a picture.
    pub fn image(mut self, image: Image) -> Self {
        self.content.push(Content::Image(image));
        self
    }
}

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does, for the model to read.
    pub description: String,
    /// JSON Schema of its arguments, an object.
    pub parameters: Value,
}

/// Whether the model may, must or must not call tools.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// No call.
    None,
    /// At least one call.
    Required,
}

/// What form the reply must have.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum ResponseFormat {
    /// Any text.
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that this schema allows.
    JsonSchema(Value),
    /// Text that this GBNF grammar allows.
    Grammar(String),
}

/// A conversation to continue, with what the reply may and must contain.
#[derive(Debug, Clone, PartialEq)]
pub struct Chat {
    /// The messages so far.
    pub messages: Vec<Message>,
    /// Functions that the model may call.
    pub tools: Vec<Tool>,
    /// Whether it may, must or must not.
    pub tool_choice: ToolChoice,
    /// Whether it may call several at once.
    pub parallel_tool_calls: bool,
    /// What form the reply must have.
    pub response_format: ResponseFormat,
    /// Whether the model thinks before it speaks, where its template can tell it.
    pub thinking: bool,
    /// Variables for the template, beyond those above.
    pub template_kwargs: Map<String, Value>,
}

impl Default for Chat {
    fn default() -> Self {
        Self {
            messages: Vec::new(),
            tools: Vec::new(),
            tool_choice: ToolChoice::Auto,
            parallel_tool_calls: false,
            response_format: ResponseFormat::Text,
            thinking: true,
            template_kwargs: Map::new(),
        }
    }
}

impl Chat {
    /// An empty conversation.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a message.
    pub fn message(mut self, message: Message) -> Self {
        self.messages.push(message);
        self
    }

    /// Adds instructions for the whole conversation.
    pub fn system(self, text: impl Into<String>) -> Self {
        self.message(Message::system(text))
    }

    /// Adds what the user says.
    pub fn user(self, text: impl Into<String>) -> Self {
        self.message(Message::user(text))
    }

    /// Adds what the model said.
    pub fn assistant(self, text: impl Into<String>) -> Self {
        self.message(Message::assistant(text))
    }

    /// Adds a function that the model may call.
    pub fn tool(mut self, tool: Tool) -> Self {
        self.tools.push(tool);
        self
    }

    /// Whether the model thinks before it speaks.
    pub fn thinking(mut self, on: bool) -> Self {
        self.thinking = on;
        self
    }

    /// The pictures of all messages, in order.
    pub(super) fn images(&self) -> Vec<Image> {
        let contents = self.messages.iter().flat_map(|message| &message.content);
        contents
            .filter_map(|content| match content {
                Content::Image(image) => Some(image.clone()),
                Content::Text(_) => None,
            })
            .collect()
    }

    /// The form that the shim takes, with `marker` in the place of each picture.
    pub(super) fn to_request(&self, marker: &str) -> Value {
        let mut request = json!({
            "messages": self.messages.iter().map(|m| message(m, marker)).collect::<Vec<_>>(),
            "enable_thinking": self.thinking,
            "parallel_tool_calls": self.parallel_tool_calls,
            "tool_choice": match self.tool_choice {
                ToolChoice::Auto => "auto",
                ToolChoice::None => "none",
                ToolChoice::Required => "required",
            },
        });
        if !self.tools.is_empty() {
            request["tools"] = self.tools.iter().map(tool).collect();
        }
        if !self.template_kwargs.is_empty() {
            request["chat_template_kwargs"] = Value::Object(self.template_kwargs.clone());
        }
        match &self.response_format {
            ResponseFormat::Text => {}
            ResponseFormat::JsonObject => request["json_schema"] = json!({ "type": "object" }),
            ResponseFormat::JsonSchema(schema) => request["json_schema"] = schema.clone(),
            ResponseFormat::Grammar(gbnf) => request["grammar"] = json!(gbnf),
        }
        request
    }
}

fn message(message: &Message, marker: &str) -> Value {
    let mut json = json!({ "role": message.role.name(), "content": content(message, marker) });
    if let Some(reasoning) = &message.reasoning {
        json["reasoning_content"] = json!(reasoning);
    }
    if let Some(id) = &message.tool_call_id {
        json["tool_call_id"] = json!(id);
    }
    if let Some(name) = &message.name {
        json["name"] = json!(name);
    }
    if !message.tool_calls.is_empty() {
        json["tool_calls"] = message
            .tool_calls
            .iter()
            .map(|call| {
                json!({
                    "type": "function",
                    "id": call.id,
                    "function": { "name": call.name, "arguments": call.arguments },
                })
            })
            .collect();
    }
    json
}

/// Text alone goes as a string, which every template understands.
fn content(message: &Message, marker: &str) -> Value {
    match message.content.as_slice() {
        [] => Value::Null,
        [Content::Text(text)] => json!(text),
        parts => parts
            .iter()
            .map(|part| match part {
                Content::Text(text) => json!({ "type": "text", "text": text }),
                Content::Image(_) => json!({ "type": "media_marker", "text": marker }),
            })
            .collect(),
    }
}

fn tool(tool: &Tool) -> Value {
    json!({
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        },
    })
}
