//! What the model says of pictures.

use llama::{Chat, Image, Message, Sampler};
use llama_workspace::{Trio, generate, image_cases, tiny};

#[test]
fn answers_about_images_match() {
    let trio = Trio::shared().unwrap();
    let templates = trio.model.chat_templates().unwrap();
    let mut spec = trio.speculative(3).unwrap();
    let (mut n, mut n_right) = (0, 0);
    for case in image_cases() {
        let bytes = std::fs::read(tiny("eval").join(&case.file)).unwrap();
        let image = Image::decode(&bytes).unwrap();
        for question in case.questions.iter().filter(|q| q.reference_ok) {
            let message = Message::new(llama::Role::User).image(image.clone()).text(&question.text);
            let session = templates.session(&Chat::new().message(message).thinking(false)).unwrap();
            let mut sampler = Sampler::builder().greedy().build_for(&trio.model, &session).unwrap();
            let reply = generate(&mut spec, &mut sampler, session, Some(&trio.projector), 100).unwrap();
            let right = reply.content.trim() == question.answer;
            if !right {
                println!("{}: {}\n  {:?}\n  {:?}", case.file, question.text, reply.content, question.answer);
            }
            n += 1;
            n_right += u32::from(right);
        }
    }
    println!("{n_right} of {n} answers");
    assert!(n >= 50, "only {n} questions");
    assert!(f64::from(n_right) >= 0.9 * f64::from(n), "{n_right} of {n}");
}

#[test]
fn drafts_are_accepted_after_an_image() {
    let trio = Trio::shared().unwrap();
    let templates = trio.model.chat_templates().unwrap();
    let mut spec = trio.speculative(3).unwrap();
    let image = Image::decode(&std::fs::read(tiny("eval/img00.png")).unwrap()).unwrap();
    let message = Message::new(llama::Role::User).image(image).text("What is in the image?");
    let session = templates.session(&Chat::new().message(message).thinking(false)).unwrap();
    let mut sampler = Sampler::builder().greedy().build_for(&trio.model, &session).unwrap();
    let reply = generate(&mut spec, &mut sampler, session, Some(&trio.projector), 100).unwrap();
    assert_eq!(reply.content, "A window titled Files with a cyan Cancel button.");
    assert!(spec.stats().n_accepted * 2 > spec.stats().n_drafted, "{:?}", spec.stats());
}
