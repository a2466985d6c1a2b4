//! From a request's JSON to what the worker can run: everything that can be wrong with a request
//! is found here, before it waits in the queue.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use llama::{Chat, ChatSession, Prompt, Role, Sampler};
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::hub::Loaded;
use crate::sampling::Sampling;
use crate::wire::chat::{self as wire, ChatRequest};

/// One reply to generate.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) session: ChatSession,
    pub(crate) prompt: Prompt,
    pub(crate) sampler: Sampler,
    /// Texts that end the reply.
    pub(crate) stops: Vec<String>,
    /// Tokens to generate at most; `None` for as many as fit the context.
    pub(crate) max_tokens: Option<usize>,
}

/// Most stop strings, and the most bytes of one: each is looked for after every token.
const MAX_STOPS: usize = 32;
const MAX_STOP_LEN: usize = 1024;

/// Checks a request and does all of its work that needs no context: pictures, template, tokens,
/// grammar. Takes milliseconds to seconds of CPU.
pub(crate) fn prepare(model: &Loaded, request: &ChatRequest) -> Result<Task, ApiError> {
    refuse_unsupported(request)?;
    let sampling = Sampling::of(request, &model.sampling)?;
    let max_tokens = max_tokens(request)?;
    let mut stops = stops(request)?;
    let chat = chat(request, model.parallel_tool_calls)?;
    if model.projector.is_none() {
        refuse_images(&chat)?;
    }

    let session = model.templates.session(&chat)?;
    stops.extend_from_slice(session.stops());
    let prompt = session.prompt(model.projector.as_ref())?;
    // At least one token must fit behind the prompt.
    if prompt.n_tokens() >= model.n_ctx as usize {
        return Err(llama::Error::PromptTooLong { n_prompt: prompt.n_tokens(), n_ctx: model.n_ctx }.into());
    }
    let sampler = sampling.sampler(&model.model, &session, &prompt, model.n_ctx)?;
    Ok(Task { session, prompt, sampler, stops, max_tokens })
}

/// Refuses what would change the answer and is not there yet.
fn refuse_unsupported(request: &ChatRequest) -> Result<(), ApiError> {
    let refuse = |field: &str, problem: &str| Err(ApiError::invalid_field(field, problem));
    if request.n.is_some_and(|n| n != 1) {
        return refuse("n", "only one choice per request is supported");
    }
    if request.logprobs == Some(true) {
        return refuse("logprobs", "not supported yet");
    }
    if request.top_logprobs.is_some_and(|n| n != 0) {
        return refuse("top_logprobs", "not supported yet");
    }
    match request.reasoning_format.as_deref() {
        None | Some("auto" | "deepseek") => Ok(()),
        Some("none" | "deepseek-legacy") => {
            refuse("reasoning_format", "not supported yet; use \"auto\" or \"deepseek\"")
        }
        Some(_) => refuse("reasoning_format", "expected \"auto\" or \"deepseek\""),
    }
}

/// The least of the limits given. -1 is llama-server's way to say that there is none.
fn max_tokens(request: &ChatRequest) -> Result<Option<usize>, ApiError> {
    let limits = [
        ("max_tokens", request.max_tokens),
        ("max_completion_tokens", request.max_completion_tokens),
        ("n_predict", request.n_predict),
    ];
    let mut least = None;
    for (field, limit) in limits {
        let Some(limit) = limit.filter(|&limit| limit != -1) else { continue };
        let limit = usize::try_from(limit)
            .map_err(|_| ApiError::invalid_field(field, "must be 0 or more, or -1 for no limit"))?;
        least = Some(least.map_or(limit, |least: usize| least.min(limit)));
    }
    Ok(least)
}

fn stops(request: &ChatRequest) -> Result<Vec<String>, ApiError> {
    let stops = request.stop.as_ref().map(|stop| stop.0.clone()).unwrap_or_default();
    if stops.len() > MAX_STOPS {
        return Err(ApiError::invalid_field("stop", format!("more than {MAX_STOPS} strings")));
    }
    if let Some(i) = stops.iter().position(|stop| stop.len() > MAX_STOP_LEN) {
        let problem = format!("longer than {MAX_STOP_LEN} bytes");
        return Err(ApiError::invalid_field(format!("stop[{i}]"), problem));
    }
    Ok(stops)
}

/// The conversation, as the chat template wants it. `parallel_tool_calls` is for requests that do
/// not say whether the model may call several tools at once.
fn chat(request: &ChatRequest, parallel_tool_calls: bool) -> Result<Chat, ApiError> {
    let messages = match request.messages.as_deref() {
        None => return Err(ApiError::invalid_field("messages", "missing")),
        Some([]) => return Err(ApiError::invalid_field("messages", "must not be empty")),
        Some(messages) => messages
            .iter()
            .enumerate()
            .map(|(i, message)| convert_message(&format!("messages[{i}]"), message))
            .collect::<Result<_, _>>()?,
    };
    let (tools, tool_choice) = tools(request)?;
    let mut template_kwargs = request.chat_template_kwargs.clone().unwrap_or_default();
    let thinking = thinking(request, &template_kwargs)?;
    if let Some(effort) = request.reasoning_effort.as_deref().filter(|&effort| effort != "none") {
        template_kwargs.entry("reasoning_effort").or_insert_with(|| effort.into());
    }
    Ok(Chat {
        messages,
        tools,
        tool_choice,
        parallel_tool_calls: request.parallel_tool_calls.unwrap_or(parallel_tool_calls),
        response_format: response_format(request)?,
        thinking,
        template_kwargs,
    })
}

/// Whether the model is to think: it is, unless told otherwise.
fn thinking(request: &ChatRequest, kwargs: &Map<String, Value>) -> Result<bool, ApiError> {
    let asked = match kwargs.get("enable_thinking") {
        None | Some(Value::Null) => true,
        Some(Value::Bool(on)) => *on,
        Some(_) => {
            let field = "chat_template_kwargs.enable_thinking";
            return Err(ApiError::invalid_field(field, "expected true or false"));
        }
    };
    match request.reasoning_effort.as_deref() {
        Some("none") => Ok(false),
        None | Some("minimal" | "low" | "medium" | "high" | "xhigh" | "max") => Ok(asked),
        Some(_) => Err(ApiError::invalid_field(
            "reasoning_effort",
            "expected none, minimal, low, medium, high, xhigh or max",
        )),
    }
}

fn tools(request: &ChatRequest) -> Result<(Vec<llama::Tool>, llama::ToolChoice), ApiError> {
    let mut tools = request
        .tools
        .iter()
        .flatten()
        .enumerate()
        .map(|(i, tool)| convert_tool(&format!("tools[{i}]"), tool))
        .collect::<Result<Vec<_>, _>>()?;
    let choice = match &request.tool_choice {
        None | Some(wire::ToolChoice::Auto) => llama::ToolChoice::Auto,
        Some(wire::ToolChoice::None) => llama::ToolChoice::None,
        Some(wire::ToolChoice::Required) => llama::ToolChoice::Required,
        // The one way to make a model call a certain tool is to show it no other.
        Some(wire::ToolChoice::Function(name)) => {
            tools.retain(|tool| tool.name == *name);
            if tools.is_empty() {
                let problem = format!("there is no tool named '{name}'");
                return Err(ApiError::invalid_field("tool_choice", problem));
            }
            llama::ToolChoice::Required
        }
    };
    if tools.is_empty() && choice == llama::ToolChoice::Required {
        return Err(ApiError::invalid_field("tool_choice", "a call is required, but there are no tools"));
    }
    Ok((tools, choice))
}

fn convert_tool(field: &str, tool: &wire::Tool) -> Result<llama::Tool, ApiError> {
    if let Some(kind) = tool.kind.as_deref().filter(|&kind| kind != "function") {
        let problem = format!("tools of type '{kind}' are not supported, only 'function'");
        return Err(ApiError::invalid_field(format!("{field}.type"), problem));
    }
    let function = tool
        .function
        .as_ref()
        .ok_or_else(|| ApiError::invalid_field(format!("{field}.function"), "missing"))?;
    if function.name.is_empty() {
        return Err(ApiError::invalid_field(format!("{field}.function.name"), "must not be empty"));
    }
    let parameters = match &function.parameters {
        None => json!({"type": "object", "properties": {}}),
        Some(schema @ Value::Object(_)) => schema.clone(),
        Some(_) => {
            let field = format!("{field}.function.parameters");
            return Err(ApiError::invalid_field(field, "expected a JSON schema, which is an object"));
        }
    };
    Ok(llama::Tool {
        name: function.name.clone(),
        description: function.description.clone().unwrap_or_default(),
        parameters,
    })
}

/// What form the answer must have: OpenAI's field says it, or one of llama-server's two, of which
/// the sampler takes `grammar`.
fn response_format(request: &ChatRequest) -> Result<llama::ResponseFormat, ApiError> {
    let has_tools = request.tools.as_ref().is_some_and(|tools| !tools.is_empty());
    match (&request.response_format, &request.json_schema, &request.grammar) {
        (None, None, None) => Ok(llama::ResponseFormat::Text),
        (Some(format), None, None) => openai_format(format),
        (None, Some(schema), None) => Ok(llama::ResponseFormat::JsonSchema(schema.clone())),
        (None, None, Some(_)) if has_tools => {
            Err(ApiError::invalid_field("grammar", "cannot be combined with tools"))
        }
        (None, None, Some(_)) => Ok(llama::ResponseFormat::Text),
        _ => Err(ApiError::invalid("give only one of response_format, json_schema and grammar")),
    }
}

fn openai_format(format: &wire::ResponseFormat) -> Result<llama::ResponseFormat, ApiError> {
    match format.kind.as_str() {
        "text" => Ok(llama::ResponseFormat::Text),
        "json_object" => Ok(match &format.schema {
            Some(schema) => llama::ResponseFormat::JsonSchema(schema.clone()),
            None => llama::ResponseFormat::JsonObject,
        }),
        "json_schema" => {
            let named = format.json_schema.as_ref().and_then(|named| named.schema.as_ref());
            let schema = named
                .or(format.schema.as_ref())
                .ok_or_else(|| ApiError::invalid_field("response_format.json_schema.schema", "missing"))?;
            Ok(llama::ResponseFormat::JsonSchema(schema.clone()))
        }
        _ => {
            Err(ApiError::invalid_field("response_format.type", "expected text, json_object or json_schema"))
        }
    }
}

fn convert_message(field: &str, message: &wire::Message) -> Result<llama::Message, ApiError> {
    let role = match message.role.as_str() {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        _ => {
            let problem = "expected system, developer, user, assistant or tool";
            return Err(ApiError::invalid_field(format!("{field}.role"), problem));
        }
    };
    let content = match &message.content {
        None => Vec::new(),
        Some(wire::Content::Text(text)) => vec![llama::Content::Text(text.clone())],
        Some(wire::Content::Parts(parts)) => parts
            .iter()
            .enumerate()
            .map(|(i, part)| convert_part(&format!("{field}.content[{i}]"), part))
            .collect::<Result<_, _>>()?,
    };
    let tool_calls = message
        .tool_calls
        .iter()
        .flatten()
        .map(|call| llama::ToolCall {
            id: call.id.clone().unwrap_or_default(),
            name: call.function.name.clone(),
            arguments: call.function.arguments.as_ref().map_or("{}", |a| a.0.as_str()).to_owned(),
        })
        .collect();
    Ok(llama::Message {
        role,
        content,
        reasoning: message.reasoning_content.clone(),
        tool_calls,
        tool_call_id: message.tool_call_id.clone(),
        name: message.name.clone(),
    })
}

fn convert_part(field: &str, part: &wire::Part) -> Result<llama::Content, ApiError> {
    match part.kind.as_str() {
        "text" => match &part.text {
            Some(text) => Ok(llama::Content::Text(text.clone())),
            None => Err(ApiError::invalid_field(format!("{field}.text"), "missing")),
        },
        "image_url" => {
            let field = format!("{field}.image_url.url");
            let Some(image) = &part.image_url else {
                return Err(ApiError::invalid_field(field, "missing"));
            };
            let bytes = data_uri(&image.url).map_err(|problem| ApiError::invalid_field(&field, problem))?;
            let image = llama::Image::decode(&bytes).map_err(|e| ApiError::invalid_field(&field, e))?;
            Ok(llama::Content::Image(image))
        }
        "input_audio" => Err(ApiError::invalid_field(field, "audio is not supported yet")),
        kind => Err(ApiError::invalid_field(
            format!("{field}.type"),
            format!("'{kind}' is not supported; expected text or image_url"),
        )),
    }
}

/// Some clients leave the padding away.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes in a `data:…;base64,…` URI.
fn data_uri(url: &str) -> Result<Vec<u8>, &'static str> {
    let Some(rest) = url.strip_prefix("data:") else {
        return Err("this server fetches no URLs: send the image itself, \
                    as data:image/png;base64,…");
    };
    let (header, data) = rest.split_once(',').ok_or("the data: URI has no comma")?;
    if !header.ends_with(";base64") {
        return Err("the data: URI must be base64: data:image/png;base64,…");
    }
    BASE64.decode(data).map_err(|_| "the data: URI is not valid base64")
}

fn refuse_images(chat: &Chat) -> Result<(), ApiError> {
    for (i, message) in chat.messages.iter().enumerate() {
        for (j, content) in message.content.iter().enumerate() {
            if matches!(content, llama::Content::Image(_)) {
                return Err(ApiError::invalid_field(
                    format!("messages[{i}].content[{j}]"),
                    "the model sees no images: the server was started without --mmproj",
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::accepted;

    fn request(json: Value) -> ChatRequest {
        accepted(json)
    }

    fn refused<T>(result: Result<T, ApiError>) -> String {
        result.err().map(|e| e.message().to_owned()).unwrap_or_else(|| panic!("accepted"))
    }

    #[test]
    fn the_least_limit_counts_and_minus_one_is_none() {
        let max = |json| max_tokens(&request(json)).expect("valid");
        assert_eq!(max(json!({})), None);
        assert_eq!(max(json!({"max_tokens": -1})), None);
        assert_eq!(max(json!({"max_tokens": 9, "max_completion_tokens": 7, "n_predict": -1})), Some(7));
        assert_eq!(max(json!({"n_predict": 0})), Some(0));
        let message = refused(max_tokens(&request(json!({"max_tokens": -2}))));
        assert_eq!(message, "max_tokens: must be 0 or more, or -1 for no limit");
    }

    #[test]
    fn what_is_missing_is_refused_not_dropped() {
        let cases = [
            (json!({"n": 2}), "n: only one choice per request is supported"),
            (json!({"logprobs": true}), "logprobs: not supported yet"),
            (json!({"top_logprobs": 3}), "top_logprobs: not supported yet"),
            (json!({"reasoning_format": "x"}), "reasoning_format: expected \"auto\" or \"deepseek\""),
        ];
        for (json, message) in cases {
            assert_eq!(refused(refuse_unsupported(&request(json))), message);
        }
        let neutral = json!({"n": 1, "logprobs": false, "top_logprobs": 0});
        assert!(refuse_unsupported(&request(neutral)).is_ok());
    }

    #[test]
    fn stop_strings_are_limited() {
        let many = vec!["x"; MAX_STOPS + 1];
        assert_eq!(refused(stops(&request(json!({"stop": many})))), "stop: more than 32 strings");
        let long = "x".repeat(MAX_STOP_LEN + 1);
        let message = refused(stops(&request(json!({"stop": ["a", long]}))));
        assert_eq!(message, "stop[1]: longer than 1024 bytes");
    }

    fn chat_of(json: Value) -> Result<Chat, ApiError> {
        chat(&request(json), true)
    }

    #[test]
    fn every_role_and_kind_of_content_is_taken() {
        let chat = chat_of(json!({"messages": [
            {"role": "system", "content": "s"},
            {"role": "developer", "content": [{"type": "text", "text": "d"}]},
            {"role": "user", "content": ""},
            {"role": "assistant", "content": null, "reasoning_content": "r", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}},
                {"id": "c2", "type": "function", "function": {"name": "g"}},
            ]},
            {"role": "tool", "content": "t", "tool_call_id": "c1", "name": "f"},
        ]}))
        .expect("valid");
        let roles: Vec<_> = chat.messages.iter().map(|m| m.role).collect();
        assert_eq!(roles, [Role::System, Role::Developer, Role::User, Role::Assistant, Role::Tool]);
        let assistant = &chat.messages[3];
        assert!(assistant.content.is_empty());
        assert_eq!(assistant.reasoning.as_deref(), Some("r"));
        assert_eq!(assistant.tool_calls[0].arguments, "{\"a\":1}");
        assert_eq!(assistant.tool_calls[1].arguments, "{}");
        assert_eq!(chat.messages[4].tool_call_id.as_deref(), Some("c1"));
    }

    #[test]
    fn bad_messages_are_named() {
        let image = |url: &str| json!([{"type": "image_url", "image_url": {"url": url}}]);
        let cases = [
            (json!(null), "messages: missing"),
            (json!([]), "messages: must not be empty"),
            (
                json!([{"role": "boss"}]),
                "messages[0].role: expected system, developer, user, assistant or tool",
            ),
            (
                json!([{"role": "user", "content": [{"type": "text"}]}]),
                "messages[0].content[0].text: missing",
            ),
            (
                json!([{"role": "user", "content": [{"type": "image_url"}]}]),
                "messages[0].content[0].image_url.url: missing",
            ),
            (
                json!([{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]),
                "messages[0].content[0]: audio is not supported yet",
            ),
            (
                json!([{"role": "user", "content": [{"type": "video_url"}]}]),
                "messages[0].content[0].type: 'video_url' is not supported; expected text or image_url",
            ),
            (
                json!([{"role": "user", "content": image("https://example.com/a.png")}]),
                "messages[0].content[0].image_url.url: this server fetches no URLs: send the image itself, \
                 as data:image/png;base64,…",
            ),
            (
                json!([{"role": "user", "content": image("data:image/png;base64,%%%")}]),
                "messages[0].content[0].image_url.url: the data: URI is not valid base64",
            ),
            (
                json!([{"role": "user", "content": image("data:image/png,abc")}]),
                "messages[0].content[0].image_url.url: the data: URI must be base64: data:image/png;base64,…",
            ),
        ];
        for (messages, message) in cases {
            assert_eq!(refused(chat_of(json!({"messages": messages}))), message);
        }
    }

    #[test]
    fn base64_may_lack_its_padding() {
        assert_eq!(data_uri("data:;base64,aGk="), Ok(b"hi".to_vec()));
        assert_eq!(data_uri("data:;base64,aGk"), Ok(b"hi".to_vec()));
    }

    fn tools_of(json: Value) -> Result<(Vec<llama::Tool>, llama::ToolChoice), ApiError> {
        tools(&request(json))
    }

    #[test]
    fn a_named_tool_is_the_only_one_shown() {
        let two = json!([{"function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}]);
        let named =
            |name| json!({"tools": two, "tool_choice": {"type": "function", "function": {"name": name}}});
        let (tools, choice) = tools_of(named("g")).expect("valid");
        assert_eq!((tools.len(), tools[0].name.as_str(), choice), (1, "g", llama::ToolChoice::Required));
        assert_eq!(refused(tools_of(named("h"))), "tool_choice: there is no tool named 'h'");
    }

    #[test]
    fn bad_tools_are_named() {
        let cases = [
            (
                json!({"tools": [{"type": "web_search"}]}),
                "tools[0].type: tools of type 'web_search' are not supported, only 'function'",
            ),
            (json!({"tools": [{"type": "function"}]}), "tools[0].function: missing"),
            (json!({"tools": [{"function": {"name": ""}}]}), "tools[0].function.name: must not be empty"),
            (
                json!({"tools": [{"function": {"name": "f", "parameters": 1}}]}),
                "tools[0].function.parameters: expected a JSON schema, which is an object",
            ),
            (json!({"tool_choice": "required"}), "tool_choice: a call is required, but there are no tools"),
        ];
        for (json, message) in cases {
            assert_eq!(refused(tools_of(json)), message);
        }
    }

    #[test]
    fn response_formats() {
        let format = |json: Value| response_format(&request(json!({"response_format": json})));
        let schema = json!({"type": "object"});
        assert!(matches!(format(json!({"type": "text"})), Ok(llama::ResponseFormat::Text)));
        assert!(matches!(format(json!({"type": "json_object"})), Ok(llama::ResponseFormat::JsonObject)));
        for json in [
            json!({"type": "json_object", "schema": schema}),
            json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}),
        ] {
            assert!(matches!(format(json), Ok(llama::ResponseFormat::JsonSchema(s)) if s == schema));
        }
        assert_eq!(
            refused(format(json!({"type": "json_schema"}))),
            "response_format.json_schema.schema: missing"
        );
        assert_eq!(
            refused(format(json!({"type": "xml"}))),
            "response_format.type: expected text, json_object or json_schema"
        );
    }

    #[test]
    fn llama_servers_own_formats_stand_alone() {
        let format = |json: Value| response_format(&request(json));
        let schema = json!({"type": "string"});
        let by_schema = format(json!({"json_schema": schema}));
        assert!(matches!(by_schema, Ok(llama::ResponseFormat::JsonSchema(s)) if s == schema));
        let by_grammar = format(json!({"grammar": "root ::= \"x\"", "tools": []}));
        assert!(matches!(by_grammar, Ok(llama::ResponseFormat::Text)));
        assert_eq!(
            refused(format(json!({"grammar": "x", "json_schema": {}}))),
            "give only one of response_format, json_schema and grammar"
        );
        assert_eq!(
            refused(format(json!({"grammar": "x", "tools": [{"function": {"name": "f"}}]}))),
            "grammar: cannot be combined with tools"
        );
    }

    #[test]
    fn thinking_is_turned_off_by_effort_or_by_kwarg() {
        let thinking = |json| {
            let request = request(json);
            let kwargs = request.chat_template_kwargs.clone().unwrap_or_default();
            thinking(&request, &kwargs)
        };
        let off = json!({"enable_thinking": false});
        assert_eq!(thinking(json!({})).ok(), Some(true));
        assert_eq!(thinking(json!({"reasoning_effort": "high"})).ok(), Some(true));
        assert_eq!(thinking(json!({"reasoning_effort": "none"})).ok(), Some(false));
        assert_eq!(thinking(json!({"chat_template_kwargs": off})).ok(), Some(false));
        assert!(refused(thinking(json!({"reasoning_effort": "lots"}))).starts_with("reasoning_effort: "));
        let wrong = json!({"chat_template_kwargs": {"enable_thinking": "no"}});
        assert_eq!(refused(thinking(wrong)), "chat_template_kwargs.enable_thinking: expected true or false");
    }
}
