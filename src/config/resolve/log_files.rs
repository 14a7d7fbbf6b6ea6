use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::node::{Kind, Node};
use crate::config::spec::AccessSink;
use crate::config::{Config, KeyPath};
use crate::types::BindAddr;

use super::Resolver;
use super::listeners::Taken;

/// The keys by which a configuration names files that are read: secrets, certificates and keys, pages, lists. Those of filters
/// too, which nobody knows here but by them.
const READ: [&str; 9] = ["file", "cert", "key", "ca", "ocsp", "html", "json", "text", "rules"];

impl Resolver<'_> {
    /// Makes sure that each log is a file of its own: lines are appended to whatever is there.
    pub(super) fn check_log_files(&mut self, config: &Config, taken: &Taken) {
        if !matches!(config.access_log.to, AccessSink::File(_)) && config.audit_log().is_none() {
            return;
        }
        let mut rivals = self.rivals(config, taken);
        if let AccessSink::File(path) = &config.access_log.to {
            let at = KeyPath::default().child("log").child("access").child("to");
            if let Some(what) = rival_of(path, &rivals) {
                self.refuse_log_file(&at, path, &what, "access");
            }
            rivals.push(("the access log, by `log.access.to`".to_owned(), path.clone()));
        }
        if let Some(path) = config.audit_log() {
            let at = KeyPath::default().child("admin").child("audit_log");
            // Unlike the access log it goes through no pipe.
            let is_strange = || path.metadata().is_ok_and(|found| !found.is_file());
            let what = rival_of(path, &rivals).or_else(|| is_strange().then(|| "no regular file".to_owned()));
            if let Some(what) = what {
                self.refuse_log_file(&at, path, &what, "audit");
            }
        }
    }

    fn refuse_log_file(&mut self, at: &KeyPath, path: &Path, what: &str, name: &str) {
        self.error(at, format_args!("`{}` is {what}", path.display())).help(format_args!(
            "name a file of its own, like /var/log/evener/{name}.log: lines are appended to it"
        ));
    }

    /// What else is at which path.
    fn rivals(&self, config: &Config, taken: &Taken) -> Vec<(String, PathBuf)> {
        let rival = |what: &str, path: &Path| (what.to_owned(), path.to_owned());
        let mut rivals = vec![
            rival("the configuration itself", Path::new(self.source.file())),
            rival("the file of `server.secret_file`", &config.secret_file),
        ];
        let included = self.source.documents().iter().filter_map(|document| document.file.as_deref());
        rivals.extend(included.map(|file| rival("a file that the configuration includes", Path::new(file))));
        if let Some(place) = &config.control_socket {
            rivals.push(rival("the control socket, by `server.control_socket`", &place.path));
        }
        rivals.extend(taken.iter().filter_map(|(bind, _, owner)| match bind {
            BindAddr::Unix(path) => Some((format!("the socket of `{owner}`"), path.clone())),
            BindAddr::Inet(_) => None,
        }));
        let mut read = Vec::new();
        find_read(self.source.root(), &KeyPath::default(), false, &mut read);
        rivals.extend(
            read.into_iter().map(|(at, path)| (format!("the file that `{at}` names"), self.base.join(path))),
        );
        rivals
    }
}

/// Finds what is named as a file to be read, and where.
fn find_read<'n>(node: &'n Node, at: &KeyPath, is_file: bool, found: &mut Vec<(KeyPath, &'n Path)>) {
    match node {
        Node::Scalar(scalar) if is_file && scalar.kind == Kind::Text => {
            found.push((at.clone(), Path::new(&scalar.text)));
        }
        Node::List(items) => {
            for (index, item) in items.iter().enumerate() {
                find_read(item, &at.index(index), is_file, found);
            }
        }
        Node::Map(entries) => {
            for (key, value) in entries {
                find_read(value, &at.child(key.as_str()), READ.contains(&key.as_str()), found);
            }
        }
        Node::Scalar(_) | Node::Removed => {}
    }
}

fn rival_of(path: &Path, rivals: &[(String, PathBuf)]) -> Option<String> {
    rivals.iter().find(|(_, rival)| is_same(path, rival)).map(|(what, _)| what.clone())
}

/// Whether both lead to one file, by whatever links, or would if it were there.
fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| path.metadata().map(|found| (found.dev(), found.ino())).ok();
    match (identity(one), identity(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => real(one) == real(other),
        _ => false,
    }
}

/// The path of what is not there yet, with its folder behind all links.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    folder.zip(path.file_name()).map_or_else(|| path.clone(), |(folder, name)| folder.join(name))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use crate::config::Origin;

    /// What is wrong with a configuration that has these logs, beside a folder with links to what it names.
    fn problems(access_log: &str, audit_log: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("conf.d")).unwrap();
        fs::create_dir(path("run")).unwrap();
        fs::write(path("conf.d/more.yaml"), "pools: { app: { endpoints: [10.0.0.1:80, 10.0.0.2:80] } }\n")
            .unwrap();
        let text = format!(
            "include: conf.d/*.yaml
listeners:
  web: {{ bind: 127.0.0.1:0 }}
  local: {{ bind: 'unix:run/web.sock' }}
  tls: {{ bind: 127.0.0.1:0, tls: {{ certificates: [{{ cert: cert.pem, key: key.pem }}] }} }}
routes: [{{ pool: app, filters: [{{ api_key: {{ file: keys.txt }} }}, {{ waf: {{ rules: [rules.conf] }} }}] }}]
log: {{ access: {{ to: {access_log} }} }}
admin:
  bind: 127.0.0.1:0
  audit_log: {audit_log}
  tokens: {{ deploy: {{ token: {{ file: token }}, scope: operate }} }}
"
        );
        fs::write(path("edge.yaml"), text).unwrap();
        fs::write(path("token"), "0123456789abcdef0123456789abcdef").unwrap();
        fs::write(path("cert.pem"), "").unwrap();
        symlink("token", path("secret")).unwrap();
        symlink("edge.yaml", path("link")).unwrap();
        fs::hard_link(path("edge.yaml"), path("hard")).unwrap();
        symlink(".", path("here")).unwrap();
        let loaded = Origin::File(path("edge.yaml")).read().unwrap();
        loaded.diagnostics.to_string().replace(&folder.path().display().to_string(), "DIR")
    }

    #[test]
    fn the_audit_log_is_a_file_of_its_own() {
        for (audit_log, what) in [
            ("edge.yaml", "the configuration itself"),
            ("link", "the configuration itself"),
            ("hard", "the configuration itself"),
            ("here/conf.d/more.yaml", "a file that the configuration includes"),
            ("here/access.log", "the access log, by `log.access.to`"),
            ("run/../run/evener.sock", "the control socket, by `server.control_socket`"),
            ("here/run/web.sock", "the socket of `listeners.local.bind`"),
            ("token", "the file that `admin.tokens.deploy.token.file` names"),
            ("here/secret", "the file that `admin.tokens.deploy.token.file` names"),
            ("cert.pem", "the file that `listeners.tls.tls.certificates[0].cert` names"),
            ("here/key.pem", "the file that `listeners.tls.tls.certificates[0].key` names"),
            ("keys.txt", "the file that `routes[0].filters[0].api_key.file` names"),
            ("rules.conf", "the file that `routes[0].filters[1].waf.rules[0]` names"),
            ("run", "no regular file"),
            ("/dev/null", "no regular file"),
        ] {
            let told = problems("access.log", audit_log);
            assert!(told.contains(&format!("` is {what}\n")), "{audit_log}: {told}");
            assert!(told.contains("admin.audit_log: `") && told.contains("help: name a file of its own"));
        }
        for audit_log in ["audit.log", "here/audit.log", "run/audit.log", "gone/access.log"] {
            assert_eq!(problems("access.log", audit_log), "", "{audit_log}");
        }
    }

    #[test]
    fn so_is_the_access_log() {
        for (access_log, what) in [
            ("here/edge.yaml", "the configuration itself"),
            ("conf.d/more.yaml", "a file that the configuration includes"),
            ("run/web.sock", "the socket of `listeners.local.bind`"),
            ("secret", "the file that `admin.tokens.deploy.token.file` names"),
        ] {
            let told = problems(access_log, "audit.log");
            assert!(told.contains("log.access.to: `") && told.contains(what), "{access_log}: {told}");
        }
        assert_eq!(problems("/dev/null", "audit.log"), "");
    }
}
