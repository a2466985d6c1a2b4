//! Whatever is wrong, the answer is OpenAI's error body.

use std::net::SocketAddr;
use std::sync::OnceLock;

use llama_server_rs::Config;
use serde_json::{Value, json};

use crate::client::{config, error, get, post, request, send, serve, shared, user};

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_request() {
    let cases = [
        ("", "the body is not valid JSON"),
        ("{\"messages\": [", "the body is not valid JSON"),
        ("[1]", "the body: expected a JSON object"),
        ("{}", "messages: missing"),
        ("{\"messages\": []}", "messages: must not be empty"),
        ("{\"messages\": [{\"role\": \"user\"}], \"temperature\": \"hot\"}", "temperature: invalid type"),
        ("{\"messages\": [{\"role\": \"user\"}], \"top_p\": 2}", "top_p: must be from 0 to 1"),
        ("{\"messages\": [{\"role\": \"user\"}], \"n\": 3}", "n: only one choice"),
        ("{\"messages\": [{\"role\": \"user\"}], \"logprobs\": true}", "logprobs: not supported yet"),
        ("{\"messages\": [{\"role\": \"user\"}], \"stop\": {}}", "stop: invalid type"),
    ];
    for (body, start) in cases {
        let response = post(shared(), "/v1/chat/completions").body(body).send().await;
        let (status, error) = error(response.expect("an answer")).await;
        assert_eq!((status, &error["type"]), (400, &json!("invalid_request_error")), "{body}");
        let message = error["message"].as_str().expect("a message");
        assert!(message.starts_with(start), "{body}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_constraint_that_cannot_be() {
    let schema = json!({"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}});
    for constraint in [
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}),
        json!({"grammar": "root ::= nothing"}),
        json!({"grammar": "("}),
        json!({"logit_bias": {"4096": 1}}),
    ] {
        let response = send(shared(), &request(user("hi"), constraint.clone())).await;
        let (status, error) = error(response).await;
        assert_eq!((status, &error["type"]), (400, &json!("invalid_request_error")), "{constraint}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_not_there() {
    let response = get(shared(), "/v1/nothing").send().await.expect("an answer");
    let (status, error) = error(response).await;
    assert_eq!((status, &error["type"]), (404, &json!("not_found_error")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_a_path_does_not_take() {
    let response = get(shared(), "/v1/chat/completions").send().await.expect("an answer");
    assert_eq!(response.headers()["allow"], "POST");
    let (status, error) = error(response).await;
    assert_eq!((status, &error["type"]), (405, &json!("invalid_request_error")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large() {
    let body = vec![b' '; (64 << 20) + 1];
    let response = post(shared(), "/v1/chat/completions").body(body).send().await.expect("an answer");
    let (status, error) = error(response).await;
    assert_eq!((status, &error["type"]), (413, &json!("invalid_request_error")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_does_not_fit_says_by_how_much() {
    let server = serve(Config { ctx_size: Some(256), ..config() });
    let long = "one two three four five ".repeat(200);
    let (status, error) = error(send(server, &request(user(&long), json!({}))).await).await;
    assert_eq!((status, &error["type"]), (400, &json!("exceed_context_size_error")));
    assert_eq!(error["n_ctx"], 256);
    assert!(error["n_prompt_tokens"].as_u64().is_some_and(|n| n > 256));
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains("exceeds the available context size"), "{message}");
}

/// A server that asks for a key.
fn locked() -> SocketAddr {
    static LOCKED: OnceLock<SocketAddr> = OnceLock::new();
    *LOCKED.get_or_init(|| serve(Config { api_keys: ["one", "two"].into_iter().collect(), ..config() }))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_or_a_wrong_one() {
    let models = || get(locked(), "/v1/models");
    for wrong in [
        models(),
        models().bearer_auth("three"),
        models().header("x-api-key", "on"),
        get(locked(), "/nowhere"),
    ] {
        let response = wrong.send().await.expect("an answer");
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        let (status, error) = error(response).await;
        assert_eq!((status, &error["type"]), (401, &json!("authentication_error")));
    }
    for right in [models().bearer_auth("one"), models().header("X-Api-Key", "two"), get(locked(), "/health")]
    {
        assert_eq!(right.send().await.expect("an answer").status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_somebody_elses() {
    let health = |host: &str| get(shared(), "/health").header("host", host.to_owned());
    let response = health("evil.example:80").send().await.expect("an answer");
    let (status, error) = error(response).await;
    assert_eq!((status, &error["type"]), (403, &json!("permission_error")));
    for own in ["localhost", "localhost:1234", "127.0.0.1:1", "[::1]:1"] {
        assert_eq!(health(own).send().await.expect("an answer").status(), 200, "{own}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_get_no_permission() {
    let preflight = reqwest::Client::new()
        .request(reqwest::Method::OPTIONS, format!("http://{}/v1/chat/completions", shared()))
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST");
    let response = preflight.send().await.expect("an answer");
    assert!(!response.headers().keys().any(|name| name.as_str().starts_with("access-control-")));
    let answer: Value = response.json().await.expect("JSON");
    assert_eq!(answer["error"]["code"], 405);
}
