//! A server in this process, and what a client does with it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::mpsc;
use std::thread;

use llama_server_rs::{Config, Server};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// The built-in model on a free port, on one thread: that is fastest for a model so small.
pub(crate) fn config() -> Config {
    Config { port: 0, threads: Some(1), ..Config::default() }
}

/// Serves until the process ends. Returns when the model is loaded.
pub(crate) fn serve(config: Config) -> SocketAddr {
    serve_until(config, std::future::pending())
}

/// Serves until `shutdown`. Returns when the model is loaded.
pub(crate) fn serve_until(config: Config, shutdown: impl Future<Output = ()> + Send + 'static) -> SocketAddr {
    let (ready, is_ready) = mpsc::channel();
    thread::spawn(move || {
        Runtime::new().expect("a runtime").block_on(async {
            let server = Server::bind(config).await.expect("a free port");
            let address = server.local_addr();
            let server = server.on_ready(move |_| ready.send(address).expect("the test waits"));
            server.run(shutdown).await.expect("the model loads");
        });
    });
    is_ready.recv().expect("the server starts")
}

/// The server that tests share which do not mind waiting for each other.
pub(crate) fn shared() -> SocketAddr {
    static SHARED: OnceLock<SocketAddr> = OnceLock::new();
    *SHARED.get_or_init(|| serve(config()))
}

pub(crate) fn get(server: SocketAddr, path: &str) -> RequestBuilder {
    Client::new().get(format!("http://{server}{path}"))
}

pub(crate) fn post(server: SocketAddr, path: &str) -> RequestBuilder {
    Client::new().post(format!("http://{server}{path}"))
}

/// A request for the surest answer, without thoughts, with `more` fields.
pub(crate) fn request(messages: Value, more: Value) -> Value {
    let mut request = json!({
        "messages": messages,
        "temperature": 0,
        "chat_template_kwargs": {"enable_thinking": false},
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        request[field] = value.clone();
    }
    request
}

/// A request whose answer has no end but the context's: the grammar of a list that is too long.
pub(crate) fn endless(more: Value) -> Value {
    let items = json!({"type": "array", "minItems": 100, "items": {"type": "boolean"}});
    let schema = json!({"type": "array", "minItems": 1000, "items": items});
    let mut request = request(user("Count to 20."), more);
    request["response_format"] =
        json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
    request
}

/// A conversation of one message.
pub(crate) fn user(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

pub(crate) async fn send(server: SocketAddr, request: &Value) -> Response {
    let response = post(server, "/v1/chat/completions").json(request).send().await;
    response.expect("an answer")
}

/// The answer to a request that is right.
pub(crate) async fn complete(server: SocketAddr, request: &Value) -> Value {
    let response = send(server, request).await;
    let status = response.status();
    let answer: Value = response.json().await.expect("JSON");
    assert_eq!(status, 200, "{answer}");
    answer
}

/// The text of an answer.
pub(crate) fn text(answer: &Value) -> &str {
    answer["choices"][0]["message"]["content"].as_str().unwrap_or_default()
}

/// Status and error of an answer that is one.
pub(crate) async fn error(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/json");
    let mut body: Value = response.json().await.expect("JSON");
    let error = body["error"].take();
    assert_eq!(error["code"], status, "{error}");
    (status, error)
}

/// The chunks of a streamed answer, which must end as every stream does.
pub(crate) async fn stream(server: SocketAddr, request: &Value) -> Vec<Value> {
    let mut request = request.clone();
    request["stream"] = json!(true);
    let response = send(server, &request).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let body = response.text().await.expect("the whole stream");
    let (events, rest) = body.rsplit_once("\n\n").expect("an event");
    assert_eq!(rest, "");
    let mut chunks: Vec<_> = events
        .split("\n\n")
        .filter(|event| !event.starts_with(':'))
        .map(|event| event.strip_prefix("data: ").expect("data"))
        .collect();
    assert_eq!(chunks.pop(), Some("[DONE]"));
    chunks.into_iter().map(|chunk| serde_json::from_str(chunk).expect("JSON")).collect()
}

/// The message that the chunks of a stream add up to.
pub(crate) fn join(chunks: &[Value]) -> Value {
    let mut content = String::new();
    let mut reasoning = String::new();
    let mut calls: Vec<Value> = Vec::new();
    for chunk in chunks {
        let delta = &chunk["choices"][0]["delta"];
        content.push_str(delta["content"].as_str().unwrap_or_default());
        reasoning.push_str(delta["reasoning_content"].as_str().unwrap_or_default());
        for piece in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(piece["index"].as_u64().expect("an index")).expect("small");
            if index == calls.len() {
                let function = json!({"name": piece["function"]["name"], "arguments": ""});
                calls.push(json!({"id": piece["id"], "type": piece["type"], "function": function}));
            }
            let arguments = &mut calls[index]["function"]["arguments"];
            let piece = piece["function"]["arguments"].as_str().expect("arguments");
            *arguments = json!(format!("{}{piece}", arguments.as_str().expect("a string")));
        }
    }
    let content = if content.is_empty() && !calls.is_empty() { Value::Null } else { json!(content) };
    let mut message = json!({"role": "assistant", "content": content});
    if !reasoning.is_empty() {
        message["reasoning_content"] = json!(reasoning);
    }
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    message
}

/// A file of the model's evaluation cases.
pub(crate) fn eval(name: &str) -> Value {
    let path = eval_path(name);
    let json = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_str(&json).unwrap_or_else(|e| panic!("{path}: {e}"))
}

pub(crate) fn eval_path(name: &str) -> String {
    format!("{}/../models/tiny-gemma4/eval/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The cases in `known.json`, whose answers do not depend on rounding, and their tools.
pub(crate) fn known() -> (Vec<Value>, Value) {
    let mut known = eval("known.json");
    let tools = known["tools"].take();
    let Value::Array(cases) = known["cases"].take() else { panic!("known.json has cases") };
    (cases, tools)
}

/// The request of a case.
pub(crate) fn case_request(case: &Value, tools: &Value) -> Value {
    let mut request = request(case["messages"].clone(), json!({}));
    if case["tools"] == true {
        request["tools"] = tools.clone();
    }
    if !case["response_format"].is_null() {
        request["response_format"] = case["response_format"].clone();
    }
    request
}
