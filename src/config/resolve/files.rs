use crate::config::KeyPath;
use crate::config::spec::FilesSpec;

use super::Resolver;

impl Resolver<'_> {
    pub(super) fn check_files(&mut self, files: &FilesSpec, at: &KeyPath) {
        if files.root.as_os_str().is_empty() {
            self.error(&at.child("root"), "the path is empty").help("name a folder, like /srv/www");
        }
        if files.immutable && files.expires.is_none_or(|expires| expires.is_zero()) && !self.is_partial(at) {
            self.error(&at.child("immutable"), "what clients may not keep cannot be immutable to them")
                .help("say for how long they may keep it, like `expires: 365d`");
        }
        for (index, coding) in files.precompressed.iter().enumerate() {
            if files.precompressed[..index].contains(coding) {
                let message = format!("`{}` stands here twice", coding.as_str());
                self.error(&at.child("precompressed").index(index), message).help("remove one");
            }
        }
    }
}
