// Deterministic benchmark data. rustc -O make-data.rs; make-data big|rand|vm|tiny DIR [SEED [SCALE]]
// Sizes are for SCALE 1, the default; 0.05 makes a twentieth of each (fewer bytes, fewer folders), from the same streams.
// b: logs, CSV, SQL (2 GiB); c: random (2 GiB); d1, d2, d3: a disk image, 2 % of its 4 KiB blocks changed at random,
// and the same amount in 256 KiB runs, each after an insertion of 1 MB at 30 % (2 GiB each); e: 300,000 tiny files.
// For a source tree take an unpacked Debian source package (linux-source-6.1: about 79,000 files).
use std::fs::{self, File};
use std::io::{BufWriter, Write};
#[derive(Clone)]
struct R(u64);
impl R {
    fn n(&mut self) -> u64 { // splitmix64
        self.0 = self.0.wrapping_add(0x9E3779B97F4A7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58476D1CE4E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D049BB133111EB);
        z ^ (z >> 31)
    }
    fn below(&mut self, k: u64) -> u64 { ((self.n() as u128 * k as u128) >> 64) as u64 }
    fn fill(&mut self, b: &mut [u8]) { for c in b.chunks_mut(8) { let v = self.n().to_le_bytes(); c.copy_from_slice(&v[..c.len()]); } }
}
struct Words(Vec<String>);
impl Words {
    fn new() -> Self {
        let mut r = rng(0xC0FFEE);
        let s = ["ba","co","di","fu","ge","ho","in","jo","ka","le","mi","no","or","pa","qui","re","sta","tion","un","ver","wi","xe","yo","ze","th","ing","er","al","ment","pre"];
        Words((0..8000).map(|i| { let k = 1 + r.below(3) + (i > 300) as u64; (0..k).map(|_| s[r.below(s.len() as u64) as usize]).collect() }).collect())
    }
    // approx. Zipf: product of two uniforms
    fn w(&self, r: &mut R) -> &str { let a = r.below(1 << 20); let b = r.below(1 << 20); let i = ((a * b) >> 20) * 8000 >> 20; &self.0[i as usize] }
    fn text(&self, r: &mut R, n: usize, out: &mut Vec<u8>) { for i in 0..n { if i > 0 { out.push(b' '); } out.extend_from_slice(self.w(r).as_bytes()); } }
}
const MIB: u64 = 1 << 20;
fn rng(stream: u64) -> R { let seed = std::env::args().nth(3).map_or(0, |s| s.parse::<u64>().expect("SEED is a number")); R(stream ^ seed.wrapping_mul(0x9E37_79B9)) }
fn scale() -> f64 { std::env::args().nth(4).map_or(1.0, |s| s.parse().expect("SCALE is a number")) }
fn scaled(n: u64) -> u64 { (n as f64 * scale()).ceil() as u64 }
fn ts(t: u64) -> (u64, u64, u64, u64, u64) { (t / 86_400_000 % 28 + 1, t / 3_600_000 % 24, t / 60_000 % 60, t / 1000 % 60, t % 1000) }
fn log_line(r: &mut R, w: &Words, t: u64, o: &mut Vec<u8>) {
    let (d, h, m, s, ms) = ts(t);
    let lv = ["INFO", "INFO", "INFO", "INFO", "DEBUG", "DEBUG", "WARN", "ERROR"][r.below(8) as usize];
    let host = r.below(24);
    write!(o, "2025-03-{d:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z {lv:5} web-{host:02} [worker-{}] ", r.below(32)).unwrap();
    match r.below(4) {
        0 | 1 => write!(o, "10.{}.{}.{} \"GET /api/v{}/{}/{} HTTP/1.1\" {} {} {}ms req={:016x}\n", r.below(8), r.below(256), r.below(256), 1 + r.below(3), w.w(r), r.below(200_000), [200, 200, 200, 200, 304, 404, 500, 201][r.below(8) as usize], r.below(60_000), r.below(900), r.n()).unwrap(),
        2 => { write!(o, "module={} msg=\"", w.w(r)).unwrap(); let n = 4 + r.below(12) as usize; w.text(r, n, o); writeln!(o, "\" user={}", r.below(50_000)).unwrap(); }
        _ => writeln!(o, "db query took {}.{:02}ms rows={} table={} shard={}", r.below(120), r.below(100), r.below(5000), w.w(r), r.below(16)).unwrap(),
    }
}
fn csv_line(r: &mut R, w: &Words, id: u64, o: &mut Vec<u8>) {
    let (d, h, m, s, _) = ts(id * 777);
    writeln!(o, "{id},2024-{:02}-{d:02} {h:02}:{m:02}:{s:02},{},{},{}.{:02},{},{:.4},{},{}", 1 + id / 1_000_000 % 12, r.below(120_000), ["EUR", "USD", "GBP", "JPY"][r.below(4) as usize], r.below(5000), r.below(100), ["new", "paid", "paid", "shipped", "closed", "refund"][r.below(6) as usize], r.below(10_000_000) as f64 / 1e5, w.w(r), r.below(2)).unwrap();
}
fn sql_line(r: &mut R, w: &Words, id: u64, o: &mut Vec<u8>) {
    if id % 64 == 0 { o.extend_from_slice(b"INSERT INTO `articles` (`id`,`author_id`,`slug`,`title`,`body`,`hash`,`created`) VALUES\n"); }
    write!(o, "({id},{},'{}-{}','", r.below(40_000), w.w(r), w.w(r)).unwrap();
    let n = 3 + r.below(5) as usize; w.text(r, n, o); o.extend_from_slice(b"','");
    let n = 10 + r.below(60) as usize; w.text(r, n, o);
    write!(o, "','{:016x}{:016x}',{})", r.n(), r.n(), 1_600_000_000 + id * 37 + r.below(37)).unwrap();
    o.extend_from_slice(if id % 64 == 63 { b";\n" } else { b",\n" });
}
fn lines(path: &str, bytes: u64, seed: u64, f: fn(&mut R, &Words, u64, &mut Vec<u8>), step: u64) {
    let w = Words::new(); let mut r = rng(seed); let mut o = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    let mut done = 0u64; let mut i = 0u64; let mut b = Vec::with_capacity(4096);
    while done < bytes { b.clear(); f(&mut r, &w, i, &mut b); let k = (bytes - done).min(b.len() as u64) as usize; o.write_all(&b[..k]).unwrap(); done += k as u64; i += step; }
    o.flush().unwrap();
}
fn random(path: &str, bytes: u64, seed: u64) {
    let mut r = rng(seed); let mut f = File::create(path).unwrap(); let mut b = vec![0u8; 1 << 20];
    let mut left = bytes; while left > 0 { let k = left.min(1 << 20) as usize; r.fill(&mut b[..k]); f.write_all(&b[..k]).unwrap(); left -= k as u64; }
}
fn vm(path: &str) -> Vec<u8> {
    let size = scaled(2048 * MIB / 4096) * 4096; let w = Words::new(); let mut r = rng(0xD15C); let mut v: Vec<u8> = Vec::with_capacity(size as usize + 8 * MIB as usize);
    while (v.len() as u64) < size {
        let kind = r.below(100); let cap = if r.below(8) == 0 { 2048 } else { 128 }; let len = (1 + r.below(cap)) * 4096; let start = v.len(); let end = start + len as usize;
        if kind < 20 { v.resize(end, 0); }                                   // holes
        else if kind < 50 { let mut i = r.below(1 << 40); while v.len() < end { log_line(&mut r, &w, i, &mut v); i += 3; } v.truncate(end); } // logs, text
        else if kind < 75 { v.resize(end, 0); r.fill(&mut v[start..]); }      // media, archives
        else { // binary-like: 16-byte records, few varying bytes
            let base = r.n(); let mut c = 0u64;
            while v.len() < end { let x = r.n(); let mut rec = [0u8; 16]; rec[..8].copy_from_slice(&(base.wrapping_add(c * 24)).to_le_bytes()); rec[8] = x as u8 & 15; rec[10] = (x >> 8) as u8; if x & 0x30000 == 0 { rec[12..16].copy_from_slice(&((x >> 32) as u32).to_le_bytes()); } v.extend_from_slice(&rec); c += 1; }
            v.truncate(end);
        }
    }
    v.truncate(size as usize); fs::write(path, &v).unwrap(); v
}
fn main() {
    let a: Vec<String> = std::env::args().collect(); let d = &a[2];
    match a[1].as_str() {
        "big" => { fs::create_dir_all(format!("{d}/b")).unwrap();
            lines(&format!("{d}/b/app.log"), scaled(800 * MIB), 1, log_line, 3); lines(&format!("{d}/b/orders.csv"), scaled(600 * MIB), 2, csv_line, 1); lines(&format!("{d}/b/dump.sql"), scaled(648 * MIB), 3, sql_line, 1); }
        "rand" => { fs::create_dir_all(format!("{d}/c")).unwrap(); random(&format!("{d}/c/rand0.bin"), scaled(1536 * MIB), 10); random(&format!("{d}/c/rand1.bin"), scaled(512 * MIB), 11); }
        "vm" => { for s in ["d1", "d2", "d3"] { fs::create_dir_all(format!("{d}/{s}")).unwrap(); }
            let v = vm(&format!("{d}/d1/vm.img")); let blocks = v.len() / 4096; let cut = v.len() / 10 * 3 / 4096 * 4096;
            let mut ins = vec![0u8; 1_000_000]; rng(77).fill(&mut ins);
            let save = |n: &str, x: &[u8]| { let mut f = File::create(format!("{d}/{n}/vm.img")).unwrap(); f.write_all(&x[..cut]).unwrap(); f.write_all(&ins).unwrap(); f.write_all(&x[cut..]).unwrap(); };
            let mut x = v.clone(); let mut r = rng(5); // d2: 2% of the 4K blocks, uniformly scattered
            for _ in 0..blocks / 50 { let o = r.below(blocks as u64) as usize * 4096; r.fill(&mut x[o..o + 4096]); } save("d2", &x);
            let mut x = v; let mut r = rng(6); // d3: 2% of the 4K blocks in 64-block (256 KiB) runs
            for _ in 0..blocks / 50 / 64 { let o = r.below(blocks as u64 - 64) as usize * 4096; r.fill(&mut x[o..o + 64 * 4096]); } save("d3", &x); }
        "tiny" => { let w = Words::new(); let mut r = rng(20); let mut b = Vec::new();
            for i in 0..scaled(30) { for j in 0..50 { let p = format!("{d}/e/{i:02}/{j:02}"); fs::create_dir_all(&p).unwrap();
                for k in 0..200 { b.clear(); let n = 100 + r.below(1901) as usize; while b.len() < n { w.text(&mut r, 12, &mut b); b.push(b'\n'); } b.truncate(n); fs::write(format!("{p}/f{k:03}-{}.txt", r.below(1 << 24)), &b).unwrap(); } } } }
        _ => panic!(),
    }
}
