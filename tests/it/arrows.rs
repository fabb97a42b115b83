//! The direction of dependencies: core <- budget, store, http (<- coalesce) <- every middleware <- the facade, and no middleware on another.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Which of our own crates each published crate may depend on, normally. A crate that is missing here fails the test:
/// whoever adds one says where it stands.
const ALLOWED: &[(&str, &[&str])] = &[
    ("donjon-core", &[]),
    ("donjon-budget", &["donjon-core"]),
    ("donjon-http", &["donjon-core"]),
    ("donjon-store", &["donjon-core"]),
    ("donjon-coalesce", &["donjon-core", "donjon-http"]),
    ("donjon-cache", &["donjon-core", "donjon-budget", "donjon-coalesce", "donjon-store", "donjon-http"]),
    ("donjon-transport", &["donjon-core", "donjon-http"]),
    ("donjon-retry", &["donjon-core", "donjon-budget", "donjon-http"]),
    ("donjon-fallback", &["donjon-core", "donjon-http"]),
    ("donjon-breaker", &["donjon-core", "donjon-budget", "donjon-http"]),
    ("donjon-hedge", &["donjon-core", "donjon-budget", "donjon-http"]),
    ("donjon-timeout", &["donjon-core", "donjon-http"]),
    ("donjon-concurrency-limit", &["donjon-core", "donjon-http"]),
    ("donjon-per-key", &["donjon-core"]),
    ("donjon-rate-limit", &["donjon-core", "donjon-http"]),
    ("donjon-json", &["donjon-core", "donjon-http"]),
    ("donjon-fanout", &["donjon-core"]),
    ("donjon-test", &["donjon-core"]),
    (
        "donjon",
        &[
            "donjon-core",
            "donjon-budget",
            "donjon-http",
            "donjon-transport",
            "donjon-retry",
            "donjon-breaker",
            "donjon-fallback",
            "donjon-hedge",
            "donjon-timeout",
            "donjon-concurrency-limit",
            "donjon-cache",
            "donjon-coalesce",
            "donjon-json",
            "donjon-fanout",
            "donjon-store",
            "donjon-per-key",
            "donjon-rate-limit",
        ],
    ),
];

/// Crates whose types are an interface elsewhere, and which nothing published may depend on: the whole of tower where
/// its traits are enough, and runtimes other than tokio.
const FORBIDDEN: &[&str] = &["tower", "async-std", "smol", "futures", "openssl", "native-tls", "reqwest", "axum"];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .other_options(["--locked".to_owned(), "--offline".to_owned()])
        .exec()
        .expect("cargo metadata of this workspace")
}

fn published(metadata: &Metadata) -> Vec<&Package> {
    metadata.packages.iter().filter(|package| package.publish.as_ref().is_none_or(|to| !to.is_empty())).collect()
}

/// Every arrow that points the wrong way, in words.
fn wrong_arrows(packages: &[&Package]) -> Vec<String> {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        ALLOWED.iter().map(|(name, to)| (*name, to.iter().copied().collect())).collect();
    let mut wrong = Vec::new();
    for package in packages {
        let Some(allowed) = allowed.get(package.name.as_str()) else {
            wrong.push(format!("{} has no place among the arrows", package.name));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|it| it.kind != DependencyKind::Development) {
            let name = dependency.name.as_str();
            if name.starts_with("donjon") && !allowed.contains(name) {
                wrong.push(format!("{} -> {name}", package.name));
            }
            // The one adapter to a client of another crate, behind a feature that is off.
            let adapter = (package.name.as_str(), name) == ("donjon-transport", "reqwest") && dependency.optional;
            if FORBIDDEN.contains(&name) && !adapter {
                wrong.push(format!("{} -> {name}", package.name));
            }
        }
    }
    wrong
}

#[test]
fn no_arrow_points_the_wrong_way() {
    let metadata = metadata();
    let packages = published(&metadata);
    assert_eq!(packages.len(), ALLOWED.len(), "each published crate stands once among the arrows");
    assert_eq!(wrong_arrows(&packages), Vec::<String>::new());
}

#[test]
fn a_wrong_arrow_is_seen() {
    let metadata = metadata();
    let packages = published(&metadata);
    let mut core = (*packages.iter().find(|it| it.name.as_str() == "donjon-core").expect("the core is there")).clone();
    let retry = packages.iter().find(|it| it.name.as_str() == "donjon-retry").expect("the retry is there");
    let arrow = retry.dependencies.iter().find(|it| it.name == "donjon-budget").expect("retry needs the budget");
    core.dependencies.push(arrow.clone());
    assert_eq!(wrong_arrows(&[&core]), ["donjon-core -> donjon-budget"]);
}

#[test]
fn the_contract_kit_is_only_ever_a_development_dependency_without_a_version() {
    let metadata = metadata();
    for package in published(&metadata) {
        for dependency in package.dependencies.iter().filter(|it| it.name == "donjon-test") {
            assert_eq!(dependency.kind, DependencyKind::Development, "in {}", package.name);
            assert!(dependency.path.is_some(), "{} takes the kit by path", package.name);
            assert_eq!(dependency.req.to_string(), "*", "{} takes the kit without a version", package.name);
        }
    }
}

#[test]
fn folders_are_named_as_their_crates() {
    let metadata = metadata();
    for package in published(&metadata) {
        let folder = package.manifest_path.parent().and_then(|it| it.file_name());
        assert_eq!(folder, Some(package.name.as_str()));
        assert_eq!(package.rust_version.as_ref().map(ToString::to_string).as_deref(), Some("1.95.0"));
    }
}
