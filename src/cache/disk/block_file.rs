use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::folder::{DraftFile, Folder};
use super::format::{BLOCK, Header, Layout, PREFIX, checked, sum};
use crate::cache::entry::Body;

/// An answer that is written, block by block. Its header comes last, since only then its length is known.
#[derive(Debug)]
pub(super) struct Writer {
    draft: DraftFile,
    header: Header,
    room: usize,
    block: Vec<u8>,
    blocks: u64,
}

/// What is read of a header at once; more than most take.
const MOST_HEADERS: usize = 4096;

// === impl Writer ===

impl Writer {
    /// Begins with what is known before the body, and makes room for as much of it as is promised; `None` when the header is
    /// too long.
    pub(super) fn begin(
        folder: &Folder,
        header: Header,
        promised: Option<usize>,
    ) -> io::Result<Option<Self>> {
        let Some(first) = header.encode() else { return Ok(None) };
        let mut draft = folder.draft()?;
        let body = promised.unwrap_or(0) as u64;
        let whole = Layout { header: first.len(), id: header.id, body }.file();
        // What stands there until the end is no header.
        let begun = make_room(&draft.file, whole).and_then(|()| draft.file.write_all(&vec![0; first.len()]));
        if let Err(error) = begun {
            folder.discard(&draft)?;
            return Err(error);
        }
        let header = Header { body: 0, ..header };
        Ok(Some(Self { draft, header, room: first.len(), block: Vec::with_capacity(BLOCK), blocks: 0 }))
    }

    pub(super) fn write(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let (now, later) = data.split_at(data.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(now);
            data = later;
            if self.block.len() == BLOCK {
                self.seal()?;
            }
        }
        Ok(())
    }

    fn seal(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        self.header.body += self.block.len() as u64;
        let sum = sum(self.header.id, self.blocks, &self.block);
        self.block.extend_from_slice(&sum);
        self.draft.file.write_all(&self.block)?;
        self.block.clear();
        self.blocks += 1;
        Ok(())
    }

    /// Writes what is left and the header with what is known now, and says how long the file is; `None` when the header has
    /// no room for that.
    pub(super) fn finish(&mut self, answer: Vec<u8>) -> io::Result<Option<u64>> {
        self.seal()?;
        self.header.answer = answer;
        let Some(header) = self.header.encode_into(self.room) else { return Ok(None) };
        self.draft.file.write_all_at(&header, 0)?;
        Ok(Layout { header: self.room, id: self.header.id, body: self.header.body }.file())
    }

    pub(super) fn sequence(&self) -> u64 {
        self.header.sequence
    }

    pub(super) fn into_draft(self) -> DraftFile {
        self.draft
    }
}

/// Has the file system keep so many bytes for a file, where it can do that.
fn make_room(file: &File, length: Option<u64>) -> io::Result<()> {
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, length.unwrap_or(u64::MAX)) {
        Err(error @ (Errno::NOSPC | Errno::DQUOT)) => Err(error.into()),
        _ => Ok(()),
    }
}

// === Reading ===

/// The header of a file, and where its body is; `None` when the file is not whole, or not as it was written.
pub(super) fn read_header(file: &File) -> io::Result<Option<(Header, Layout)>> {
    let mut bytes = vec![0; MOST_HEADERS];
    let count = read_up_to(file, &mut bytes, 0)?;
    bytes.truncate(count);
    let Some(room) = bytes.get(..PREFIX).and_then(Header::room) else { return Ok(None) };
    if room > count {
        bytes.resize(room, 0);
        if count < MOST_HEADERS || read_up_to(file, &mut bytes[count..], count as u64)? < room - count {
            return Ok(None);
        }
    }
    let Some(header) = Header::decode(&bytes) else { return Ok(None) };
    let layout = Layout { header: room, id: header.id, body: header.body };
    let is_whole = layout.file() == Some(file.metadata()?.len());
    Ok(is_whole.then_some((header, layout)))
}

/// A block of a body; `None` when it is not as it was written.
pub(super) fn read_block(file: &File, layout: Layout, index: u64) -> io::Result<Option<Bytes>> {
    let Some(place) = layout.block(index) else { return Ok(None) };
    let mut bytes = BytesMut::zeroed((place.end - place.start) as usize);
    let count = read_up_to(file, &mut bytes, place.start)?;
    Ok(checked_block(layout, index, bytes, count))
}

/// What was read as a block, without its checksum.
pub(super) fn checked_block(layout: Layout, index: u64, mut bytes: BytesMut, count: usize) -> Option<Bytes> {
    let length = checked(layout.id, index, bytes.get(..count)?)?;
    bytes.truncate(length);
    Some(bytes.freeze())
}

/// A whole body; `None` when it is not as it was written.
pub(super) fn read_body(file: &File, layout: Layout) -> io::Result<Option<Arc<Body>>> {
    let mut pieces = Vec::new();
    let mut length = 0;
    for index in 0..layout.body.div_ceil(BLOCK as u64) {
        let Some(block) = read_block(file, layout, index)? else { return Ok(None) };
        length += block.len();
        pieces.push(block);
    }
    Ok(Some(Arc::new(Body { id: layout.id, pieces: pieces.into(), length })))
}

/// Reads until the buffer is full or the file ends.
fn read_up_to(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match file.read_at(&mut buffer[count..], at + count as u64) {
            Ok(0) => break,
            Ok(read) => count += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}
