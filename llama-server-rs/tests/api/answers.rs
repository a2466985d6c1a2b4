//! What the model says comes back as it was said.

use serde_json::{Value, json};

use crate::client::{case_request, complete, get, known, request, shared, text, user};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_openais_form() {
    let server = shared();
    let answer = complete(server, &request(user("Hello"), json!({}))).await;
    assert_eq!(answer["object"], "chat.completion");
    assert!(answer["id"].as_str().is_some_and(|id| id.starts_with("chatcmpl-")));
    assert!(answer["created"].as_u64().is_some_and(|time| time > 1_700_000_000));
    assert_eq!(answer["model"], "tiny-gemma4");
    assert!(answer["system_fingerprint"].as_str().is_some_and(|build| build.starts_with('b')));
    let expected = json!([{
        "index": 0,
        "message": {"role": "assistant", "content": "Hello! How can I help you?"},
        "finish_reason": "stop",
    }]);
    assert_eq!(answer["choices"], expected);

    let usage = &answer["usage"];
    let count = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(
        count(&usage["total_tokens"]),
        count(&usage["prompt_tokens"]) + count(&usage["completion_tokens"])
    );
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], answer["timings"]["cache_n"]);
    let timings = &answer["timings"];
    assert_eq!(timings["predicted_n"], usage["completion_tokens"]);
    assert_eq!(count(&timings["prompt_n"]) + count(&timings["cache_n"]), count(&usage["prompt_tokens"]));
    for field in ["prompt_ms", "prompt_per_token_ms", "prompt_per_second", "predicted_ms"] {
        assert!(timings[field].as_f64().is_some_and(|number| number > 0.0), "{field}: {timings}");
    }

    let again = complete(server, &request(user("Hello"), json!({}))).await;
    assert_ne!(answer["id"], again["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn known_cases_are_answered_right() {
    let (cases, tools) = known();
    let (mut drafted, mut accepted) = (0, 0);
    for case in &cases {
        let answer = complete(shared(), &case_request(case, &tools)).await;
        check(case, &answer);
        if case["kind"] == "code" {
            drafted += answer["timings"]["draft_n"].as_u64().expect("drafts");
            accepted += answer["timings"]["draft_n_accepted"].as_u64().expect("drafts");
        }
    }
    assert!(drafted > 0 && accepted * 10 >= drafted * 8, "{accepted} of {drafted} drafts accepted");
}

fn check(case: &Value, answer: &Value) {
    let id = &case["id"];
    let choice = &answer["choices"][0];
    let message = &choice["message"];
    if case["expect_call"].is_null() {
        assert_eq!(choice["finish_reason"], "stop", "{id}: {answer}");
        match &case["expect"] {
            Value::String(expected) => assert_eq!(text(answer).trim(), expected, "{id}"),
            expected => {
                let json: Value = serde_json::from_str(text(answer)).expect("JSON");
                assert_eq!(&json, expected, "{id}");
            }
        }
        return;
    }
    assert_eq!(choice["finish_reason"], "tool_calls", "{id}: {answer}");
    assert_eq!(message["tool_calls"].as_array().map(Vec::len), Some(1), "{id}: {answer}");
    let function = &message["tool_calls"][0]["function"];
    assert_eq!(function["name"], case["expect_call"]["name"], "{id}");
    let arguments = function["arguments"].as_str().expect("JSON in a string");
    let arguments: Value = serde_json::from_str(arguments).expect("JSON");
    assert_eq!(arguments, case["expect_call"]["arguments"], "{id}");
}

#[tokio::test(flavor = "multi_thread")]
async fn thoughts_come_apart_from_the_answer() {
    let mut thinking = request(user("What is 2 + 2?"), json!({}));
    thinking["chat_template_kwargs"] = json!(null);
    let answer = complete(shared(), &thinking).await;
    let message = &answer["choices"][0]["message"];
    assert!(message["reasoning_content"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
    assert_eq!(text(&answer), "2 + 2 = 4");

    thinking["reasoning_effort"] = json!("none");
    let answer = complete(shared(), &thinking).await;
    assert!(answer["choices"][0]["message"].get("reasoning_content").is_none(), "{answer}");
    assert_eq!(text(&answer), "2 + 2 = 4");
}

#[tokio::test(flavor = "multi_thread")]
async fn content_may_come_in_parts_and_from_a_developer() {
    let parts =
        json!([{"type": "text", "text": "What is the capital "}, {"type": "text", "text": "of France?"}]);
    let messages = json!([
        {"role": "developer", "content": "You are a helpful assistant."},
        {"role": "user", "content": parts},
    ]);
    let answer = complete(shared(), &request(messages, json!({}))).await;
    assert!(text(&answer).contains("Paris"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_enforced() {
    let schema = json!({
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": false,
    });
    let format = json!({"type": "json_schema", "json_schema": {"name": "person", "schema": schema}});
    let prompt = user("Return a JSON object with name Alice and age 30.");
    let answer = complete(shared(), &request(prompt, json!({"response_format": format}))).await;
    let person: Value = serde_json::from_str(text(&answer)).expect("JSON and nothing else");
    assert_eq!(person, json!({"name": "Alice", "age": 30}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grammar_is_enforced() {
    let more = json!({"grammar": "root ::= \"yes\" | \"no\""});
    let answer = complete(shared(), &request(user("Hello"), more)).await;
    assert!(["yes", "no"].contains(&text(&answer)), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_makes_chance_repeatable() {
    let drawn = |seed: u32| {
        let more =
            json!({"temperature": 1.5, "top_k": 0, "top_p": 1, "min_p": 0, "seed": seed, "max_tokens": 24});
        async move { complete(shared(), &request(user("Tell me a story."), more)).await }
    };
    let (a, b, c) = (drawn(1).await, drawn(1).await, drawn(2).await);
    assert_eq!(text(&a), text(&b));
    assert_ne!(text(&a), text(&c));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_penalty_counts_the_prompt() {
    let echo = |penalty: f32| {
        let more = json!({"frequency_penalty": penalty, "repeat_last_n": -1, "max_tokens": 16});
        async move { complete(shared(), &request(user("Echo: hello world"), more)).await }
    };
    assert_eq!(text(&echo(0.0).await), "hello world");
    assert!(!text(&echo(100.0).await).contains("hello world"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_describes_itself() {
    for path in ["/v1/models", "/models"] {
        let models: Value = get(shared(), path).send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!(models["object"], "list");
        let model = &models["data"][0];
        assert_eq!((&model["id"], &model["object"]), (&json!("tiny-gemma4"), &json!("model")));
        assert_eq!(model["architecture"]["input_modalities"], json!(["text", "image"]));
        let meta = json!({
            "n_vocab": 4096, "n_ctx": 16384, "n_ctx_train": 16384, "n_embd": 256,
            "n_params": model["meta"]["n_params"], "size": model["meta"]["size"],
        });
        assert_eq!(model["meta"], meta);
        assert!(model["meta"]["n_params"].as_u64().is_some_and(|n| n > 9_000_000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_ok() {
    for path in ["/health", "/v1/health"] {
        let health: Value = get(shared(), path).send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!(health, json!({"status": "ok"}));
    }
}
