//! The OpenAPI document says what is answered, no less and no more; its page asks nobody else.

use std::collections::BTreeSet;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::rest::error::ErrorCode;

/// What a future gives that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the future waits for something"),
    }
}

/// The document as it is served.
pub(super) fn of(router: &Router) -> Value {
    let request = Request::get("/api/v1/openapi.json").header("host", "localhost").body(Body::empty()).unwrap();
    let response = now(router.clone().oneshot(request)).unwrap();
    assert_eq!(
        (response.status(), &response.headers()["content-type"]),
        (StatusCode::OK, &"application/json".parse().unwrap())
    );
    serde_json::from_slice(&now(response.into_body().collect()).unwrap().to_bytes()).unwrap()
}

/// Panics unless the document has this path, this status, and a schema that the body fits.
pub(super) fn check(document: &Value, path: &str, status: StatusCode, headers: &HeaderMap, body: &Value) {
    let path = path.split('?').next().unwrap();
    let fits = |template: &str| {
        let (template, path): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), path.split('/').collect());
        template.len() == path.len()
            && template.iter().zip(&path).all(|(wanted, got)| wanted == got || wanted.starts_with('{'))
    };
    let paths = document["paths"].as_object().unwrap();
    let (_, item) =
        paths.iter().find(|(template, _)| fits(template)).unwrap_or_else(|| panic!("{path} is undocumented"));
    let response = &item["get"]["responses"][status.as_str()];
    assert!(response.is_object(), "{path}: {status} is undocumented");
    let content = response["content"].as_object().unwrap();
    let kind = headers["content-type"].to_str().unwrap();
    let content = content.get(kind).unwrap_or_else(|| panic!("{path}: {status}: {kind} is undocumented"));
    if kind == "application/json"
        && let Err(why) = validate(document, &content["schema"], body)
    {
        panic!("{path}: {status}: {why}: {body}");
    }
    if let Some(code) = body["error"]["code"].as_str() {
        let description = response["description"].as_str().unwrap();
        assert!(description.contains(&format!("`{code}`")), "{path}: {status}: {code} is undocumented");
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("a type of no schema: {other}"),
    }
}

/// As much of JSON Schema as the document uses. A property that is not in the schema is an error.
fn validate(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.strip_prefix("#/components/schemas/").expect("a reference to a component");
        let found = &document["components"]["schemas"][name];
        assert!(found.is_object(), "{name} is not in the document");
        return validate(document, found, value).map_err(|why| format!("{name}: {why}"));
    }
    if let Some(all) = schema["allOf"].as_array() {
        return all.iter().try_for_each(|one| validate(document, one, value));
    }
    if let Some(one_of) = schema["oneOf"].as_array() {
        let fits = one_of.iter().filter(|one| validate(document, one, value).is_ok()).count();
        return if fits == 1 { Ok(()) } else { Err(format!("{value} fits {fits} of {one_of:?}")) };
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().map(|kind| kind.as_str().unwrap()).collect(),
        other => return Err(format!("no type: {other} of {schema}")),
    };
    if !kinds.iter().any(|kind| is_of(kind, value)) {
        return Err(format!("{value} is none of {kinds:?}"));
    }
    if let Some(names) = schema["enum"].as_array()
        && !names.contains(value)
    {
        return Err(format!("{value} is none of {names:?}"));
    }
    match value {
        Value::Object(fields) => validate_object(document, schema, fields),
        Value::Array(items) => {
            let count = items.len() as u64;
            if count < schema["minItems"].as_u64().unwrap_or(0)
                || count > schema["maxItems"].as_u64().unwrap_or(u64::MAX)
            {
                return Err(format!("{count} items"));
            }
            let prefix = schema["prefixItems"].as_array().map(Vec::as_slice).unwrap_or_default();
            items.iter().enumerate().try_for_each(|(index, item)| {
                let schema = prefix.get(index).unwrap_or(&schema["items"]);
                validate(document, schema, item).map_err(|why| format!("[{index}]: {why}"))
            })
        }
        Value::String(text) if text.len() as u64 > schema["maxLength"].as_u64().unwrap_or(u64::MAX) => {
            Err(format!("{} bytes", text.len()))
        }
        _ => Ok(()),
    }
}

fn validate_object(document: &Value, schema: &Value, fields: &serde_json::Map<String, Value>) -> Result<(), String> {
    // An object of any kind.
    if schema.get("properties").is_none() && schema.get("additionalProperties").is_none() {
        return Ok(());
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if !fields.contains_key(name.as_str().unwrap()) {
            return Err(format!("{name} is missing"));
        }
    }
    fields.iter().try_for_each(|(name, value)| {
        let property = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
        let property = property.ok_or_else(|| format!("{name} is undocumented"))?;
        validate(document, property, value).map_err(|why| format!("{name}: {why}"))
    })
}

/// Every place in the document that the filter takes.
fn collect<'d>(value: &'d Value, takes: &dyn Fn(&'d Value) -> Option<&'d str>, found: &mut BTreeSet<&'d str>) {
    found.extend(takes(value));
    match value {
        Value::Object(fields) => fields.values().for_each(|value| collect(value, takes, found)),
        Value::Array(items) => items.iter().for_each(|value| collect(value, takes, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_document_has_every_route_and_every_error() {
    let document = Gateway::new(&["lane0"]).document;
    assert_eq!(document["openapi"], "3.1.0");
    let paths: Vec<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let want = [
        "/api/v1/depth/{symbol}",
        "/api/v1/instruments",
        "/api/v1/openapi.json",
        "/api/v1/quotes",
        "/api/v1/quotes/{symbol}",
        "/api/v1/trades",
        "/api/v1/trades/{symbol}",
        "/health",
        "/metrics",
        "/ready",
        "/status",
    ];
    assert_eq!(paths.iter().copied().collect::<BTreeSet<_>>(), BTreeSet::from(want));
    for path in &paths {
        let operation = &document["paths"][path]["get"];
        for status in ["200", "400", "403"] {
            assert!(operation["responses"][status].is_object(), "{path} {status}");
        }
        assert!(operation["operationId"].is_string() && operation["summary"].is_string(), "{path}");
    }
    let names: BTreeSet<&str> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
    let mut listed = BTreeSet::new();
    collect(&document["components"]["schemas"]["ErrorCode"], &|value| value.as_str(), &mut listed);
    assert!(names.is_subset(&listed), "{listed:?}");
    let mut references = BTreeSet::new();
    collect(&document, &|value| value.get("$ref").and_then(Value::as_str), &mut references);
    for reference in references {
        let name = reference.strip_prefix("#/components/schemas/").unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{reference} leads nowhere");
    }
}

#[tokio::test]
async fn examples_fit_their_schemas() {
    let document = Gateway::new(&["lane0"]).document;
    let mut examples = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (status, response) in item["get"]["responses"].as_object().unwrap() {
            let content = &response["content"]["application/json"];
            if let Some(example) = content.get("example") {
                examples += 1;
                if let Err(why) = validate(&document, &content["schema"], example) {
                    panic!("{path} {status}: {why}");
                }
            }
        }
    }
    assert_eq!(examples, 5);
}

#[test]
fn the_validator_refuses_what_does_not_fit() {
    let document = serde_json::json!({"components": {"schemas": {"A": {"type": "object", "required": ["n"],
        "properties": {"n": {"type": ["integer", "null"]}, "l": {"type": "array", "items": {"enum": ["x"], "type": "string"}}}}}}});
    let schema = serde_json::json!({"$ref": "#/components/schemas/A"});
    let table = [
        (r#"{"n":1}"#, true),
        (r#"{"n":null,"l":["x"]}"#, true),
        (r#"{"n":1.5}"#, false),
        (r#"{}"#, false),
        (r#"{"n":1,"m":1}"#, false),
        (r#"{"n":1,"l":["y"]}"#, false),
        (r#"[]"#, false),
    ];
    for (text, want) in table {
        let value = serde_json::from_str(text).unwrap();
        assert_eq!(validate(&document, &schema, &value).is_ok(), want, "case: {text}");
    }
}

#[tokio::test]
async fn the_page_is_whole_and_asks_nobody_else() {
    let gateway = Gateway::new(&["lane0"]);
    let get = async |path: &str| {
        gateway.request(Request::get(path).header("host", "localhost").body(Body::empty()).unwrap()).await
    };
    let moved = get("/docs").await;
    assert_eq!((moved.status.as_u16(), moved.header("location")), (308, "/docs/"));
    let page = get("/docs/").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html"));
    assert!(page.header("content-security-policy").starts_with("default-src 'self'; "));
    // Everything that the page names is served from here.
    let mut files = 0;
    for part in page.text.split(['"', '\'']).filter(|part| part.starts_with("./") || part.contains(".css")) {
        let file = get(&format!("/docs/{}", part.trim_start_matches("./"))).await;
        assert_eq!(file.status, 200, "{part}");
        files += 1;
    }
    assert!(files >= 4, "{files} files in\n{}", page.text);
    assert!(!page.text.contains("://"), "the page names another place:\n{}", page.text);
    assert!(!page.text.contains("<script>"), "the policy forbids scripts in the page:\n{}", page.text);
    let start = get("/docs/swagger-initializer.js").await.text;
    assert!(start.contains("/api/v1/openapi.json") && start.contains(r#""validatorUrl": "none""#), "{start}");
    assert!(!start.contains("://"), "{start}");
}
