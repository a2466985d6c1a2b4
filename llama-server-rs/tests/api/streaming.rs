//! A streamed answer is the same answer.

use serde_json::{Value, json};

use crate::client::{case_request, complete, join, known, request, shared, stream, user};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_adds_up_to_the_answer_in_one_piece() {
    let (cases, tools) = known();
    for case in cases.iter().step_by(5) {
        let request = case_request(case, &tools);
        let mut whole = complete(shared(), &request).await;
        let mut joined = join(&stream(shared(), &request).await);
        for message in [&mut whole["choices"][0]["message"], &mut joined] {
            for call in message["tool_calls"].as_array_mut().into_iter().flatten() {
                // Ids are random.
                assert!(call["id"].take().as_str().is_some_and(|id| !id.is_empty()));
            }
        }
        assert_eq!(joined, whole["choices"][0]["message"], "{}", case["id"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thoughts_stream_before_the_answer() {
    let mut thinking = request(user("ping"), json!({}));
    thinking["chat_template_kwargs"] = json!({});
    let chunks = stream(shared(), &thinking).await;
    let place = |field: &str| chunks.iter().position(|c| c["choices"][0]["delta"][field].is_string());
    assert!(place("reasoning_content").expect("thoughts") < place("content").expect("an answer"));
    assert_eq!(join(&chunks)["content"], "pong");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_have_openais_form() {
    let chunks = stream(shared(), &request(user("Hello"), json!({}))).await;
    let first = &chunks[0];
    assert_eq!(first["object"], "chat.completion.chunk");
    assert_eq!(first["model"], "tiny-gemma4");
    assert_eq!(first["choices"][0]["delta"], json!({"role": "assistant", "content": null}));
    assert!(chunks.iter().all(|chunk| chunk["id"] == first["id"]));
    assert!(chunks.iter().all(|chunk| chunk["choices"].as_array().is_some_and(|c| c.len() == 1)));

    let (last, before) = chunks.split_last().expect("chunks");
    assert!(before.iter().all(|chunk| chunk["choices"][0]["finish_reason"].is_null()));
    assert!(before.iter().all(|chunk| chunk["choices"][0].get("finish_reason").is_some()));
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(last["choices"][0]["delta"], json!({}));
    assert!(last["timings"]["predicted_n"].as_u64().is_some_and(|n| n > 0));
    assert!(before.iter().all(|chunk| chunk.get("timings").is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_comes_only_if_it_is_asked_for() {
    let usages = |chunks: &[Value]| chunks.iter().filter(|chunk| !chunk["usage"].is_null()).count();
    for options in [json!(null), json!({}), json!({"include_usage": false})] {
        let request = request(user("ping"), json!({"stream_options": options}));
        assert_eq!(usages(&stream(shared(), &request).await), 0);
    }

    let request = request(user("ping"), json!({"stream_options": {"include_usage": true}}));
    let chunks = stream(shared(), &request).await;
    assert_eq!(usages(&chunks), 1);
    let (last, before) = chunks.split_last().expect("chunks");
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"], last["timings"]["predicted_n"]);
    assert_eq!(before.last().expect("a finish")["choices"][0]["finish_reason"], "stop");
}

#[tokio::test(flavor = "multi_thread")]
async fn timings_come_with_each_step_if_asked_for() {
    let request = request(user("Count to 20."), json!({"timings_per_token": true}));
    let chunks = stream(shared(), &request).await;
    let counts: Vec<_> = chunks.iter().filter_map(|chunk| chunk["timings"]["predicted_n"].as_u64()).collect();
    assert!(counts.len() > 5 && counts.is_sorted(), "{counts:?}");
}
