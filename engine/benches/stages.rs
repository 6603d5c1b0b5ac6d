//! What a chunk costs between its cut and its pack: hash, look-up, compress, encrypt; and to open it again.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use keepwell_engine::compress;
use keepwell_engine::crypto::SealingKey;
use keepwell_engine::format::{BlobKind, PackedBlob};
use keepwell_engine::id::Id;
use keepwell_engine::repository::Index;
use keepwell_engine::sha256;

/// About the mean of restic's chunks.
const CHUNK_BYTES: usize = 1536 * 1024;

/// Text that compresses to about a third, as source code and logs do.
fn text() -> Vec<u8> {
    let mut state = 1u64;
    let mut text = Vec::with_capacity(CHUNK_BYTES + 64);
    while text.len() < CHUNK_BYTES {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let line =
            format!("2026-11-{:02} INFO task {:06} moved {} bytes\n", state >> 59, state >> 44, state >> 52);
        text.extend_from_slice(line.as_bytes());
    }
    text.truncate(CHUNK_BYTES);
    text
}

fn id(number: u64) -> Id {
    Id::of(&number.to_le_bytes())
}

fn chunk_stages(criterion: &mut Criterion) {
    let text = text();
    let key = SealingKey::from_bytes(&[7; 64]);
    let sealed = key.seal(&text).expect("sealed");
    let mut group = criterion.benchmark_group("chunk");
    group.throughput(Throughput::Bytes(text.len() as u64)).sample_size(20);
    group.bench_function("hash", |bencher| bencher.iter(|| Id::of(black_box(&text))));
    group.throughput(Throughput::Bytes(2 * text.len() as u64));
    group.bench_function("hash two", |bencher| {
        bencher.iter(|| sha256::ids_of(black_box(&[&text, &text]), None))
    });
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("encrypt", |bencher| {
        let mut buffer = Vec::new();
        bencher.iter(|| {
            buffer.clear();
            buffer.resize(keepwell_engine::crypto::NONCE_BYTES, 0);
            buffer.extend_from_slice(black_box(&text));
            key.seal_in_place(&mut buffer).expect("sealed");
        });
    });
    group.bench_function("decrypt", |bencher| {
        bencher.iter_batched_ref(
            || sealed.clone(),
            |sealed| key.open_in_place(sealed).expect("opens").len(),
            BatchSize::LargeInput,
        );
    });
    for (name, level) in [("compress, level 1", 1), ("compress, level 3", 3)] {
        group.bench_function(name, |bencher| {
            let mut frame = Vec::new();
            bencher.iter(|| {
                frame.clear();
                compress::append_compressed(black_box(&text), level, &mut frame).expect("compressed")
            });
        });
    }
    group.bench_function("decompress", |bencher| {
        let (mut frame, mut out) = (Vec::new(), vec![0; text.len()]);
        compress::append_compressed(&text, 3, &mut frame).expect("compressed");
        bencher
            .iter(|| compress::decompress_exact(black_box(&frame), text.len(), |_| &mut out).expect("whole"));
    });
    group.finish();
}

fn look_up(criterion: &mut Criterion) {
    const PACKS: u64 = 10_000;
    const BLOBS_PER_PACK: u64 = 100;
    let mut index = Index::default();
    index.reserve((PACKS * BLOBS_PER_PACK) as usize);
    for pack in 0..PACKS {
        let blobs: Vec<PackedBlob> = (0..BLOBS_PER_PACK)
            .map(|blob| PackedBlob {
                id: id(pack * BLOBS_PER_PACK + blob),
                kind: BlobKind::Data,
                offset_bytes: blob as u32 * 1000,
                length_bytes: 1000,
                uncompressed_bytes: 3000,
            })
            .collect();
        index.insert_pack(id(u64::MAX - pack), &blobs);
    }
    let ids: Vec<Id> = (0..100_000).map(|number| id(number * 20)).collect();
    let mut group = criterion.benchmark_group("look-up of 100,000 in 1,000,000, half of them there");
    group.throughput(Throughput::Elements(ids.len() as u64)).sample_size(20);
    group.bench_function("contains", |bencher| {
        bencher.iter(|| ids.iter().filter(|id| index.contains(BlobKind::Data, id)).count());
    });
    group.finish();
}

criterion_group!(benches, chunk_stages, look_up);
criterion_main!(benches);
