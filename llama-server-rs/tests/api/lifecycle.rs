//! Loading, and shutting down.

use std::time::Duration;

use llama_server_rs::{Config, Server};
use serde_json::json;
use tokio::sync::oneshot;

use crate::client::{config, error, get, request, send, serve_until, user};

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_lets_the_running_request_finish_and_refuses_the_others() {
    let (shutdown, is_shutdown) = oneshot::channel();
    let server = serve_until(config(), async {
        is_shutdown.await.expect("the test says when");
    });
    let stream = |prompt| request(user(prompt), json!({"stream": true}));
    let mut running = send(server, &stream("Write a Rust function that adds two numbers.")).await;
    let first = running.chunk().await.expect("a chunk").expect("a chunk");
    let waiting = send(server, &stream("ping")).await;
    shutdown.send(()).expect("the server waits");

    let rest = running.text().await.expect("the rest of the stream");
    assert!(!first.is_empty() && rest.ends_with("data: [DONE]\n\n"), "{rest}");
    assert!(rest.contains("\"finish_reason\":\"stop\""), "{rest}");
    let refused = waiting.text().await.expect("a whole stream");
    assert!(refused.contains("the server is shutting down"), "{refused}");

    // The port is free again.
    tokio::time::timeout(Duration::from_secs(10), async {
        while get(server, "/health").send().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("the server stops");
}

/// Opening a pipe waits for somebody to write to it, so this model loads for ever.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn while_the_model_loads_every_path_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let pipe = dir.path().join("model.gguf");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success());
    let server = Server::bind(Config { model: Some(pipe), ..config() }).await.expect("a free port");
    let address = server.local_addr();
    let (shutdown, is_shutdown) = oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async {
        is_shutdown.await.expect("the test says when");
    }));

    for path in ["/health", "/v1/models", "/nowhere"] {
        let response = get(address, path).send().await.expect("an answer");
        assert_eq!(response.headers()["retry-after"], "1");
        let (status, error) = error(response).await;
        assert_eq!((status, &error["type"]), (503, &json!("unavailable_error")));
        assert_eq!(error["message"], "Loading model");
    }

    // It need not be waited for.
    shutdown.send(()).expect("the server waits");
    running.await.expect("no panic").expect("a clean end");
}
