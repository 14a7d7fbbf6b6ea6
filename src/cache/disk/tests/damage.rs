//! What a crash leaves.

use proptest::prelude::*;

use crate::cache::disk::folder::Taken;

use super::*;

fn shelf(path: &Path) -> Shelf {
    let Taken::Folder(folder) = Folder::take(path).unwrap() else { panic!("it is taken") };
    Shelf::open(folder, SIZE, Arc::new(Health::new(path.to_owned()))).unwrap()
}

fn draft(key: &[u8]) -> Draft {
    Draft::new(&CacheKey::new(key, String::new()), &meta(&[]))
}

fn put(shelf: &Shelf, name: u128, id: u64, body: &[u8]) {
    let answer = draft(b"key").encode();
    let header = Header { id, sequence: shelf.sequence(), body: 0, answer: answer.clone() };
    let mut writer = Writer::begin(&shelf.folder, header, Some(body.len())).unwrap().unwrap();
    writer.write(body).unwrap();
    let publication = Publication { name, number: id, answer, is_due: &|| true };
    shelf.publish(writer, publication).unwrap();
}

/// What is read of it: all of it, or nothing.
fn get(shelf: &Shelf, name: u128, most_whole: usize) -> Option<Vec<u8>> {
    let found = shelf.find(name, most_whole).unwrap()?;
    match found.body {
        FoundBody::Whole(body) => Some(body.pieces.concat()),
        FoundBody::Long(file, first) => {
            let mut body = first.to_vec();
            for index in 1..found.layout.body.div_ceil(format::BLOCK as u64) {
                body.extend(block_file::read_block(&file, found.layout, index).unwrap()?);
            }
            Some(body)
        }
    }
}

/// What happens to a file while nobody looks.
#[derive(Clone, Debug)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Zeros(prop::sample::Index),
    Append(Vec<u8>),
    /// The block of a file that was there before.
    Mix(prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<prop::sample::Index>(), 1..=255_u8).prop_map(|(at, flip)| Damage::Flip(at, flip)),
        any::<prop::sample::Index>().prop_map(Damage::Cut),
        any::<prop::sample::Index>().prop_map(Damage::Zeros),
        prop::collection::vec(any::<u8>(), 1..20).prop_map(Damage::Append),
        any::<prop::sample::Index>().prop_map(Damage::Mix),
    ]
}

fn apply(damage: &Damage, bytes: &mut Vec<u8>, other: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    match damage {
        Damage::Flip(at, flip) => {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
        Damage::Zeros(at) => {
            let at = at.index(bytes.len());
            bytes[at..].fill(0);
        }
        Damage::Append(more) => bytes.extend_from_slice(more),
        Damage::Mix(at) => {
            let (at, end) = (at.index(bytes.len()), bytes.len().min(other.len()));
            if at < end {
                bytes[at..end].copy_from_slice(&other[at..end]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever became of a file, what is read is what was written, or nothing; and where the damage is to what is told at
    /// once, the file is gone.
    #[test]
    fn no_wrong_body_is_ever_given(
        length in prop_oneof![0..200_usize, 65_000..66_000_usize, 130_000..140_000_usize],
        damages in prop::collection::vec(damage(), 1..3),
        is_read_whole: bool,
    ) {
        let place = tempfile::tempdir().unwrap();
        let whole = body(length);
        let other: Vec<u8> = whole.iter().map(|byte| byte ^ 0x55).collect();
        let first = shelf(place.path());
        put(&first, 1, 10, &other);
        let file = files(place.path()).remove(0);
        let before = fs::read(&file).unwrap();
        put(&first, 1, 11, &whole);
        let written = fs::read(&file).unwrap();
        drop(first);
        let mut bytes = written.clone();
        for damage in &damages {
            apply(damage, &mut bytes, &before);
        }
        fs::write(&file, &bytes).unwrap();
        let shelf = shelf(place.path());
        let most_whole = if is_read_whole { MOST_WHOLE } else { 0 };
        let read = get(&shelf, 1, most_whole);
        if bytes == before {
            prop_assert_eq!(read, Some(other));
        } else if let Some(read) = read {
            prop_assert_eq!(read, whole);
        } else if is_read_whole {
            prop_assert!(!file.exists());
        }
        for number in 0..folder::SHELVES {
            shelf.sweep(number).unwrap();
        }
        shelf.settle(shelf.sequence()).unwrap();
    }
}
