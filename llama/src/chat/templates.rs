use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::Arc;

use llama_sys as sys;
use serde_json::Value;

use super::{Chat, ChatSession};
use crate::{Error, Model, Result, shim};

/// The chat template of a model: how a conversation becomes a prompt, and a reply is read.
/// Clones are the same template.
#[derive(Clone)]
pub struct ChatTemplates(Arc<Inner>);

struct Inner {
    ptr: NonNull<sys::shim_templates>,
    model: Model,
}

// SAFETY: rendering reads the parsed template and changes nothing in it; upstream's server
// renders from several threads in the same way.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Drop for Inner {
    fn drop(&mut self) {
        // SAFETY: made by the shim, freed once.
        unsafe { sys::shim_templates_free(self.ptr.as_ptr()) };
    }
}

impl Model {
    /// The model's own chat template; a generic one (ChatML) if it has none.
    ///
    /// # Errors
    ///
    /// [`Error::Chat`] for a template that does not parse.
    pub fn chat_templates(&self) -> Result<ChatTemplates> {
        ChatTemplates::load(self, None)
    }

    /// A Jinja chat template of the caller's own, for this model.
    ///
    /// # Errors
    ///
    /// [`Error::Chat`] for a template that does not parse.
    pub fn chat_templates_from(&self, source: &str) -> Result<ChatTemplates> {
        ChatTemplates::load(self, Some(source))
    }
}

impl ChatTemplates {
    fn load(model: &Model, source: Option<&str>) -> Result<Self> {
        let source =
            source.map(CString::new).transpose().map_err(|_| Error::Nul { what: "the chat template" })?;
        let source = source.as_ref().map_or(std::ptr::null(), |s| s.as_ptr());
        let mut ptr = std::ptr::null_mut();
        // SAFETY: the model is alive and `source` is NULL or a C string that outlives the call.
        shim::call(|| unsafe { sys::shim_templates_new(model.as_ptr(), source, &mut ptr) })
            .map_err(Error::Chat)?;
        let ptr = NonNull::new(ptr).ok_or_else(|| Error::Chat("no template".into()))?;
        Ok(Self(Arc::new(Inner { ptr, model: model.clone() })))
    }

    pub(super) fn as_ptr(&self) -> *mut sys::shim_templates {
        self.0.ptr.as_ptr()
    }

    pub(super) fn model(&self) -> &Model {
        &self.0.model
    }

    /// Whether the model or the caller gave a template, or the generic one stands in.
    pub fn is_explicit(&self) -> bool {
        // SAFETY: the templates are alive.
        unsafe { sys::shim_templates_explicit(self.as_ptr()) }
    }

    /// Whether the template can turn thinking on and off.
    pub fn supports_thinking(&self) -> bool {
        // SAFETY: the templates are alive.
        unsafe { sys::shim_templates_supports_thinking(self.as_ptr()) }
    }

    /// The template's Jinja source.
    ///
    /// # Errors
    ///
    /// [`Error::Chat`] when memory does not suffice.
    pub fn source(&self) -> Result<String> {
        let mut out = sys::shim_string { data: std::ptr::null_mut(), len: 0 };
        // SAFETY: the templates are alive.
        shim::call(|| unsafe { sys::shim_templates_source(self.as_ptr(), &mut out) }).map_err(Error::Chat)?;
        // SAFETY: just written by the shim.
        Ok(unsafe { shim::take_string(out) })
    }

    /// What the template can express, as llama-server's `chat_template_caps`.
    ///
    /// # Errors
    ///
    /// [`Error::Chat`] when memory does not suffice.
    pub fn caps(&self) -> Result<Value> {
        let mut out = sys::shim_string { data: std::ptr::null_mut(), len: 0 };
        // SAFETY: the templates are alive.
        shim::call(|| unsafe { sys::shim_templates_caps(self.as_ptr(), &mut out) }).map_err(Error::Chat)?;
        // SAFETY: just written by the shim.
        let json = unsafe { shim::take_string(out) };
        serde_json::from_str(&json).map_err(|e| Error::Chat(e.to_string()))
    }

    /// Renders a conversation and gets ready to read the reply.
    ///
    /// # Errors
    ///
    /// [`Error::Chat`] for a conversation, tool or schema that the template cannot take.
    pub fn session(&self, chat: &Chat) -> Result<ChatSession> {
        ChatSession::new(self, chat)
    }
}

impl std::fmt::Debug for ChatTemplates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplates").field("model", &self.0.model).finish_non_exhaustive()
    }
}
