//! Which module files to load, and in which order.
//!
//! Owns: reading a module folder's `modules.dep`. `modprobe -d` wants a folder laid out as
//! `/lib/modules`, which User-Mode Linux's is not.

use std::path::{Path, PathBuf};

/// The modules of one kernel.
pub(super) struct ModuleFolder {
    folder: PathBuf,
    /// Lines of `modules.dep`: a module's file, and those it needs, last needed first loaded.
    dependencies: String,
    built_in: String,
}

impl ModuleFolder {
    pub(super) fn open(folder: PathBuf) -> Result<Self, String> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read_to_string(&path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))
        };
        let dependencies = read("modules.dep")?;
        let built_in = read("modules.builtin")?;
        Ok(Self {
            folder,
            dependencies,
            built_in,
        })
    }

    /// Adds to `order` the commands that load `wanted` (a name, then parameters), what it needs
    /// first, each file once.
    pub(super) fn load(&self, wanted: &str, order: &mut Vec<String>) -> Result<(), String> {
        let (name, parameters) = wanted.split_once(' ').unwrap_or((wanted, ""));
        if self.built_in.lines().any(|path| is_called(path, name)) {
            return Ok(());
        }
        let line = self.dependencies.lines().find_map(|line| {
            line.split_once(':')
                .filter(|(path, _)| is_called(path, name))
        });
        let Some((file, needed)) = line else {
            return Err(format!("no module {name} in {}", self.folder.display()));
        };
        for path in needed.split_whitespace().rev() {
            self.push(path, "", order);
        }
        self.push(file, parameters, order);
        Ok(())
    }

    fn push(&self, file: &str, parameters: &str, order: &mut Vec<String>) {
        let path = self.folder.join(file);
        let command = format!("insmod {} {parameters}", path.display());
        let once = format!("insmod {} ", path.display());
        if !order.iter().any(|known| known.starts_with(&once)) {
            order.push(command);
        }
    }
}

/// Whether the module file at `path` has this name; `-` and `_` are the same in module names.
fn is_called(path: &str, name: &str) -> bool {
    let stem = Path::new(path)
        .file_stem()
        .map(|stem| stem.to_string_lossy().replace('-', "_"));
    stem.is_some_and(|stem| stem == name.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> ModuleFolder {
        ModuleFolder {
            folder: PathBuf::from("/m"),
            dependencies: "k/dm-mirror.ko: k/dm-region-hash.ko k/dm-log.ko k/dm-mod.ko\n\
                           k/dm-mod.ko:\nk/nbd.ko:\n"
                .to_owned(),
            built_in: "k/ext4.ko\n".to_owned(),
        }
    }

    #[test]
    fn what_is_needed_is_loaded_first_and_once() {
        let mut order = Vec::new();
        folder().load("dm_mod", &mut order).unwrap();
        folder().load("dm-mirror", &mut order).unwrap();
        folder().load("nbd max_part=0", &mut order).unwrap();
        let files: Vec<_> = order.iter().map(|line| line.trim_end()).collect();
        assert_eq!(
            files,
            [
                "insmod /m/k/dm-mod.ko",
                "insmod /m/k/dm-log.ko",
                "insmod /m/k/dm-region-hash.ko",
                "insmod /m/k/dm-mirror.ko",
                "insmod /m/k/nbd.ko max_part=0",
            ]
        );
    }

    #[test]
    fn a_built_in_module_is_left_alone_and_an_unknown_one_refused() {
        let mut order = Vec::new();
        folder().load("ext4", &mut order).unwrap();
        assert!(order.is_empty());
        assert!(
            folder()
                .load("dm-none", &mut order)
                .unwrap_err()
                .contains("dm-none")
        );
    }
}
