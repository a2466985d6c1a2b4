use llama::{Chat, Content, Message, Role, Tool, ToolCall};
use serde_json::Value;

use crate::tiny;

/// A conversation with its right answer.
#[derive(Debug, Clone)]
pub struct Case {
    /// Name of the case.
    pub id: String,
    /// What it is about ("code", "chat", …; "tool" for tool calls).
    pub kind: String,
    /// The conversation, thinking off.
    pub chat: Chat,
    /// The exact text, or `None` where a tool call is expected.
    pub expect: Option<Value>,
    /// Tool and arguments of the expected call.
    pub expect_call: Option<(String, Value)>,
    /// Other calls that do the same.
    pub also: Vec<(String, Value)>,
    /// What the tool returns, and what the model then says.
    pub after: Option<(String, Option<String>)>,
    /// Whether the model gives that answer, by the reference.
    pub reference_ok: bool,
}

/// A picture and questions about it.
#[derive(Debug, Clone)]
pub struct ImageCase {
    /// Name of the file beneath `eval`.
    pub file: String,
    /// The questions.
    pub questions: Vec<Question>,
}

/// A question about a picture.
#[derive(Debug, Clone)]
pub struct Question {
    /// The question.
    pub text: String,
    /// The exact answer.
    pub answer: String,
    /// Whether the model gives that answer, by the reference.
    pub reference_ok: bool,
}

fn load(name: &str) -> Value {
    let path = tiny("eval").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The held-out conversations of `prompts.json`.
pub fn prompt_cases() -> Vec<Case> {
    cases(&load("prompts.json"), None)
}

/// The held-out tool requests of `tools.json`.
pub fn tool_cases() -> Vec<Case> {
    cases(&load("tools.json"), None)
}

/// The everyday prompts of `known.json`, which the model is sure of.
pub fn known_cases() -> Vec<Case> {
    let known = load("known.json");
    cases(&known["cases"], Some(&known["tools"]))
}

/// The pictures of `images.json`.
pub fn image_cases() -> Vec<ImageCase> {
    let questions = |case: &Value| {
        array(&case["qa"])
            .iter()
            .map(|qa| Question {
                text: string(&qa["question"]),
                answer: string(&qa["answer"]),
                reference_ok: qa["reference_ok"] == true,
            })
            .collect()
    };
    array(&load("images.json"))
        .iter()
        .map(|case| ImageCase { file: string(&case["file"]), questions: questions(case) })
        .collect()
}

fn cases(list: &Value, shared_tools: Option<&Value>) -> Vec<Case> {
    array(list).iter().map(|case| self::case(case, shared_tools)).collect()
}

fn case(case: &Value, shared_tools: Option<&Value>) -> Case {
    let tools = match &case["tools"] {
        Value::Bool(true) => shared_tools.unwrap_or(&Value::Null),
        tools => tools,
    };
    let call = |v: &Value| v["name"].as_str().map(|name| (name.to_owned(), v["arguments"].clone()));
    let expect = &case["expect"];
    let expect_call = call(&case["expect_call"]).or_else(|| call(expect));
    Case {
        id: string(&case["id"]),
        kind: case["kind"].as_str().unwrap_or("tool").to_owned(),
        chat: chat_from_json(&case["messages"], tools),
        expect: (expect_call.is_none() && !expect.is_null()).then(|| expect.clone()),
        expect_call,
        also: case["also"].as_array().into_iter().flatten().filter_map(call).collect(),
        after: case["tool_result"]
            .as_str()
            .map(|result| (result.to_owned(), case["expect_after"].as_str().map(str::to_owned))),
        // known.json has right answers only, and does not say so.
        reference_ok: case.get("reference_ok").is_none_or(|ok| ok == true),
    }
}

/// A conversation in OpenAI's form, thinking off.
pub fn chat_from_json(messages: &Value, tools: &Value) -> Chat {
    let tools = tools.as_array().into_iter().flatten().map(|tool| {
        let function = &tool["function"];
        Tool {
            name: string(&function["name"]),
            description: function["description"].as_str().unwrap_or_default().to_owned(),
            parameters: function["parameters"].clone(),
        }
    });
    Chat {
        messages: array(messages).iter().map(message).collect(),
        tools: tools.collect(),
        thinking: false,
        ..Chat::default()
    }
}

fn message(json: &Value) -> Message {
    let role = match json["role"].as_str() {
        Some("system") => Role::System,
        Some("developer") => Role::Developer,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("tool") => Role::Tool,
        other => panic!("role {other:?}"),
    };
    let tool_calls = json["tool_calls"].as_array().into_iter().flatten().map(|call| ToolCall {
        id: call["id"].as_str().unwrap_or_default().to_owned(),
        name: string(&call["function"]["name"]),
        arguments: match &call["function"]["arguments"] {
            Value::String(text) => text.clone(),
            arguments => arguments.to_string(),
        },
    });
    Message {
        content: json["content"].as_str().map(|text| Content::Text(text.to_owned())).into_iter().collect(),
        reasoning: json["reasoning_content"].as_str().map(str::to_owned),
        tool_calls: tool_calls.collect(),
        tool_call_id: json["tool_call_id"].as_str().map(str::to_owned),
        name: json["name"].as_str().map(str::to_owned),
        ..Message::new(role)
    }
}

fn array(json: &Value) -> &[Value] {
    json.as_array().unwrap_or_else(|| panic!("no list: {json}"))
}

fn string(json: &Value) -> String {
    json.as_str().unwrap_or_else(|| panic!("no text: {json}")).to_owned()
}
