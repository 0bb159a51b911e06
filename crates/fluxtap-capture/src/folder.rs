//! What lies in a directory.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Most files of a directory, those below it included, that are read. Of more, the first by the
/// order in which the system lists them are.
pub const DIRECTORY_FILES_MAX: usize = 65_536;

/// Device and inode.
pub(crate) type Identity = (u64, u64);

pub(crate) fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// The files in and below a directory.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    /// Regular files that are not hidden, in the order of their paths.
    pub(crate) files: Vec<Found>,
    /// What could not be looked at.
    pub(crate) unreadable: Vec<(PathBuf, io::Error)>,
    /// There are more than [`DIRECTORY_FILES_MAX`].
    pub(crate) is_cut: bool,
}

/// A file in a directory.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// It lies elsewhere, and this is a link to it.
    pub(crate) is_link: bool,
    pub(crate) metadata: Metadata,
}

/// Lists `root` and all directories below it. Links are followed, each directory is listed once,
/// what is hidden (its name begins with a dot) or special is left out, and so is what disappears
/// meanwhile.
pub(crate) fn list(root: &Path) -> Folder {
    let mut folder = Folder::default();
    let mut listed = BTreeSet::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        if let Err(error) = list_one(&directory, &mut folder, &mut listed, &mut waiting)
            && error.kind() != io::ErrorKind::NotFound
        {
            folder.unreadable.push((directory, error));
        }
    }
    folder.files.sort_by(|a, b| a.path.cmp(&b.path));
    folder.unreadable.sort_by(|a, b| a.0.cmp(&b.0));
    folder
}

fn list_one(
    directory: &Path,
    folder: &mut Folder,
    listed: &mut BTreeSet<Identity>,
    waiting: &mut Vec<PathBuf>,
) -> io::Result<()> {
    if !listed.insert(identity(&fs::metadata(directory)?)) {
        return Ok(());
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().as_bytes().starts_with(b".") {
            continue;
        }
        if folder.files.len() + waiting.len() + entries.len() >= DIRECTORY_FILES_MAX {
            folder.is_cut = true;
            break;
        }
        entries.push((entry.path(), entry.file_type()?.is_symlink()));
    }
    // The system's order is no order; the last one waiting is listed next.
    entries.sort_by(|a, b| b.0.cmp(&a.0));
    for (path, is_link) in entries {
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => waiting.push(path),
            Ok(metadata) if metadata.is_file() => {
                folder.files.push(Found { path, is_link, metadata });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => folder.unreadable.push((path, error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn lists_once_and_leaves_out_what_is_no_file() {
        let root = TempDir::new().expect("a temporary folder");
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("b/deep")).expect("a writable folder");
        fs::create_dir(at(".hidden")).expect("a writable folder");
        for name in ["z", "a", "b/one", "b/deep/two", ".dot", ".hidden/three"] {
            fs::write(at(name), b"").expect("a writable folder");
        }
        symlink(root.path(), at("b/up")).expect("a folder for links");
        symlink(at("b"), at("c")).expect("a folder for links");
        symlink(at("nowhere"), at("dangling")).expect("a folder for links");
        symlink("loop", at("loop")).expect("a folder for links");
        symlink("/dev/null", at("device")).expect("a folder for links");
        let folder = list(root.path());
        let names: Vec<_> = folder
            .files
            .iter()
            .map(|found| found.path.strip_prefix(root.path()).expect("below the root"))
            .collect();
        assert_eq!(names, ["a", "b/deep/two", "b/one", "z"].map(Path::new));
        let unreadable: Vec<_> = folder.unreadable.iter().map(|(path, _)| path.clone()).collect();
        assert_eq!(unreadable, [at("loop")], "a link to itself cannot be looked at");
        assert!(!folder.is_cut);
    }
}
