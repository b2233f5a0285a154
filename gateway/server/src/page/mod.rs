//! The page at `/`: files that travel inside the program. Debug builds read them from `assets/` at each request.
//!
//! The page fetches nothing from elsewhere and its policy would not let it. Its data comes from `/ws/v1`, `/status` and
//! `/api/v1/instruments` of the host that served it.

use axum::Router;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};

/// What `/` answers with.
const INDEX: &str = "index.html";

/// `connect-src 'self'` covers the WebSocket of the same host and port too. There are no inline scripts or styles.
const POLICY: &str = "default-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Assets;

/// `/`, and `/assets/NAME` for each file. Names that do not exist are left to the fallback of the whole program.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let router = Router::new().route("/", get(|headers: HeaderMap| async move { serve(INDEX, &headers) }));
    Assets::iter().filter(|name| name != INDEX).fold(router, |router, name| {
        let path = format!("/assets/{name}");
        router.route(&path, get(move |headers: HeaderMap| async move { serve(&name, &headers) }))
    })
}

/// The file, or `304` to a client that has it already.
fn serve(name: &str, headers: &HeaderMap) -> Response {
    // Only a debug build can miss one: a file removed after the routes were made.
    let Some(file) = Assets::get(name) else { return StatusCode::NOT_FOUND.into_response() };
    let tag = tag(&file);
    let known = headers.get_all(IF_NONE_MATCH).iter().any(|value| names(value, &tag));
    let mut response = Response::new(Body::empty());
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let content_type = HeaderValue::from_str(&content_type(&file)).expect("media types are visible ASCII");
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        *response.body_mut() = Body::from(file.data);
    }
    let tag = HeaderValue::from_str(&tag).expect("hex digits and quotes are visible ASCII");
    response.headers_mut().insert(ETAG, tag);
    for (header, value) in [
        // Asked about at each load, answered with 304: a new version of the program is seen at once.
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(header, HeaderValue::from_static(value));
    }
    response
}

/// An entity tag: the first 16 bytes of the contents' SHA-256.
fn tag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let digits: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

fn content_type(file: &EmbeddedFile) -> String {
    let media_type = file.metadata.mimetype();
    if media_type.starts_with("text/") { format!("{media_type}; charset=utf-8") } else { media_type.into() }
}

/// Whether an `If-None-Match` names `tag`, by the weak comparison of RFC 9110, 13.1.2.
fn names(if_none_match: &HeaderValue, tag: &str) -> bool {
    let Ok(list) = if_none_match.to_str() else { return false };
    list.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn get(path: &str, if_none_match: Option<&str>) -> (StatusCode, HeaderMap, String) {
        let mut request = Request::builder().uri(path);
        if let Some(value) = if_none_match {
            request = request.header(IF_NONE_MATCH, value);
        }
        let response = routes().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn files_have_their_types_and_a_policy() {
        let table = [
            ("/", "text/html; charset=utf-8"),
            ("/assets/app.js", "text/javascript; charset=utf-8"),
            ("/assets/base.css", "text/css; charset=utf-8"),
            ("/assets/icon.svg", "image/svg+xml"),
        ];
        for (path, want) in table {
            let (status, headers, body) = get(path, None).await;
            assert_eq!((status, &headers[CONTENT_TYPE]), (StatusCode::OK, &HeaderValue::from_static(want)), "{path}");
            assert_eq!(headers[CONTENT_SECURITY_POLICY], POLICY, "{path}");
            assert!(!body.is_empty(), "{path}");
        }
        for path in ["/assets/", "/assets/none.js", "/assets/index.html", "/assets/..%2fCargo.toml", "/app.js"] {
            assert_eq!(get(path, None).await.0, StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[tokio::test]
    async fn a_client_that_has_the_file_gets_no_body() {
        let (_, headers, _) = get("/", None).await;
        let tag = headers[ETAG].to_str().unwrap();
        let other = "\"0\"";
        let table = [
            (tag.to_owned(), true),
            (format!("W/{tag}"), true),
            (format!("{other}, {tag}"), true),
            ("*".to_owned(), true),
            (other.to_owned(), false),
            (tag.trim_matches('"').to_owned(), false),
            (String::new(), false),
        ];
        for (value, known) in table {
            let (status, headers, body) = get("/", Some(&value)).await;
            assert_eq!((status == StatusCode::NOT_MODIFIED, body.is_empty()), (known, known), "case: {value}");
            assert_eq!(headers[ETAG], tag, "case: {value}");
        }
    }

    /// Everything that a file names is served, and nothing names another host.
    #[tokio::test]
    async fn the_page_needs_nothing_but_itself() {
        for name in Assets::iter() {
            let text = String::from_utf8(Assets::get(&name).unwrap().data.into_owned()).unwrap();
            let outside = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!outside.contains("http://") && !outside.contains("https://"), "{name} names another host");
            for part in text.split(['"', '\'']) {
                let path = match part.strip_prefix("./") {
                    Some(module) if module.ends_with(".js") => format!("/assets/{module}"),
                    _ if part.starts_with("/assets/") => part.to_owned(),
                    _ => continue,
                };
                assert_eq!(get(&path, None).await.0, StatusCode::OK, "{name} names {part}");
            }
        }
    }
}
