//! Settings: where they come from, and how they are written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::server::Stub;
use crate::support::{Outcome, Palomar, palomar};
use tempfile::TempDir;

/// A user with a home of his own, and a working directory.
struct User {
    home: TempDir,
}

impl User {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file below the home.
    fn with(self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn palomar(&self, words: &[&str]) -> Palomar {
        let home = self.home.path();
        fs::create_dir_all(home.join("work")).unwrap();
        palomar(words).variable("HOME", home.to_str().unwrap()).directory(&home.join("work"))
    }

    fn run(&self, words: &[&str]) -> Outcome {
        self.palomar(words).run()
    }

    fn get(&self, key: &str) -> String {
        let outcome = self.run(&["config", "get", key]);
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{key}");
        outcome.out
    }
}

const OURS: &str = ".config/palomar/config.yaml";
const HUBBLES: &str = ".config/hubble/config.yaml";

#[test]
fn every_setting_is_shown_with_its_default() {
    let user = User::new();
    let wanted = format!(
        "basic-auth-password: \"\"\nbasic-auth-username: \"\"\nconfig: {}\ndebug: false\nkube-context: \"\"\n\
         kube-namespace: kube-system\nkubeconfig: \"\"\nport-forward: false\nport-forward-port: 4245\n\
         request-timeout: 12s\nserver: localhost:4245\ntimeout: 5s\ntls: false\ntls-allow-insecure: false\n\
         tls-ca-cert-files: []\ntls-client-cert-file: \"\"\ntls-client-key-file: \"\"\ntls-server-name: \"\"\n",
        user.path(OURS).display()
    );
    let outcome = user.run(&["config", "view"]);
    assert_eq!((outcome.out.as_str(), outcome.err.as_str(), outcome.code), (wanted.as_str(), "", 0));
    assert_eq!(user.run(&["config", "get"]).out, wanted);
}

#[test]
fn a_setting_comes_from_the_first_place_that_has_it() {
    let files = [
        ("Hubble's file", ".hubble/config.yaml"),
        ("Hubble's usual file", HUBBLES),
        ("our file", ".palomar/config.yaml"),
        ("our usual file", OURS),
        ("the working directory's file", "work/config.yaml"),
    ];
    let mut user = User::new();
    for (at, (what, name)) in files.iter().enumerate() {
        user = user.with(name, &format!("server: host{at}:1\n"));
        assert_eq!(user.get("server"), format!("host{at}:1\n"), "{what}");
    }
    let get = |words: &[&str]| user.palomar(&[&["config", "get", "server"], words].concat());
    let hubbles = || get(&[]).variable("HUBBLE_SERVER", "hubble:1");
    assert_eq!(hubbles().run().out, "hubble:1\n", "Hubble's variable");
    assert_eq!(
        hubbles().variable("PALOMAR_SERVER", "").run().out,
        "hubble:1\n",
        "an empty one does not count"
    );
    assert_eq!(hubbles().variable("PALOMAR_SERVER", "ours:1").run().out, "ours:1\n", "our variable");
    let flag = get(&["--server", "flag:1"]).variable("PALOMAR_SERVER", "ours:1");
    assert_eq!(flag.run().out, "flag:1\n", "the flag");
}

#[test]
fn files_complete_each_other_and_a_named_one_stands_alone() {
    let user = User::new().with(HUBBLES, "server: hubble:1\ntimeout: 90s\n").with(OURS, "server: ours:1\n");
    let user = user.with("named.yaml", "debug: true\n");
    assert_eq!(user.get("server"), "ours:1\n");
    assert_eq!(user.get("timeout"), "1m30s\n");
    let named = user.path("named.yaml");
    let get = |key| user.palomar(&["config", "get", key]);
    for (what, command) in [
        ("a flag", user.palomar(&["config", "get", "server", "--config", named.to_str().unwrap()])),
        ("our variable", get("server").variable("PALOMAR_CONFIG", named.to_str().unwrap())),
        ("Hubble's variable", get("server").variable("HUBBLE_CONFIG", named.to_str().unwrap())),
    ] {
        assert_eq!(command.run().out, "localhost:4245\n", "{what}");
    }
    let home = user.path("else");
    fs::create_dir_all(home.join("palomar")).unwrap();
    fs::write(home.join("palomar/config.yaml"), "server: xdg:1\n").unwrap();
    assert_eq!(get("server").variable("XDG_CONFIG_HOME", home.to_str().unwrap()).run().out, "xdg:1\n");
}

#[tokio::test]
async fn a_server_and_filters_out_of_a_file_are_used() {
    let stub = Stub::default();
    let address = stub.serve();
    let text =
        format!("server: {address}\nallowlist:\n    - '{{\"verdict\":[\"DROPPED\"]}}'\n    - '{{}}'\n");
    let user = User::new().with(HUBBLES, &text);
    let outcome = user.palomar(&["observe"]).run_async().await;
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""));
    assert_eq!(stub.asked.lock().unwrap()[0].whitelist.len(), 2);
    let told = user.palomar(&["observe", "-D"]).run_async().await.err;
    assert!(told.contains("using a config file") && told.contains(HUBBLES), "{told}");
    // and what is printed can be given back
    let raw =
        user.palomar(&["observe", "--print-raw-filters", "--verdict", "FORWARDED"]).run_async().await.out;
    let path = user.path("printed.yaml");
    fs::write(&path, &raw).unwrap();
    let again = palomar(&["observe", "--print-raw-filters", "--config", path.to_str().unwrap()]);
    assert_eq!(again.run_async().await.out, raw);
}

#[test]
fn what_is_set_is_written_to_our_file() {
    let user = User::new().with(OURS, "# a remark\nother: {b: 1, a: [x]}\n");
    for (key, value) in [
        ("server", "tls://relay.example.org:443"),
        ("tls", "1"),
        ("timeout", "90s"),
        ("port-forward-port", "0"),
        ("tls-ca-cert-files", "/a.pem,/b.pem"),
        ("tls-server-name", "true"),
    ] {
        let outcome = user.run(&["config", "set", key, value]);
        assert_eq!((outcome.code, outcome.out.as_str(), outcome.err.as_str()), (0, "", ""), "{key}");
    }
    let wanted = "other:\n    a:\n        - x\n    b: 1\nport-forward-port: 0\nserver: tls://relay.example.org:443\n\
                  timeout: 1m30s\ntls: true\ntls-ca-cert-files:\n    - /a.pem\n    - /b.pem\ntls-server-name: \"true\"\n";
    assert_eq!(fs::read_to_string(user.path(OURS)).unwrap(), wanted);
    assert_eq!(user.get("tls-ca-cert-files"), "- /a.pem\n- /b.pem\n");
    assert_eq!(user.get("tls"), "true\n");
    assert!(user.run(&["config", "view"]).out.contains("other:\n    a:\n        - x\n    b: 1\n"));
}

#[test]
fn a_file_is_made_with_its_directory_for_its_owner_alone() {
    let user = User::new();
    assert_eq!(user.run(&["config", "set", "basic-auth-password", "secret"]).code, 0);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&user.path(OURS)), 0o600);
    let named = user.path("a/b/c.yaml");
    let set = ["config", "set", "debug", "true", "--config", named.to_str().unwrap()];
    assert_eq!(user.run(&set).code, 0);
    assert_eq!(fs::read_to_string(&named).unwrap(), "debug: true\n");
    fs::set_permissions(&named, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(user.run(&set).code, 0);
    assert_eq!(mode(&named), 0o640, "the mode of a file stays");
    let left: Vec<_> = fs::read_dir(named.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1, "no other file is left behind");
}

#[test]
fn a_reset_gives_the_default_again_also_over_hubbles_file() {
    let user = User::new().with(OURS, "server: ours:1\ntls: true\nmine: 1\n").with(HUBBLES, "tls: true\n");
    assert_eq!(user.run(&["config", "reset", "server"]).code, 0);
    assert_eq!(user.get("server"), "localhost:4245\n");
    assert_eq!(user.run(&["config", "set", "tls"]).code, 0, "no value: as reset");
    assert_eq!(user.get("tls"), "false\n");
    assert_eq!(user.run(&["config", "set", "debug", "true"]).code, 0);
    let all = user.run(&["config", "reset"]);
    assert_eq!((all.code, all.err.as_str()), (0, ""));
    assert_eq!(fs::read_to_string(user.path(OURS)).unwrap(), "mine: 1\ntls: false\n");
    let nothing = User::new();
    assert_eq!(nothing.run(&["config", "reset"]).code, 0);
    assert!(!nothing.path(OURS).exists(), "no file is made for nothing");
}

#[test]
fn what_cannot_be_set_is_told_and_changes_nothing() {
    let text = "tls: [true\n";
    let user = User::new().with("broken.yaml", text);
    let broken = user.path("broken.yaml");
    let shown = broken.display();
    let bool_error = "strconv.ParseBool: parsing \"yes\": invalid syntax";
    let table: [(&[&str], String); 9] = [
        (&["set", "nope", "1"], "unknown key: nope".to_owned()),
        (&["get", "nope"], "unknown key: nope".to_owned()),
        (&["reset", "nope"], "unknown key: nope".to_owned()),
        (&["set", "tls", "yes"], format!("cannot assign value=yes for key=tls, expected type=bool: {bool_error}")),
        (
            &["set", "timeout", "soon"],
            "cannot assign value=soon for key=timeout, expected type=duration: time: invalid duration \"soon\"".to_owned(),
        ),
        (
            &["set", "port-forward-port", "70000"],
            "cannot assign value=70000 for key=port-forward-port, expected type=uint16: strconv.ParseUint: parsing \
             \"70000\": value out of range"
                .to_owned(),
        ),
        (&["set"], "invalid arguments: set requires exactly 1 or 2 argument(s): got ''".to_owned()),
        (&["get", "a", "b"], "invalid arguments: get requires exactly 0 or 1 argument: got 'a b'".to_owned()),
        (&["reset", "a", "b"], "invalid arguments: reset requires exactly 0 or 1 argument: got 'a b'".to_owned()),
    ];
    for (words, wanted) in table {
        let outcome = user.run(&[&["config"], words].concat());
        assert_eq!((outcome.err.trim_end(), outcome.code), (wanted.as_str(), 1), "{words:?}");
    }
    let outcome = user.run(&["config", "set", "debug", "true", "--config", broken.to_str().unwrap()]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.contains(&format!("config file {shown} is left as it is: ")), "{}", outcome.err);
    assert_eq!(fs::read_to_string(&broken).unwrap(), text);
    let homeless = palomar(&["config", "set", "debug", "true"]).run();
    assert!(homeless.err.starts_with("config file undefined"), "{}", homeless.err);
}

#[test]
fn wrong_settings_are_told_with_their_place_and_files_that_cannot_be_read_are_left_out() {
    let user = User::new().with(OURS, "timeout: 5\n");
    let outcome = user.run(&["status"]);
    let wanted = format!(
        "invalid value \"5\" for timeout, from config file {}: time: missing unit in duration \"5\"\n",
        user.path(OURS).display()
    );
    assert_eq!((outcome.err.as_str(), outcome.code), (wanted.as_str(), 1));
    assert_eq!(user.run(&["config", "set", "timeout", "6s"]).code, 0, "and can be mended");
    let variable = user.palomar(&["status"]).variable("HUBBLE_TLS", "maybe").run();
    let wanted = "invalid value \"maybe\" for tls, from HUBBLE_TLS in the environment: strconv.ParseBool: parsing \
                  \"maybe\": invalid syntax\n";
    assert_eq!((variable.err.as_str(), variable.code), (wanted, 1));
    for (what, name, text) in [
        ("no YAML", "work/config.yaml", "server: [\n"),
        ("YAML of another kind", "work/config.yaml", "- a\n"),
        ("far too long", "work/config.yaml", &"#".repeat(2 << 20)),
    ] {
        let user = User::new().with(name, text);
        let outcome = user.run(&["config", "get", "server"]);
        assert_eq!((outcome.out.as_str(), outcome.code), ("localhost:4245\n", 0), "{what}");
        let err = outcome.err;
        assert!(
            err.contains("level=WARN") && err.contains("work/config.yaml") && err.lines().count() == 1,
            "{what}: {err}"
        );
    }
    let missing = user.run(&["config", "get", "server", "--config", "/nonexistent/x.yaml"]);
    assert_eq!((missing.out.as_str(), missing.code), ("localhost:4245\n", 0));
    assert!(missing.err.contains("there is no such config file"), "{}", missing.err);
}

#[test]
fn a_list_in_the_environment_has_spaces_or_commas_and_yes_is_a_text() {
    let user = User::new().with(OURS, "basic-auth-password: yes\nkube-context: off\n");
    for list in ["a.pem b.pem", "a.pem,b.pem", " a.pem,  b.pem "] {
        let palomar = user.palomar(&["config", "get", "tls-ca-cert-files"]);
        let outcome = palomar.variable("HUBBLE_TLS_CA_CERT_FILES", list).run();
        assert_eq!((outcome.out.as_str(), outcome.err.as_str()), ("- a.pem\n- b.pem\n", ""), "{list}");
    }
    assert_eq!(user.get("basic-auth-password").trim().trim_matches('"'), "yes");
    assert_eq!(user.get("kube-context").trim().trim_matches('"'), "off");
}
