//! The crate arrows of ARCHITECTURE.md, held against every Cargo.toml of the workspace: data flows one way.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeSet;
use std::path::Path;

/// Folder of a crate, and the crates of ours that it may use, by their names in `[workspace.dependencies]`.
/// `bench` measures everything and tests the whole, so it may use all.
const ARROWS: &[(&str, &[&str])] = &[
    ("shm-abi", &[]),
    ("engine/wire", &[]),
    ("engine/market", &["wire", "shm-abi"]),
    ("engine/journal", &["shm-abi"]),
    ("engine/reactor", &["wire", "market", "journal", "shm-abi"]),
    ("engine/venue", &["wire"]),
    ("gateway/core", &["shm-abi"]),
    ("gateway/server", &["gateway-core", "journal", "shm-abi"]),
    ("clients/rust", &["shm-abi"]),
    ("tuning", &["shm-abi", "ticklane-client", "journal"]),
    ("bench", &["wire", "market", "journal", "shm-abi", "venue", "gateway-core", "ticklane-client"]),
];

/// Crates that must stay pure: no socket, clock, thread or unsafe code.
const PURE: &[&str] = &["engine/wire", "engine/market", "gateway/core"];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn manifest(folder: &str) -> toml::Table {
    let path = root().join(folder).join("Cargo.toml");
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).parse().unwrap()
}

/// Dependencies of every kind: ordinary, build, dev, and those of targets.
fn dependencies(manifest: &toml::Table) -> BTreeSet<String> {
    let mut tables: Vec<&toml::Table> = vec![manifest];
    tables.extend(
        manifest.get("target").and_then(|t| t.as_table()).into_iter().flatten().filter_map(|(_, t)| t.as_table()),
    );
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let of = |table: &&toml::Table| {
        kinds.iter().filter_map(|kind| table.get(*kind)?.as_table()).flat_map(|t| t.keys().cloned()).collect::<Vec<_>>()
    };
    tables.iter().flat_map(of).collect()
}

#[test]
fn every_crate_uses_only_what_its_arrows_allow() {
    let workspace = manifest("");
    let ours: BTreeSet<String> = workspace["workspace"]["dependencies"]
        .as_table()
        .unwrap()
        .iter()
        .filter(|(_, value)| value.get("path").is_some())
        .map(|(name, _)| name.clone())
        .collect();
    let members: BTreeSet<&str> =
        workspace["workspace"]["members"].as_array().unwrap().iter().map(|m| m.as_str().unwrap()).collect();
    assert_eq!(members, ARROWS.iter().map(|(folder, _)| *folder).collect(), "members and arrows name the same crates");
    for (folder, allowed) in ARROWS {
        for name in dependencies(&manifest(folder)).intersection(&ours) {
            assert!(allowed.contains(&name.as_str()), "{folder} uses {name}; allowed: {allowed:?}");
        }
    }
}

/// `.rs` files below a folder.
fn sources(folder: &Path, out: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn pure_crates_forbid_unsafe_code_and_name_no_socket_clock_or_thread() {
    for folder in PURE {
        let source = root().join(folder).join("src");
        let lib = std::fs::read_to_string(source.join("lib.rs")).unwrap();
        assert!(lib.contains("#![forbid(unsafe_code)]"), "{folder} does not forbid unsafe code");
        let mut files = Vec::new();
        sources(&source, &mut files);
        assert!(!files.is_empty());
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            for word in ["std::net", "std::time::Instant", "SystemTime", "std::thread", "std::fs", "tokio", "glommio"] {
                // Tests read files and may use threads; what ships may not.
                let shipped = text.split("#[cfg(test)]").next().unwrap();
                let is_test = file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs");
                assert!(is_test || !shipped.contains(word), "{} names {word}", file.display());
            }
        }
    }
}

#[test]
fn glommio_is_named_in_one_module() {
    let mut files = Vec::new();
    sources(&root().join("engine/reactor/src"), &mut files);
    let is_rt = |file: &Path| file.ends_with("rt.rs") || file.parent().is_some_and(|folder| folder.ends_with("src/rt"));
    for file in files.iter().filter(|file| !is_rt(file)) {
        let text = std::fs::read_to_string(file).unwrap();
        let named = text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains("glommio::"));
        assert!(!named, "{} uses glommio", file.display());
    }
}

#[test]
fn nothing_is_pinned_to_a_git_branch() {
    let mut folders: Vec<&str> = ARROWS.iter().map(|(folder, _)| *folder).collect();
    folders.push("");
    for folder in folders {
        let text = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        assert!(!text.contains("git ="), "{folder}/Cargo.toml names a git repository");
    }
}
