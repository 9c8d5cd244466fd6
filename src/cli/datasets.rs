//! Where datasets lie: in the project, or in a home of their own.

use std::path::{Path, PathBuf};

/// Folder of datasets in a project.
const DATASETS: &str = "datasets";
/// Names a home of datasets for every project.
const HOME: &str = "WARMLAB_DATA";

/// Folders that may hold a dataset, the first that has it counts: `WARMLAB_DATA`; `datasets/` here and in the folders
/// above; `warmlab/` where the system keeps data.
pub fn places() -> Vec<PathBuf> {
    let here = std::env::current_dir().unwrap_or_default();
    let project = here.ancestors().map(|folder| folder.join(DATASETS)).filter(|folder| folder.is_dir());
    named_home().into_iter().chain(project).chain(dirs::data_dir().map(|data| data.join("warmlab"))).collect()
}

/// Where a new dataset is put: `WARMLAB_DATA` where that is set, else `datasets/` here.
pub fn home() -> PathBuf {
    named_home().unwrap_or_else(|| Path::new(DATASETS).into())
}

fn named_home() -> Option<PathBuf> {
    std::env::var_os(HOME).filter(|name| !name.is_empty()).map(PathBuf::from)
}
