//! Where lanes are looked for, and where `up` makes one.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use shm_abi::sys::effective_uid;

use crate::error::ToolError;

/// Names the runtime directory when `--dir` does not.
const DIR_VARIABLE: &str = "TICKLANE_DIR";
/// Where a service keeps its instances: decisions.md 13.
const SERVICE_DIR: &str = "/run/ticklane";
/// End of a segment's file name.
const SEGMENT_SUFFIX: &str = ".seg";

/// A lane's segment, by its place. Whether it can be read is not known yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Runtime directory.
    pub(crate) dir: PathBuf,
    /// Lane name.
    pub(crate) lane: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}", self.lane, self.dir.display())
    }
}

/// The directory under which `up` keeps the instances of this user.
pub(crate) fn user_base() -> PathBuf {
    let name = format!("ticklane-{}", effective_uid());
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
    session.unwrap_or_else(|| "/dev/shm".into()).join(name)
}

/// Every lane in the directory that was asked for, or else in the usual ones; a directory of instances counts as all of
/// them. With `lane`, only those of that name.
///
/// # Errors
/// [`ToolError::NoLanes`], [`ToolError::NoSuchLane`].
pub(crate) fn find_lanes(dir: Option<&Path>, lane: Option<&str>) -> Result<Vec<Place>, ToolError> {
    let dirs = dirs(dir);
    let looked = looked(&dirs);
    let mut found: Vec<Place> = dirs.iter().flat_map(|dir| with_instances(dir)).collect();
    found.sort();
    if found.is_empty() {
        return Err(ToolError::NoLanes { looked });
    }
    let Some(lane) = lane else { return Ok(found) };
    let chosen: Vec<Place> = found.iter().filter(|place| place.lane == lane).cloned().collect();
    if chosen.is_empty() {
        return Err(ToolError::NoSuchLane { lane: lane.into(), looked, found: list(&found) });
    }
    Ok(chosen)
}

/// Every command socket in the directory that was asked for, or else in the usual ones, and where was looked.
pub(crate) fn find_sockets(dir: Option<&Path>, name: &str) -> (Vec<PathBuf>, String) {
    let dirs = dirs(dir);
    let mut found = Vec::new();
    for dir in &dirs {
        let instances = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let places = std::iter::once(dir.clone()).chain(instances).map(|place| place.join(name));
        found.extend(places.filter(|path| fs::symlink_metadata(path).is_ok_and(|f| f.file_type().is_socket())));
    }
    found.sort();
    (found, looked(&dirs))
}

fn dirs(dir: Option<&Path>) -> Vec<PathBuf> {
    match dir.map(PathBuf::from).or_else(|| std::env::var_os(DIR_VARIABLE).map(PathBuf::from)) {
        Some(dir) => vec![dir],
        None => vec![user_base(), SERVICE_DIR.into()],
    }
}

fn looked(dirs: &[PathBuf]) -> String {
    dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(" and ")
}

/// Places in a row, for messages.
pub(crate) fn list(places: &[Place]) -> String {
    places.iter().map(Place::to_string).collect::<Vec<_>>().join(", ")
}

fn with_instances(dir: &Path) -> Vec<Place> {
    let mut places = lanes_in(dir);
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            places.extend(lanes_in(&entry.path()));
        }
    }
    places
}

fn lanes_in(dir: &Path) -> Vec<Place> {
    let names =
        fs::read_dir(dir).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let lanes = names.filter_map(|name| name.strip_suffix(SEGMENT_SUFFIX).map(String::from));
    lanes.filter(|lane| shm_abi::layout::is_lane_name(lane)).map(|lane| Place { dir: dir.into(), lane }).collect()
}

/// Makes a directory that only we can enter, or checks that it is one.
///
/// # Errors
/// [`ToolError::UnsafeDirectory`] for one that others could have prepared, [`ToolError::Io`].
pub(crate) fn make_private_dir(path: &Path) -> Result<(), ToolError> {
    let io = |action| {
        let path = path.to_path_buf();
        move |source| ToolError::Io { action, path, source }
    };
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(io("make directory")(error)),
        _ => {}
    }
    // Not followed: a link that somebody else put there leads where he likes.
    let facts = fs::symlink_metadata(path).map_err(io("look at"))?;
    let mode = facts.mode() & 0o7777;
    if !facts.is_dir() || facts.uid() != effective_uid() || mode & 0o077 != 0 {
        let kind = if facts.is_dir() { "a directory" } else { "no directory" };
        let found = format!("{kind} of uid {} with mode {mode:04o}", facts.uid());
        return Err(ToolError::UnsafeDirectory { path: path.into(), found });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn finds_lanes_of_a_directory_and_of_its_instances() {
        let base = tempfile::tempdir().unwrap();
        let instance = base.path().join("demo");
        fs::create_dir(&instance).unwrap();
        for file in ["b.seg", "a.seg", "a.lock", "UPPER.seg", ".seg"] {
            fs::write(instance.join(file), "").unwrap();
        }
        let place = |lane: &str| Place { dir: instance.clone(), lane: lane.into() };
        assert_eq!(find_lanes(Some(base.path()), None).unwrap(), [place("a"), place("b")]);
        assert_eq!(find_lanes(Some(&instance), Some("b")).unwrap(), [place("b")]);
        let error = find_lanes(Some(&instance), Some("c")).unwrap_err().to_string();
        assert!(error.contains("no lane c") && error.contains("a in") && error.contains("b in"), "{error}");
    }

    #[test]
    fn finding_nothing_says_where_it_looked_and_what_to_do() {
        let base = tempfile::tempdir().unwrap();
        for dir in [base.path().to_path_buf(), base.path().join("absent")] {
            let error = find_lanes(Some(&dir), None).unwrap_err().to_string();
            for part in [dir.to_str().unwrap(), "ticklane up", "--dir"] {
                assert!(error.contains(part), "{part}: {error}");
            }
        }
    }

    #[test]
    fn private_directories_are_ours_alone() {
        let base = tempfile::tempdir().unwrap();
        let good = base.path().join("good");
        make_private_dir(&good).unwrap();
        make_private_dir(&good).unwrap();
        assert_eq!(fs::metadata(&good).unwrap().mode() & 0o777, 0o700);
        let open = base.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        let link = base.path().join("link");
        std::os::unix::fs::symlink(&good, &link).unwrap();
        let file = base.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [open, link, file] {
            assert!(matches!(make_private_dir(&path), Err(ToolError::UnsafeDirectory { .. })), "{path:?}");
        }
    }
}
