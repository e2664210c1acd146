//! A disk's volatile write cache over its image file.
//!
//! Owns: which blocks are only in memory. Invariants: a read gives the latest write; after
//! [`Cache::flush`] nothing is only in memory; what went to the image was synced there, since the
//! image's own page cache belongs to the guest and dies with it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::PowerLoss;

/// A cache larger than this writes itself out, as a disk's does: 32 MiB.
const LIMIT_BYTES: usize = 32 << 20;

#[derive(Debug)]
pub(super) struct Cache {
    image: File,
    block_bytes: usize,
    power_loss: PowerLoss,
    coin: fastrand::Rng,
    /// Blocks that are only in memory, by their number.
    volatile: BTreeMap<u64, Box<[u8]>>,
}

impl Cache {
    pub(super) fn new(image: File, block_bytes: u32, power_loss: PowerLoss) -> Self {
        let seed = if let PowerLoss::Some { seed } = power_loss {
            seed
        } else {
            0
        };
        Self {
            image,
            block_bytes: block_bytes as usize,
            power_loss,
            coin: fastrand::Rng::with_seed(seed),
            volatile: BTreeMap::new(),
        }
    }

    pub(super) fn volatile_blocks(&self) -> usize {
        self.volatile.len()
    }

    /// Reads whole blocks.
    pub(super) fn read(&self, offset: u64, data: &mut [u8]) -> io::Result<()> {
        self.image.read_exact_at(data, offset)?;
        let first = offset / self.block_bytes as u64;
        let blocks = (data.len() / self.block_bytes) as u64;
        for (number, block) in self.volatile.range(first..first + blocks) {
            let at = usize::try_from(number - first).expect("within the data") * self.block_bytes;
            data[at..at + self.block_bytes].copy_from_slice(block);
        }
        Ok(())
    }

    /// Writes whole blocks: into memory or the image, each as a cut of the power must find it.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.power_loss == PowerLoss::Kept {
            self.image.write_all_at(data, offset)?;
            return self.image.sync_data();
        }
        let mut reached_image = false;
        for (index, block) in data.chunks_exact(self.block_bytes).enumerate() {
            let number = offset / self.block_bytes as u64 + index as u64;
            if self.power_loss != PowerLoss::Lost && self.coin.bool() {
                self.image
                    .write_all_at(block, number * self.block_bytes as u64)?;
                self.volatile.remove(&number);
                reached_image = true;
            } else {
                self.volatile.insert(number, block.into());
            }
        }
        if self.volatile.len() * self.block_bytes > LIMIT_BYTES {
            return self.flush();
        }
        if reached_image {
            self.image.sync_data()
        } else {
            Ok(())
        }
    }

    /// Writes whole blocks past the cache: durable when this returns.
    pub(super) fn write_through(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.image.write_all_at(data, offset)?;
        self.image.sync_data()?;
        let first = offset / self.block_bytes as u64;
        let blocks = (data.len() / self.block_bytes) as u64;
        for number in first..first + blocks {
            self.volatile.remove(&number);
        }
        Ok(())
    }

    /// Makes everything durable.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        for (number, block) in &self.volatile {
            self.image
                .write_all_at(block, number * self.block_bytes as u64)?;
        }
        self.image.sync_data()?;
        self.volatile.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: usize = 512;

    fn cache(power_loss: PowerLoss) -> (Cache, File) {
        let image = tempfile::tempfile().unwrap();
        image.set_len(1 << 20).unwrap();
        (
            Cache::new(image.try_clone().unwrap(), 512, power_loss),
            image,
        )
    }

    fn block(image: &File, number: u64) -> u8 {
        let mut data = [0; BLOCK];
        image
            .read_exact_at(&mut data, number * BLOCK as u64)
            .unwrap();
        assert!(data.iter().all(|&byte| byte == data[0]), "a torn block");
        data[0]
    }

    #[test]
    fn a_lost_write_is_read_back_but_not_in_the_image_until_flushed() {
        let (mut cache, image) = cache(PowerLoss::Lost);
        cache.write(1024, &[7; 2 * BLOCK]).unwrap();
        let mut read = [0; 4 * BLOCK];
        cache.read(512, &mut read).unwrap();
        assert_eq!(
            (read[0], read[BLOCK], read[2 * BLOCK], read[3 * BLOCK]),
            (0, 7, 7, 0)
        );
        assert_eq!(block(&image, 2), 0);
        assert_eq!(cache.volatile_blocks(), 2);
        cache.flush().unwrap();
        assert_eq!((block(&image, 2), block(&image, 3)), (7, 7));
        assert_eq!(cache.volatile_blocks(), 0);
    }

    #[test]
    fn a_forced_write_is_durable_alone_and_not_undone_by_an_older_one() {
        let (mut cache, image) = cache(PowerLoss::Lost);
        cache.write(0, &[1; 2 * BLOCK]).unwrap();
        cache.write_through(0, &[2; BLOCK]).unwrap();
        assert_eq!((block(&image, 0), block(&image, 1)), (2, 0));
        cache.flush().unwrap();
        assert_eq!((block(&image, 0), block(&image, 1)), (2, 1));
    }

    #[test]
    fn some_unflushed_blocks_are_kept_in_any_order_and_the_same_ones_by_seed() {
        let survivors = |seed| {
            let (mut cache, image) = cache(PowerLoss::Some { seed });
            for number in 0..64 {
                cache.write(number * BLOCK as u64, &[9; BLOCK]).unwrap();
            }
            (0..64)
                .filter(|&number| block(&image, number) == 9)
                .collect::<Vec<u64>>()
        };
        let kept = survivors(1);
        assert!((16..48).contains(&kept.len()), "{kept:?}");
        assert!(
            kept.last().unwrap() + 1 > kept.len() as u64,
            "a prefix is no disorder"
        );
        assert_eq!(kept, survivors(1));
        assert_ne!(kept, survivors(2));
    }

    #[test]
    fn a_later_write_that_stays_volatile_leaves_the_earlier_in_the_image() {
        let (mut cache, image) = cache(PowerLoss::Some { seed: 3 });
        let mut last_in_image = 0;
        for value in 1..=32 {
            cache.write(0, &[value; BLOCK]).unwrap();
            if cache.volatile_blocks() == 0 {
                last_in_image = value;
            }
            assert_eq!(block(&image, 0), last_in_image);
            let mut read = [0; BLOCK];
            cache.read(0, &mut read).unwrap();
            assert_eq!(read[0], value);
        }
        assert!(last_in_image > 0);
    }
}
