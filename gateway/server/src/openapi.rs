//! The OpenAPI document, and Swagger UI over it: everything is served from this program, nothing from elsewhere.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr};
use utoipa_swagger_ui::{Config, Url};

use crate::rest::error::ErrorBody;

/// Where the document is.
pub(crate) const DOCUMENT_PATH: &str = "/api/v1/openapi.json";

/// Swagger UI sets styles from scripts and shows pictures that stand in its own files; nothing may come from elsewhere.
const DOCS_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                           object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ticklane gateway",
        description = "Market data as it stands now. Streams of it: WebSocket at `/ws/v1`.\n\n\
            Prices and quantities are JSON numbers with exact decimals (at most 9); read them as decimals. Stamps are \
            strings: ns since the UNIX epoch. `seq` is the number of an event in its lane's market ring: the same that \
            a strategy reads in shared memory and that WebSocket tells.\n\n\
            Every error has the form `ErrorBody`, also those of no operation: 404 `unknown_route`, and 405 \
            `method_not_allowed` with `Allow`. Every path takes GET and HEAD, none takes a body.",
    ),
    tags(
        (name = "data", description = "Instruments and their state."),
        (name = "state", description = "The gateway itself."),
    ),
    components(schemas(ErrorBody)),
)]
struct Base;

/// The document without its paths.
pub(crate) fn base() -> Document {
    Base::openapi()
}

/// The document with what every operation has.
pub(crate) fn finish(mut document: Document) -> Document {
    // Where the browser that shows it found it.
    document.servers = Some(vec![utoipa::openapi::Server::new("/")]);
    for item in document.paths.paths.values_mut() {
        let Some(operation) = &mut item.get else { continue };
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
        let response = ResponseBuilder::new()
            .description("`forbidden_host`: the Host header does not name this host")
            .content("application/json", content);
        operation.responses.responses.insert("403".into(), RefOr::T(response.build()));
    }
    document
}

/// Swagger UI at `/docs/`.
pub(crate) fn pages<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(async |uri: Uri| page(uri, "index.html").await))
        .route("/docs/{*file}", get(async |uri: Uri, Path(file): Path<String>| page(uri, &file).await))
}

async fn page(uri: Uri, file: &str) -> Response {
    static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
        Arc::new(Config::new([Url::from(DOCUMENT_PATH)]).validator_url("none").try_it_out_enabled(true))
    });
    let Ok(Some(file)) = utoipa_swagger_ui::serve(file, Arc::clone(&CONFIG)) else {
        return crate::rest::unknown_route(uri).await.into_response();
    };
    let mut response = file.bytes.into_owned().into_response();
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_str(&file.content_type).unwrap_or(HeaderValue::from_static("text/plain"));
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(DOCS_POLICY));
    // The files change with the program only, and are asked for anew by each visit of the page.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if file.gzpipped {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}
