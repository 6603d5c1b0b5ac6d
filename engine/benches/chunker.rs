//! How fast a chunk's end is found: every search over random data in a chunk that grows by reads of 1 MiB.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use keepwell_engine::chunker::{ChunkTables, Cutter, Polynomial, Search};

const READ_BYTES: usize = 1024 * 1024;

fn random_bytes(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.push((state >> 56) as u8);
    }
    bytes
}

/// The lengths of all chunks of `data`, as the archive pipeline asks for them.
fn cut_all(cutter: &mut Cutter, data: &[u8]) -> usize {
    let (mut start, mut read, mut chunks) = (0, 0, 1);
    while read < data.len() {
        read = (read + READ_BYTES).min(data.len());
        while let Some(length) = cutter.find_cut(&data[start..read]) {
            start += length;
            chunks += 1;
        }
    }
    cutter.reset();
    chunks
}

fn chunker(criterion: &mut Criterion) {
    let polynomial: Polynomial = "25b468838dcb75".parse().expect("a polynomial that restic made");
    let data = random_bytes(64 * 1024 * 1024);
    let mut group = criterion.benchmark_group("chunker");
    group.throughput(Throughput::Bytes(data.len() as u64)).sample_size(10);
    for search in [Search::Plain, Search::Lanes, Search::Vector] {
        let mut cutter = Cutter::new(&ChunkTables::with_search(polynomial, search));
        group.bench_function(format!("{search:?}"), |bencher| {
            bencher.iter(|| cut_all(&mut cutter, black_box(&data)));
        });
    }
    group.finish();
}

criterion_group!(benches, chunker);
criterion_main!(benches);
