//! Where a reply ends that could go on.

use llama_server_rs::Config;
use serde_json::json;

use crate::client::{complete, config, endless, join, request, serve, shared, stream, text, user};

const ALPHABET: &str = "a b c d e f g h i j k l m n o p q r s t u v w x y z";

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_string_ends_the_reply_and_is_not_shown() {
    for stop in [json!("h i"), json!(["zzz", "h i", "k"]), json!([" h", "i j"])] {
        let request = request(user("Write the alphabet."), json!({"stop": stop}));
        let answer = complete(shared(), &request).await;
        assert_eq!(text(&answer).trim_end(), "a b c d e f g", "{stop}");
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
        let streamed = join(&stream(shared(), &request).await);
        assert_eq!(streamed, answer["choices"][0]["message"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_string_that_never_comes_changes_nothing() {
    let request = request(user("Write the alphabet."), json!({"stop": ["x y zz", "a c", ""]}));
    assert_eq!(text(&complete(shared(), &request).await), ALPHABET);
    assert_eq!(join(&stream(shared(), &request).await)["content"], ALPHABET);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_ends_the_reply_to_the_token() {
    let limits = [
        (json!({"max_tokens": 5}), 5),
        (json!({"max_completion_tokens": 7}), 7),
        (json!({"n_predict": 1}), 1),
        (json!({"max_tokens": 9, "max_completion_tokens": 3}), 3),
        (json!({"max_tokens": 0}), 0),
    ];
    for (limit, n) in limits {
        let answer = complete(shared(), &request(user("Write the alphabet."), limit)).await;
        assert_eq!(answer["choices"][0]["finish_reason"], "length", "{answer}");
        assert_eq!(answer["usage"]["completion_tokens"], n);
        assert!(ALPHABET.starts_with(text(&answer)), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_beyond_the_context_is_none() {
    for limit in [json!({"max_tokens": 1_000_000}), json!({"max_tokens": -1}), json!({"max_tokens": null})] {
        let answer = complete(shared(), &request(user("Write the alphabet."), limit)).await;
        assert_eq!(answer["choices"][0]["finish_reason"], "stop");
        assert_eq!(text(&answer), ALPHABET);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_context_ends_the_reply() {
    let server = serve(Config { ctx_size: Some(256), ..config() });
    let answer = complete(server, &endless(json!({}))).await;
    assert_eq!(answer["choices"][0]["finish_reason"], "length", "{answer}");
    assert_eq!(answer["usage"]["total_tokens"], 256);
    // And the next request finds the server in order.
    let answer = complete(server, &request(user("ping"), json!({}))).await;
    assert_eq!(text(&answer), "pong");
}
