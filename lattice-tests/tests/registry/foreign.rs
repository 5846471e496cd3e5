//! Images of tools that others wrote, and our image in their hands.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use lattice_tests::{Actor, Registry, Signer, free_address, get};
use serde_json::Value;
use tempfile::TempDir;

use crate::wash::Wash;

/// buildah and skopeo with a store of their own, speaking plain HTTP and asking for no signatures.
struct Tools {
    buildah: PathBuf,
    skopeo: PathBuf,
    dir: TempDir,
}

impl Tools {
    /// None when this machine lacks one of them, which is then said.
    fn find() -> Option<Self> {
        let buildah = lattice_tests::program("buildah")?;
        let skopeo = lattice_tests::program("skopeo")?;
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: String| fs::write(dir.path().join(name), text).expect("a file");
        write("policy.json", r#"{"default":[{"type":"insecureAcceptAnything"}]}"#.to_owned());
        let at = |name: &str| dir.path().join(name).display().to_string();
        write(
            "storage.conf",
            format!("[storage]\ndriver = \"vfs\"\nrunroot = \"{}\"\ngraphroot = \"{}\"\n", at("run"), at("graph")),
        );
        Some(Self { buildah, skopeo, dir })
    }

    fn run(&self, program: &Path, args: &[&str]) -> Vec<u8> {
        let mut command = Command::new(program);
        command.env("HOME", self.dir.path()).env("CONTAINERS_STORAGE_CONF", self.dir.path().join("storage.conf"));
        let output = command.args(args).current_dir(self.dir.path()).output().expect("an installed program runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {}: {stderr}", program.display(), args.join(" "));
        output.stdout
    }

    /// Builds a `FROM scratch` image around a wasm file and pushes it.
    fn build_and_push(&self, wasm: &Path, flags: &[&str], reference: &str) {
        fs::copy(wasm, self.dir.path().join("actor.wasm")).expect("a copy");
        let recipe = "FROM scratch\nCOPY actor.wasm /\nENTRYPOINT [\"/actor.wasm\"]\n";
        fs::write(self.dir.path().join("Containerfile"), recipe).expect("a file");
        let build = ["bud", "--signature-policy", "policy.json", "--isolation", "chroot", "-t", reference];
        self.run(&self.buildah, &[&build, flags, &["-f", "Containerfile", "."]].concat());
        self.run(&self.buildah, &["push", "--signature-policy", "policy.json", "--tls-verify=false", reference]);
    }

    fn skopeo(&self, args: &[&str]) -> Vec<u8> {
        self.run(&self.skopeo, &[&["--insecure-policy"], args].concat())
    }
}

/// Runs what is under a reference and asks it over HTTP.
async fn runs_as_an_actor(registry: &Registry, reference: &str) {
    let wash = Wash::new();
    let _host = wash.up("host", &["--allowed-insecure", &registry.authority()]).await;
    let started = wash.json(&["start", "actor", reference]);
    wash.json(&["start", "provider", "builtin://httpserver"]);
    let address = free_address();
    let actor = started["actor_id"].as_str().expect("the id of the actor");
    wash.json(&["link", "put", actor, "httpserver", "wasmcloud:httpserver", &format!("address={address}")]);
    assert!(!get(address, "/").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_buildah_built_are_pulled_and_run_as_actors() {
    let Some(tools) = Tools::find() else { return };
    let Some(registry) = Registry::start().await else { return };
    let (wash, signer) = (Wash::new(), Signer::default());
    let hello = signer.actor(Actor::Hello);
    for (name, flags) in [
        ("annotated", &["--annotation", "module.wasm.image/variant=compat-smart"][..]),
        ("bare", &[]),
        ("docker", &["--format", "docker"]),
    ] {
        let reference = registry.reference(&format!("acme/{name}:1"));
        tools.build_and_push(&hello.path, flags, &reference);
        wash.json(&["pull", &reference, "--insecure"]);
        assert!(
            wash.read(&format!("{name}.wasm")) == fs::read(&hello.path).expect("a signed actor"),
            "`{name}` does not give back the file that was put in"
        );
        runs_as_an_actor(&registry, &reference).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_wash_pushed_is_read_and_copied_by_skopeo() {
    let Some(tools) = Tools::find() else { return };
    let Some(registry) = Registry::start().await else { return };
    let (wash, signer) = (Wash::new(), Signer::default());
    let (hello, reference) = (signer.actor(Actor::Hello), registry.reference("acme/hello:1"));
    let pushed = wash.json(&["push", &reference, &hello.path.display().to_string(), "--image", "--insecure"]);

    let ours = format!("docker://{reference}");
    let shown: Value =
        serde_json::from_slice(&tools.skopeo(&["inspect", "--tls-verify=false", &ours])).expect("JSON of skopeo");
    assert_eq!((&shown["Digest"], &shown["Layers"].as_array().map(Vec::len)), (&pushed["digest"], &Some(1)));
    let config = tools.skopeo(&["inspect", "--config", "--tls-verify=false", &ours]);
    let config: Value = serde_json::from_slice(&config).expect("JSON of skopeo");
    let entrypoint = config["config"]["Entrypoint"][0].as_str().expect("an entrypoint");
    assert!(entrypoint.ends_with(".wasm"), "{config}");

    let copied = registry.reference("acme/copied:1");
    let flags = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    tools.skopeo(&[&["copy"], &flags[..], &[&ours, &format!("docker://{copied}")]].concat());
    wash.json(&["pull", &copied, "--insecure"]);
    assert!(wash.read("copied.wasm") == fs::read(&hello.path).expect("a signed actor"));
    tools.skopeo(&["copy", "--src-tls-verify=false", &ours, "dir:unpacked"]); // and it is complete
    runs_as_an_actor(&registry, &reference).await;
}
