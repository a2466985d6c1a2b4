//! Tool calls, there and back.

use serde_json::{Value, json};

use crate::client::{complete, known, request, shared, stream, text, user};

fn weather() -> Value {
    user("What is the weather in Paris?")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_put_into_words() {
    let (_, tools) = known();
    let more = json!({"tools": tools});
    let answer = complete(shared(), &request(weather(), more.clone())).await;
    let message = &answer["choices"][0]["message"];
    assert_eq!(message["content"], json!(null));
    let call = &message["tool_calls"][0];
    assert_eq!(call["type"], "function");
    assert_eq!(call["function"]["name"], "get_weather");

    let mut messages = weather();
    let history = messages.as_array_mut().expect("messages");
    history.push(message.clone());
    history.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "sunny, 21 degrees"}));
    let answer = complete(shared(), &request(messages, more)).await;
    assert_eq!(text(&answer), "The weather in Paris is sunny, 21 degrees.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_call_names_itself_once() {
    let (_, tools) = known();
    let chunks = stream(shared(), &request(weather(), json!({"tools": tools}))).await;
    let pieces: Vec<_> =
        chunks.iter().flat_map(|c| c["choices"][0]["delta"]["tool_calls"].as_array()).flatten().collect();
    let (first, rest) = pieces.split_first().expect("a call");
    assert!(first["id"].as_str().is_some_and(|id| !id.is_empty()));
    assert_eq!((&first["type"], &first["function"]["name"]), (&json!("function"), &json!("get_weather")));
    assert!(!rest.is_empty());
    for piece in rest {
        assert_eq!(piece["index"], 0);
        assert!(piece.get("id").is_none() && piece["function"].get("name").is_none(), "{piece}");
    }
    let last = chunks.last().expect("a finish");
    assert_eq!(last["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_call_is_made_to_the_tool_that_was_named() {
    let (_, tools) = known();
    let name = json!({"type": "function", "function": {"name": "list_dir"}});
    let more = json!({"tools": tools, "tool_choice": name, "max_tokens": 64});
    let answer = complete(shared(), &request(user("Run pwd"), more)).await;
    assert_eq!(answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "list_dir", "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_choice_nothing_is_called() {
    let (_, tools) = known();
    let more = json!({"tools": tools, "tool_choice": "none", "max_tokens": 64});
    let answer = complete(shared(), &request(weather(), more)).await;
    assert!(answer["choices"][0]["message"].get("tool_calls").is_none(), "{answer}");
    assert_ne!(answer["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_cut_short_is_not_one_to_make() {
    let (_, tools) = known();
    let prompt = user("Create the file hello.txt with the content: hello world");
    let answer = complete(shared(), &request(prompt, json!({"tools": tools, "max_tokens": 8}))).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert!(answer.get("x_llama").is_none(), "{answer}");
}
