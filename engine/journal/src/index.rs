//! Which blocks a file has. The block headers are the index: nothing beside them has to be kept in step.
//!
//! A file that ends with a mark was closed in order, and all before the mark had been on disk when it was written; its
//! headers are enough. In any other file a crash, or a writer that is still at work, may have left anything behind the
//! last good block, also good blocks behind a bad one: there every payload is verified, and the first that does not hold
//! ends the file.

use shm_abi::segment::RingName;

use crate::damage::Damage;
use crate::disk::{ReadAt, read_full};
use crate::format::{ALIGN, BLOCK_HEADER_BYTES, BlockHeader, BlockKind, FileHeader, MARK_WORDS, Mark, verify_payload};
use crate::journal::ReadError;
use crate::pages::Pages;
use crate::ring_index;

/// A block and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockEntry {
    /// Byte of the file.
    pub offset: u64,
    /// Its header, which was verified.
    pub header: BlockHeader,
}

/// How a file goes on behind its last good block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// The last block is a mark: the file was closed in order.
    Marked(Mark),
    /// It ends there, or only zeros follow: it is being written, or its writer was killed between two blocks.
    Open,
    /// What follows is no good block.
    Cut(Damage),
}

/// The good blocks of a file.
#[derive(Debug)]
pub struct FileIndex {
    file: u64,
    header: FileHeader,
    salt: u64,
    blocks: Vec<BlockEntry>,
    /// By ring: places in `blocks` of slots and holes, by number.
    by_ring: [Vec<u32>; 2],
    end: u64,
    next: [u64; 2],
    latest_ns: [u64; 2],
    tail: Tail,
}

impl FileIndex {
    /// Reads the file's header and finds its good blocks. `scratch` grows to the largest
    /// block.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] when the header is not good; [`ReadError::Io`].
    pub(crate) fn read(number: u64, file: &dyn ReadAt, scratch: &mut Pages) -> Result<FileIndex, ReadError> {
        let (header, salt) = read_header(number, file)?;
        let new = || FileIndex {
            file: number,
            header,
            salt,
            blocks: Vec::new(),
            by_ring: [Vec::new(), Vec::new()],
            end: ALIGN as u64,
            next: header.first,
            latest_ns: header.prior_latest_ns,
            tail: Tail::Open,
        };
        let mut index = new();
        index.walk(file, scratch, Verify::Headers)?;
        if !index.is_marked() {
            index = new();
            index.walk(file, scratch, Verify::Payloads)?;
        }
        Ok(index)
    }

    /// Looks for blocks behind the last good one.
    ///
    /// # Errors
    /// [`ReadError::Io`].
    pub(crate) fn extend(&mut self, file: &dyn ReadAt, scratch: &mut Pages) -> Result<(), ReadError> {
        self.walk(file, scratch, Verify::Payloads)
    }

    fn walk(&mut self, file: &dyn ReadAt, scratch: &mut Pages, verify: Verify) -> Result<(), ReadError> {
        let io = |offset, source| ReadError::Io { file: self.file, offset, source };
        let length = file.length().map_err(|source| io(self.end, source))?;
        while !self.is_marked() {
            let number = self.file;
            let step = self.step(file, length, scratch, verify).map_err(|source| ReadError::Io {
                file: number,
                offset: self.end,
                source,
            })?;
            match step {
                Ok(Some(entry)) => self.push(entry, scratch),
                Ok(None) => {
                    self.tail = Tail::Open;
                    break;
                }
                Err(damage) => {
                    self.tail = Tail::Cut(damage);
                    break;
                }
            }
        }
        Ok(())
    }

    /// The block at the end, if there is a good one. A mark, and with [`Verify::Payloads`] every block, is left in
    /// `scratch`.
    fn step(
        &self,
        file: &dyn ReadAt,
        length: u64,
        scratch: &mut Pages,
        verify: Verify,
    ) -> std::io::Result<Result<Option<BlockEntry>, Damage>> {
        let offset = self.end;
        if offset >= length {
            return Ok(Ok(None));
        }
        let mut head = [0; BLOCK_HEADER_BYTES];
        let got = read_full(file, offset, &mut head)?;
        if head == [0; BLOCK_HEADER_BYTES] {
            return Ok(Ok(None));
        }
        if got < head.len() {
            return Ok(Err(Damage::rule(offset, "file length", length, "a whole block header")));
        }
        let header = match BlockHeader::parse(&head, self.salt, offset) {
            Ok(header) => header,
            Err(damage) => return Ok(Err(damage)),
        };
        if let Err(damage) = self.check_order(&header) {
            return Ok(Err(damage));
        }
        let bytes = header.bytes();
        if offset + bytes as u64 > length {
            return Ok(Err(Damage::unless_at_least(offset, "file length", length, offset + bytes as u64)
                .expect_err("it was just found to be shorter")));
        }
        if verify == Verify::Payloads || header.kind == BlockKind::Mark {
            scratch.make_room(bytes);
            let block = &mut scratch.bytes_mut()[..bytes];
            let got = read_full(file, offset, block)?;
            if let Err(damage) = verify_payload(&header, offset, &block[..got]) {
                return Ok(Err(damage));
            }
        }
        Ok(Ok(Some(BlockEntry { offset, header })))
    }

    /// Numbers go on without a step over blocks: what is not there stands as a hole.
    fn check_order(&self, header: &BlockHeader) -> Result<(), Damage> {
        match (header.kind, header.ring) {
            (BlockKind::Slots | BlockKind::Hole, Some(ring)) => {
                Damage::unless_is(self.end, "first", header.first, self.next[ring_index(ring)])
            }
            (BlockKind::Image, _) => Damage::unless_at_most(self.end, "first", header.first, self.next[0]),
            _ => Ok(()),
        }
    }

    fn push(&mut self, entry: BlockEntry, scratch: &Pages) {
        let header = &entry.header;
        if let (BlockKind::Slots | BlockKind::Hole, Some(ring)) = (header.kind, header.ring) {
            let ring = ring_index(ring);
            self.by_ring[ring].push(self.blocks.len() as u32);
            self.next[ring] = header.end;
            if header.kind == BlockKind::Slots {
                self.latest_ns[ring] = self.latest_ns[ring].max(header.latest_ns);
            }
        }
        if header.kind == BlockKind::Mark {
            let words = &scratch.words()[BLOCK_HEADER_BYTES / 8..][..MARK_WORDS];
            let words = std::array::from_fn(|i| u64::from_le(words[i]));
            self.tail = Tail::Marked(Mark::parse(header, &words));
        }
        self.end += header.bytes() as u64;
        self.blocks.push(entry);
    }

    fn is_marked(&self) -> bool {
        matches!(self.tail, Tail::Marked(_))
    }

    /// Number of the file.
    pub fn file(&self) -> u64 {
        self.file
    }

    /// The file's header.
    pub fn header(&self) -> &FileHeader {
        &self.header
    }

    /// All good blocks, in the file's order.
    pub fn blocks(&self) -> &[BlockEntry] {
        &self.blocks
    }

    /// Byte behind the last good block.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// By ring: the number behind the last slot or hole.
    pub fn next(&self) -> [u64; 2] {
        self.next
    }

    /// By ring: latest publish time of this file and all before it, ns; 0: none.
    pub fn latest_ns(&self) -> [u64; 2] {
        self.latest_ns
    }

    /// How it goes on behind the last good block.
    pub fn tail(&self) -> Tail {
        self.tail
    }

    /// Place in [`FileIndex::blocks`] of the slots or the hole in which number `n` of a ring stands.
    pub fn find(&self, ring: RingName, n: u64) -> Option<usize> {
        let places = &self.by_ring[ring_index(ring)];
        let after = places.partition_point(|place| self.blocks[*place as usize].header.first <= n);
        let place = places[after.checked_sub(1)?] as usize;
        (n < self.blocks[place].header.end).then_some(place)
    }

    /// Place in [`FileIndex::blocks`] of the first slots of a ring that hold a record published at `ns` or later.
    pub fn find_time(&self, ring: RingName, ns: u64) -> Option<usize> {
        let holds = |place: &u32| {
            let header = &self.blocks[*place as usize].header;
            header.kind == BlockKind::Slots && header.latest_ns >= ns
        };
        self.by_ring[ring_index(ring)].iter().find(|place| holds(place)).map(|place| *place as usize)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verify {
    Headers,
    Payloads,
}

/// Reads the header of a file and holds the number in it against that of its name.
pub(crate) fn read_header(number: u64, file: &dyn ReadAt) -> Result<(FileHeader, u64), ReadError> {
    let mut bytes = [0; ALIGN];
    let got = read_full(file, 0, &mut bytes).map_err(|source| ReadError::Io { file: number, offset: 0, source })?;
    let damaged = |damage| ReadError::Damaged { file: number, damage };
    let (header, salt) = FileHeader::parse(&bytes[..got]).map_err(damaged)?;
    Damage::unless_is(0, "file number", header.number, number).map_err(damaged)?;
    Ok((header, salt))
}
