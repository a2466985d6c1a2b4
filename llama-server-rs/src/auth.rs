//! Who may ask: checks of the API key and of the Host header.

use std::net::Ipv4Addr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use subtle::{Choice, ConstantTimeEq};

use crate::app::App;
use crate::config::ApiKeys;
use crate::error::ApiError;

/// Paths that answer without a key, so that a supervisor needs none.
const PUBLIC: [&str; 2] = ["/health", "/v1/health"];

/// Lets requests pass that present one of the keys, if there are any.
pub(crate) async fn require_key(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if !PUBLIC.contains(&request.uri().path()) && !presents_key(request.headers(), &app.api_keys) {
        return Err(ApiError::wrong_key());
    }
    Ok(next.run(request).await)
}

fn presents_key(headers: &HeaderMap, keys: &ApiKeys) -> bool {
    if keys.is_empty() {
        return true;
    }
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    let x_api_key = headers.get("x-api-key").and_then(|value| value.to_str().ok());
    [bearer, x_api_key].into_iter().flatten().any(|presented| {
        // Every key is compared to its end, so that the time tells nothing about any.
        let matches = keys
            .iter()
            .fold(Choice::from(0), |found, key| found | key.as_bytes().ct_eq(presented.as_bytes()));
        bool::from(matches)
    })
}

/// On a loopback address, lets requests pass that were sent to this machine by its own name. A
/// page in a browser can point a name of its own at 127.0.0.1, and would then be of the same
/// origin as this server (DNS rebinding); its name shows in the Host header.
pub(crate) async fn require_own_host(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if let Some(own) = &app.loopback_host {
        // Browsers always send a Host header, and send one.
        let host = request.headers().get(header::HOST);
        if host.is_some_and(|host| !host.to_str().is_ok_and(|host| is_own_host(host, own))) {
            return Err(ApiError::foreign_host());
        }
    }
    Ok(next.run(request).await)
}

/// Whether a Host header names a loopback address or `own`, with any port.
fn is_own_host(host: &str, own: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    name == "[::1]"
        || name.eq_ignore_ascii_case("localhost")
        || name.eq_ignore_ascii_case(own)
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn presents(name: &'static str, value: &'static str) -> bool {
        let keys = ["first", "second"].into_iter().collect();
        let headers =
            HeaderMap::from_iter([(name.parse().expect("a header name"), HeaderValue::from_static(value))]);
        presents_key(&headers, &keys)
    }

    #[test]
    fn a_key_comes_as_bearer_or_by_itself() {
        assert!(presents("authorization", "Bearer second"));
        assert!(presents("authorization", "bearer first"));
        assert!(presents("x-api-key", "first"));
    }

    #[test]
    fn anything_else_is_no_key() {
        assert!(!presents("authorization", "Bearer firs"));
        assert!(!presents("authorization", "Bearer firstx"));
        assert!(!presents("authorization", "Basic first"));
        assert!(!presents("authorization", "first"));
        assert!(!presents("x-api-key", ""));
        assert!(!presents("x-other", "first"));
    }

    #[test]
    fn without_keys_everybody_may_ask() {
        assert!(presents_key(&HeaderMap::new(), &ApiKeys::default()));
    }

    #[test]
    fn own_hosts_have_any_port() {
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1:8080", "127.9.9.9", "[::1]", "[::1]:80", "box:1"]
        {
            assert!(is_own_host(host, "box"), "{host}");
        }
    }

    #[test]
    fn other_hosts_are_foreign() {
        for host in
            ["example.com", "localhost.example.com:80", "127.0.0.1.example.com", "10.0.0.1", "", ":80"]
        {
            assert!(!is_own_host(host, "box"), "{host}");
        }
    }
}
