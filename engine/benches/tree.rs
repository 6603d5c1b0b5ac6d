//! How fast a tree of 1,000 files is written and read.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use keepwell_engine::format::{Node, NodeKind, Timestamp, Tree, TreeWriter};
use keepwell_engine::id::Id;

const NODES: u32 = 1_000;

/// Files as in a source tree or a photo folder: one or two blobs, one owner.
fn folder() -> Vec<Node> {
    let (user, group): (Arc<str>, Arc<str>) = (Arc::from("alice"), Arc::from("users"));
    let file = |number: u32| {
        let time = Timestamp::from_unix(1_700_000_000 + i64::from(number), number * 900_001 % 1_000_000_000);
        let blob = Id::of(&number.to_le_bytes());
        Node {
            name: format!("photo-{number:06}.jpeg").into_bytes(),
            kind: NodeKind::File,
            mode: 0o644,
            mtime: time.with_offset(3600),
            atime: time.with_offset(3600),
            ctime: time.with_offset(3600),
            uid: 1000,
            gid: 100,
            user: user.clone(),
            group: group.clone(),
            inode: 4_000_000 + u64::from(number),
            device_id: 0,
            size: 1_500_000,
            links: 1,
            link_target: Vec::new(),
            extended_attributes: Vec::new(),
            generic_attributes: String::new(),
            device: 0,
            content: Some(vec![blob; 1 + (number % 2) as usize]),
            subtree: None,
            error: String::new(),
        }
    };
    (0..NODES).map(file).collect()
}

fn encode(nodes: &[Node]) -> Vec<u8> {
    let mut writer = TreeWriter::new();
    for node in nodes {
        writer.push(node).expect("the names rise");
    }
    writer.finish()
}

fn tree_of_1000_nodes(criterion: &mut Criterion) {
    let nodes = folder();
    let text = encode(&nodes);
    let mut group = criterion.benchmark_group("tree of 1000 nodes");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("encode", |bencher| bencher.iter(|| encode(black_box(&nodes))));
    group.bench_function("decode", |bencher| bencher.iter(|| Tree::decode(black_box(&text))));
    group.finish();
}

criterion_group!(benches, tree_of_1000_nodes);
criterion_main!(benches);
