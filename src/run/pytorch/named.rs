//! Tensors of a PyTorch file under names that a model knows them by.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{Tensor, TorchFile};
use crate::base::error::{Error, Result};
use crate::run::tensors::{Described, TensorFile};

/// Some tensors of a file, each under a name.
pub struct Named {
    file: Arc<TorchFile>,
    tensors: BTreeMap<String, Tensor>,
}

impl Named {
    /// None yet.
    pub fn new(file: Arc<TorchFile>) -> Self {
        Named { file, tensors: BTreeMap::new() }
    }

    /// Gives a tensor a name.
    ///
    /// # Errors
    /// Where another tensor has it.
    pub fn insert(&mut self, name: String, tensor: Tensor) -> Result<()> {
        match self.tensors.get(&name) {
            Some(other) if *other != tensor => {
                Err(Error::tensor(self.file.path(), name, "is in the file twice, with different places"))
            }
            _ => {
                self.tensors.insert(name, tensor);
                Ok(())
            }
        }
    }

    /// Takes a name away.
    pub fn remove(&mut self, name: &str) -> Option<Tensor> {
        self.tensors.remove(name)
    }

    /// The tensor of that name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }
}

impl TensorFile for Named {
    fn path(&self) -> &Path {
        self.file.path()
    }

    fn size(&self) -> u64 {
        self.file.size()
    }

    fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    fn describe(&self, name: &str) -> Option<Described> {
        let tensor = self.tensors.get(name)?;
        Some((tensor.stored(), tensor.shape.clone()))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.file.path();
        let tensor = self.get(name).ok_or_else(|| Error::tensor(path, name, "is missing"))?;
        self.file.bytes(tensor).map_err(|problem| Error::tensor(path, name, problem))
    }

    fn same(&self, one: &str, other: &str) -> Result<bool> {
        // tied tensors share their storage
        let views = (self.get(one), self.get(other));
        Ok(views.0 == views.1
            || self.describe(one) == self.describe(other) && self.bytes(one)? == self.bytes(other)?)
    }
}
