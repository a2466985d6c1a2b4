use super::*;

/// xorshift64*: the same files in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// Damages a file in the ways that find bugs in readers.
fn mutate(file: &mut Vec<u8>, r: &mut Random) {
    const INTERESTING: [u64; 12] = [
        0,
        1,
        9,
        31,
        0x7fff_ffff,
        0xffff_ffff,
        1 << 32,
        1 << 61,
        i64::MAX as u64,
        1 << 63,
        u64::MAX - 31,
        u64::MAX,
    ];
    let at = r.below(file.len());
    match r.below(8) {
        0..=2 => file[at] ^= 1 << r.below(8),
        3 => file[at] = r.next() as u8,
        4 | 5 => {
            let n = INTERESTING[r.below(INTERESTING.len())].to_le_bytes();
            let width = [4, 8][r.below(2)].min(file.len() - at);
            file[at..at + width].copy_from_slice(&n[..width]);
        }
        6 => {
            let n = r.below(16).min(file.len() - at);
            file.drain(at..at + n);
        }
        _ => {
            let n = r.below(16).min(file.len() - at);
            let copy = file[at..at + n].to_vec();
            let to = r.below(file.len());
            file.splice(to..to, copy);
        }
    }
    if file.is_empty() {
        file.push(b'G');
    }
}

/// Uses all there is to use.
fn check(gguf: &Gguf, len: Option<u64>) {
    let mut end = gguf.data_offset();
    for t in gguf.tensors() {
        assert_eq!(gguf.tensor(t.name()), Some(t));
        assert!(t.dims().len() <= 4);
        assert_eq!(t.n_elements(), t.dims().iter().product::<u64>());
        assert_eq!(t.n_elements() % t.ty().block_size(), 0);
        assert_eq!(t.offset() % u64::from(gguf.alignment()), 0);
        let start = gguf.data_offset() + t.offset();
        assert!(start >= end);
        end = start + t.n_bytes();
    }
    if let Some(len) = len {
        assert!(end <= len);
    }
    for (key, value) in gguf.metadata() {
        assert!(!key.is_empty());
        assert!(gguf.get(key).is_some_and(|v| std::ptr::eq(v, value)));
        let _ = (value.as_u32(), value.as_i64(), value.to_string());
        if let Some(a) = value.as_array() {
            assert!((0..a.len()).all(|i| a.get(i).is_some()));
            assert!(a.get(a.len()).is_none());
        }
    }
    assert!(gguf.n_params() == 0 || gguf.n_bytes() > 0);
    let _ = (gguf.architecture(), gguf.file_type(), gguf.arch_u32("block_count"));
    let _ = format!("{gguf:?}");
}

#[test]
fn mutations_never_panic() {
    let original = sample().build();
    let header = sample().header().len();
    let mut r = Random(0x5eed);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..30_000 {
        // The data itself is never looked at, so damage to it would find nothing.
        let mut head = original[..header].to_vec();
        for _ in 0..=r.below(4) {
            mutate(&mut head, &mut r);
        }
        let mut file = head;
        file.extend(&original[header..]);
        for len in [Some(file.len() as u64), None, Some(u64::MAX)] {
            match Gguf::read(&file[..], len) {
                Ok(gguf) => {
                    check(&gguf, len);
                    accepted += 1;
                }
                Err(e) => {
                    assert!(!matches!(e, GgufError::Io(_)), "round {round}: {e}");
                    check_message(&e);
                    refused += 1;
                }
            }
        }
    }
    // Neither of them can be rare, or the mutations are not what they are meant to be.
    assert!(accepted > 5_000 && refused > 20_000, "{accepted} {refused}");
}

#[test]
fn every_byte_set_to_extremes() {
    let original = sample().build();
    for at in 0..sample().header().len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut file = original.clone();
            file[at] = byte;
            if let Ok(gguf) = parse(&file) {
                check(&gguf, Some(file.len() as u64));
            }
        }
        // A whole integer of ones, wherever it may begin.
        for width in [4, 8] {
            let mut file = original.clone();
            let end = (at + width).min(file.len());
            file[at..end].fill(0xff);
            if let Ok(gguf) = parse(&file) {
                check(&gguf, Some(file.len() as u64));
            }
        }
    }
}

#[test]
fn noise() {
    let mut r = Random(7);
    for _ in 0..2_000 {
        let mut file = b"GGUF\x03\0\0\0".to_vec();
        file.extend((r.next() % 4).to_le_bytes());
        file.extend((r.next() % 4).to_le_bytes());
        file.extend((0..r.below(200)).map(|_| r.next() as u8 & 0x0f));
        if let Ok(gguf) = parse(&file) {
            check(&gguf, Some(file.len() as u64));
        }
    }
}
