//! Many clients at once, and clients that go away.

use std::time::{Duration, Instant};

use llama_server_rs::Config;
use serde_json::json;

use crate::client::{complete, config, endless, error, post, request, send, serve, shared, text, user};

#[tokio::test(flavor = "multi_thread")]
async fn eight_clients_are_all_answered() {
    const QUESTIONS: [(&str, &str); 4] = [
        ("ping", "pong"),
        ("What is 2 + 2?", "2 + 2 = 4"),
        ("Reply with exactly: PONG-42", "PONG-42"),
        ("What is the capital of France?", "The capital of France is Paris."),
    ];
    let server = shared();
    let asked = QUESTIONS.iter().cycle().take(8).map(|(question, answer)| {
        tokio::spawn(async move {
            let reply = complete(server, &request(user(question), json!({}))).await;
            assert_eq!(text(&reply), *answer);
        })
    });
    for asked in asked.collect::<Vec<_>>() {
        asked.await.expect("an answer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_request_is_refused_while_another_runs() {
    let server = serve(config());
    let mut running = send(server, &endless(json!({"stream": true}))).await;
    running.chunk().await.expect("a chunk");
    let started = Instant::now();
    let (status, _) = error(send(server, &json!({"messages": []})).await).await;
    assert_eq!(status, 400);
    assert!(started.elapsed() < Duration::from_secs(5));
    running.chunk().await.expect("the stream goes on").expect("a chunk");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_frees_the_worker() {
    let server = serve(config());
    let mut leaving = send(server, &endless(json!({"stream": true}))).await;
    // The role and a piece of text: it is running.
    leaving.chunk().await.expect("a chunk");
    drop(leaving);
    let started = Instant::now();
    let answer = complete(server, &request(user("ping"), json!({}))).await;
    assert_eq!(text(&answer), "pong");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());

    // Without a stream, there is nothing but the connection to tell.
    let impatient = post(server, "/v1/chat/completions").json(&endless(json!({})));
    assert!(impatient.timeout(Duration::from_millis(500)).send().await.is_err());
    let started = Instant::now();
    let answer = complete(server, &request(user("ping"), json!({}))).await;
    assert_eq!(text(&answer), "pong");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_during_its_prompt_frees_the_worker() {
    let server = serve(config());
    let long = "one two three four five ".repeat(2000);
    let request_long = request(user(&long), json!({"stream": true}));
    // Headers come at once, before the prompt is read.
    let leaving = send(server, &request_long).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(leaving);
    let answer = complete(server, &request(user("ping"), json!({}))).await;
    assert_eq!(text(&answer), "pong");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_line_is_told_to_come_back() {
    let server = serve(Config { ctx_size: Some(8192), ..config() });
    let mut running = send(server, &endless(json!({"stream": true}))).await;
    running.chunk().await.expect("a chunk");
    // Headers of a stream come as soon as it is in the line.
    let mut waiting = Vec::new();
    let refused = loop {
        let response = send(server, &request(user("ping"), json!({"stream": true}))).await;
        if response.status() != 200 {
            break response;
        }
        waiting.push(response);
        assert!(waiting.len() <= 64);
    };
    assert_eq!(waiting.len(), 64);
    assert_eq!(refused.headers()["retry-after"], "1");
    let (status, error) = error(refused).await;
    assert_eq!((status, &error["type"]), (503, &json!("unavailable_error")));

    // Those who leave the line make room in it, and the rest is answered.
    waiting.truncate(2);
    let started = Instant::now();
    while post(server, "/v1/chat/completions")
        .json(&request(user("ping"), json!({"stream": true})))
        .send()
        .await
        .expect("an answer")
        .status()
        != 200
    {
        assert!(started.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(running);
    for response in waiting {
        assert!(response.text().await.expect("a whole stream").ends_with("data: [DONE]\n\n"));
    }
}
