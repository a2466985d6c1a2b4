//! Pictures in messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::{complete, error, eval, eval_path, request, send, shared, text};

fn ask(url: &str, question: &str) -> Value {
    let content = json!([
        {"type": "image_url", "image_url": {"url": url, "detail": "auto"}},
        {"type": "text", "text": question},
    ]);
    request(json!([{"role": "user", "content": content}]), json!({}))
}

fn data_uri(file: &str) -> String {
    let bytes = std::fs::read(eval_path(file)).expect("an image");
    format!("data:image/png;base64,{}", STANDARD.encode(bytes))
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_described() {
    let images = eval("images.json");
    let images = images.as_array().expect("images").iter().take(4);
    for image in images {
        let url = data_uri(image["file"].as_str().expect("a name"));
        for qa in image["qa"].as_array().into_iter().flatten().filter(|qa| qa["reference_ok"] == true) {
            let answer = complete(shared(), &ask(&url, qa["question"].as_str().expect("a question"))).await;
            assert_eq!(text(&answer).trim(), qa["answer"], "{}: {}", image["file"], qa["question"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_image_is_refused() {
    let text = STANDARD.encode("not a picture");
    let cases = [
        (format!("data:image/png;base64,{text}"), "not a PNG"),
        ("https://example.com/cat.png".to_owned(), "fetches no URLs"),
        ("file:///etc/passwd".to_owned(), "fetches no URLs"),
        ("data:image/png;base64,?".to_owned(), "not valid base64"),
    ];
    for (url, reason) in cases {
        let (status, error) = error(send(shared(), &ask(&url, "What is in the image?")).await).await;
        let message = error["message"].as_str().expect("a message");
        assert_eq!((status, &error["type"]), (400, &json!("invalid_request_error")), "{error}");
        assert!(message.starts_with("messages[0].content[0].image_url.url: "), "{message}");
        assert!(message.contains(reason), "{message}");
    }
}
