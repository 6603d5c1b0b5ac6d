//! Trees and nodes against what restic wrote, against what it never writes, and there and back.
//!
//! The vectors are tree blobs of restic 0.14 (Go 1.19), named by zone; their ids were restic's.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::{
    BadNode, ExtendedAttribute, Node, NodeFault, NodeKind, Timestamp, Tree, TreeWriteError, TreeWriter,
};
use crate::id::Id;

const NAMES_UTC: &[u8] = include_bytes!("vectors/names-utc.json");
const NAMES_KOLKATA: &[u8] = include_bytes!("vectors/names-kolkata.json");
const FOLDERS: &[u8] = include_bytes!("vectors/folders-utc.json");
const LOSSY: &[u8] = include_bytes!("vectors/lossy-utc.json");

fn encode(nodes: &[Node]) -> Vec<u8> {
    let mut writer = TreeWriter::new();
    for node in nodes {
        writer.push(node).unwrap();
    }
    writer.finish()
}

/// The only entry of a tree of one.
fn node_of(json: &str) -> Node {
    let tree = Tree::decode(format!("{{\"nodes\":[{json}]}}").as_bytes()).unwrap();
    assert_eq!(tree.bad_nodes(), []);
    tree.nodes()[0].clone()
}

fn text_of(node: &Node) -> String {
    let mut out = Vec::new();
    node.write_json(&mut out);
    String::from_utf8(out).unwrap()
}

fn file(name: &str) -> Node {
    let id = Id([7; 32]);
    let mut node = node_of(r#"{"name":"x","type":"file","content":[]}"#);
    node.name = name.as_bytes().to_vec();
    node.content = Some(vec![id]);
    node
}

#[test]
fn trees_of_restic_are_written_again_byte_for_byte() {
    for (id, text) in [
        ("c7e1c3fba2d38c1e66ba0812fd5c9888edb7f25487b2c81e7e5357bae00cc7a0", NAMES_UTC),
        ("c1e0c584f22c05f4a5fd7571a12a3d6ea714a8e45c2d8acca5c6e51257107a0d", NAMES_KOLKATA),
        ("fa92fd9cc66a82f470dac6f405a834be83172a39a21117e7505bb4194fb3d584", FOLDERS),
    ] {
        assert_eq!(Id::of(text).to_hex(), id);
        let tree = Tree::decode(text).unwrap();
        assert_eq!((tree.bad_nodes(), tree.out_of_order()), (&[][..], None));
        assert_eq!(String::from_utf8(encode(tree.nodes())).unwrap(), String::from_utf8_lossy(text));
    }
}

#[test]
fn odd_names_and_metadata_of_a_restic_tree_are_read() {
    let tree = Tree::decode(NAMES_UTC).unwrap();
    assert_eq!(tree.nodes().len(), 40);
    let names: [&[u8]; 7] = [
        b"bell\x07bs\x08ff\x0cvt\x0b",
        b"bad\xff\xfeutf8",
        b"surr\xed\xa0\x80",
        "\u{2028}ls\u{2029}ps".as_bytes(),
        "tag\u{e0001}".as_bytes(),
        "unassigned\u{378}\u{ffff}".as_bytes(),
        b"\\x41",
    ];
    for name in names {
        assert_eq!(tree.node(name).unwrap().kind, NodeKind::File, "{name:?}");
    }
    assert_eq!(tree.node(b"absent"), None);
    let old = tree.node(b"quote\"s").unwrap();
    assert_eq!(old.mtime, Timestamp::from_unix(-1_892_160_001, 876_543_211));
    assert_eq!(old.atime, Timestamp::from_unix(-2, 999_999_999));
    assert_eq!(tree.node(b"setuid").unwrap().permissions(), 0o6755);
    assert_eq!(tree.node(b"sticky").unwrap().permissions(), 0o1777);
    assert_eq!(tree.node(b"empty").unwrap().content, Some(Vec::new()));
    assert_eq!(tree.node(b"fifo").unwrap().content, None);
    assert_eq!(tree.node(b"null").unwrap().device, 0x103);
    assert_eq!(tree.node(b"link-u").unwrap().link_target, "t\u{2028}é\u{1}\u{7f}<&>\"\\\n".as_bytes());
    let values = |name: &str| {
        let attributes = &tree.node(b"plain").unwrap().extended_attributes;
        attributes.iter().find(|attribute| attribute.name == name).unwrap().value.clone()
    };
    assert_eq!(values("user.bin"), (0..=255).collect::<Vec<u8>>());
    assert_eq!(values("user.empty"), b"");
    assert_eq!(values("user.é\"\u{2028}"), b"x");
}

/// What an older Go wrote, read and written again, is as today's Go would write it.
#[test]
fn what_an_older_restic_lost_stays_lost_and_is_written_as_today() {
    let tree = Tree::decode(LOSSY).unwrap();
    assert_eq!(tree.nodes()[0].extended_attributes[0].name, "user.bad\u{fffd}\u{fffd}");
    let expected = String::from_utf8(LOSSY.to_vec()).unwrap();
    let expected =
        expected.replace("\\ufffd", "\u{fffd}").replace("\\u0008", "\\b").replace("\\u000c", "\\f");
    assert_eq!(String::from_utf8(encode(tree.nodes())).unwrap(), expected);
}

#[test]
fn a_link_target_that_is_not_text_is_stored_twice() {
    let mut node = file("l");
    (node.kind, node.content) = (NodeKind::Symlink, None);
    node.link_target = b"to\xff<".to_vec();
    let text = text_of(&node);
    assert!(
        text.ends_with(r#","linktarget":"to\ufffd\u003c","linktarget_raw":"dG//PA==","content":null}"#),
        "{text}"
    );
    assert_eq!(node_of(&text), node);
}

#[test]
fn every_field_stands_where_go_puts_it() {
    let text = concat!(
        r#"{"name":"n","type":"file","mode":420,"mtime":"2024-05-06T07:08:09.5+02:00","#,
        r#""atime":"2024-05-06T07:08:09Z","ctime":"0001-01-01T00:00:00Z","uid":1,"gid":2,"user":"u","#,
        r#""group":"g","inode":18446744073709551615,"device_id":4,"size":5,"links":6,"linktarget":"t","#,
        r#""linktarget_raw":"/w==","extended_attributes":[{"name":"user.a","value":"AQ=="},"#,
        r#"{"name":"user.b","value":""}],"generic_attributes":{"windows.file_attributes":32},"#,
        r#""device":7,"content":["0000000000000000000000000000000000000000000000000000000000000000","#,
        r#""0101010101010101010101010101010101010101010101010101010101010101"],"#,
        r#""subtree":"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff","error":"e"}"#,
    );
    let node = node_of(text);
    assert_eq!(node.link_target, b"\xff");
    assert_eq!(text_of(&node), text.replace(r#""linktarget":"t""#, r#""linktarget":"\ufffd""#));
}

#[test]
fn missing_null_and_unknown_fields_read_as_in_go() {
    let bare = node_of(r#"{"name":"n","type":"dir"}"#);
    assert_eq!((bare.mtime, bare.content.clone(), bare.subtree), (Timestamp::GO_ZERO, None, None));
    for other in [
        r#"{"type":"dir","later":{"a":[1,{"b":null}]},"name":"n"}"#,
        r#"{"name":"n","type":"dir","mode":null,"mtime":null,"uid":null,"user":null,"inode":null,
           "linktarget":null,"linktarget_raw":null,"extended_attributes":null,"generic_attributes":null,
           "content":null,"subtree":null,"error":null}"#,
        r#"{"name":"first","name":"n","type":"file","type":"dir","generic_attributes":{ }}"#,
        r#"{"name":"\\x6e","type":"d\u0069r","Mode":7}"#,
    ] {
        assert_eq!(node_of(other), bare, "{other}");
    }
}

#[test]
fn a_tree_may_have_other_fields_and_null_nodes() {
    let node = r#"{"name":"n","type":"dir"}"#;
    for (text, count) in [
        (format!(r#"{{"nodes":[{node}]}}"#), 1),
        (format!(r#" {{ "a" : [1,[2]], "nodes" : [ {node} ] , "z":{{"nodes":3}} }} "#), 1),
        (r#"{"nodes":[]}"#.to_owned(), 0),
        (r#"{"nodes":null}"#.to_owned(), 0),
    ] {
        assert_eq!(Tree::decode(text.as_bytes()).unwrap().nodes().len(), count, "{text}");
    }
}

#[test]
fn text_that_is_no_tree_is_an_error() {
    let cut = &NAMES_UTC[..NAMES_UTC.len() - 4];
    let nested = "[".repeat(100_000);
    let nested_nodes = format!(r#"{{"nodes":{nested}"#);
    let cases: [&[u8]; 14] = [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"3",
        br#"{"nodes":{}}"#,
        br#"{"nodes":"x"}"#,
        br#"{"nodes":[]}x"#,
        br#"{"nodes":[{"name":"a"]}"#,
        br#"{"nodes":[],"nodes":[]}"#,
        b"{\"nodes\":[{\"name\":\"\xff\"}]}",
        cut,
        nested.as_bytes(),
        nested_nodes.as_bytes(),
    ];
    for text in cases {
        let shown = String::from_utf8_lossy(&text[..text.len().min(60)]).into_owned();
        assert_eq!(Tree::decode(text).map_err(|error| error.object), Err("tree"), "{shown}");
    }
}

/// The entry as stored, the name it is told by, and whether the fault is the right one.
type BadEntry<'a> = (&'a str, &'a [u8], fn(&NodeFault) -> bool);

#[test]
fn unsound_entries_are_named_and_the_others_kept() {
    let deep = format!(r#"{{"name":"bad","type":"file","uid":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
    let cases: [BadEntry; 18] = [
        (r#"{"name":"","type":"dir"}"#, b"", |fault| *fault == NodeFault::EmptyName),
        (r#"{"type":"dir"}"#, b"", |fault| *fault == NodeFault::EmptyName),
        (r#"{"name":".","type":"dir"}"#, b".", |fault| *fault == NodeFault::RelativeName),
        (r#"{"name":"\\x2e.","type":"dir"}"#, b"..", |fault| *fault == NodeFault::RelativeName),
        (r#"{"name":"../x","type":"dir"}"#, b"../x", |fault| *fault == NodeFault::ForbiddenByte),
        (r#"{"name":"a\\x2fb","type":"dir"}"#, b"a/b", |fault| *fault == NodeFault::ForbiddenByte),
        (r#"{"name":"a\\000b","type":"dir"}"#, b"a\0b", |fault| *fault == NodeFault::ForbiddenByte),
        (r#"{"name":"a\u0000b","type":"dir"}"#, b"a\0b", |fault| *fault == NodeFault::ForbiddenByte),
        (r#"{"name":"a\\q","type":"dir"}"#, b"a\\q", |fault| matches!(fault, NodeFault::Quoting(_))),
        (r#"{"name":"a\"","type":"dir"}"#, b"a\"", |fault| matches!(fault, NodeFault::Quoting(_))),
        (r#"{"name":"bad","type":"door"}"#, b"bad", |fault| *fault == NodeFault::UnknownKind("door".into())),
        (r#"{"name":"bad"}"#, b"bad", |fault| *fault == NodeFault::UnknownKind(String::new())),
        (r#"{"name":"bad","type":"dir","uid":4294967296}"#, b"bad", malformed),
        (r#"{"name":"bad","type":"dir","size":1e999}"#, b"bad", malformed),
        (r#"{"name":"bad","type":"dir","size":-1}"#, b"bad", malformed),
        (r#"{"name":"bad","type":"dir","mtime":"yesterday"}"#, b"bad", malformed),
        (r#"{"name":"bad","type":"file","content":[null]}"#, b"bad", malformed),
        (&deep, b"bad", malformed),
    ];
    let (first, last) = (text_of(&file("!first")), text_of(&file("~last")));
    for (entry, name, expected) in cases {
        let shown = &entry[..entry.len().min(60)];
        let tree = Tree::decode(format!("{{\"nodes\":[{first},{entry},{last}]}}").as_bytes()).unwrap();
        assert_eq!(tree.nodes(), [file("!first"), file("~last")], "{shown}");
        let [bad] = tree.bad_nodes() else { panic!("{shown}: {:?}", tree.bad_nodes()) };
        assert_eq!(bad.name, name, "{shown}");
        assert!(expected(&bad.fault), "{shown}: {}", bad.fault);
    }
}

fn malformed(fault: &NodeFault) -> bool {
    matches!(fault, NodeFault::Malformed(_))
}

#[test]
fn entries_of_other_json_types_are_bad_and_the_others_kept() {
    let good = text_of(&file("good"));
    let text = format!(r#"{{"nodes":[3,null,"x",[],{good},{{"name":5}}]}}"#);
    let tree = Tree::decode(text.as_bytes()).unwrap();
    assert_eq!(tree.nodes(), [file("good")]);
    assert_eq!(tree.bad_nodes().iter().filter(|bad| malformed(&bad.fault)).count(), 5);
}

#[test]
fn of_entries_with_one_name_the_first_stays() {
    let (link, dir) =
        (r#"{"name":"a","type":"symlink","linktarget":"/etc"}"#, r#"{"name":"a","type":"dir"}"#);
    let between = text_of(&file("b"));
    let duplicate = BadNode { name: b"a".to_vec(), fault: NodeFault::Duplicate };
    for text in [
        format!(r#"{{"nodes":[{link},{dir},{between}]}}"#),
        format!(r#"{{"nodes":[{link},{between},{dir}]}}"#),
    ] {
        let tree = Tree::decode(text.as_bytes()).unwrap();
        assert_eq!(tree.nodes(), [node_of(link), file("b")]);
        assert_eq!(tree.bad_nodes(), std::slice::from_ref(&duplicate));
        assert_eq!(tree.out_of_order(), Some(&b"a"[..]));
        assert_eq!(duplicate.to_string(), "\"a\": name stands twice in its folder");
    }
}

#[test]
fn entries_out_of_order_are_kept_sorted_and_told() {
    let (one, two, three) = (text_of(&file("1")), text_of(&file("2")), text_of(&file("3")));
    let tree = Tree::decode(format!(r#"{{"nodes":[{three},{one},{two}]}}"#).as_bytes()).unwrap();
    assert_eq!(tree.nodes(), [file("1"), file("2"), file("3")]);
    assert_eq!(tree.out_of_order(), Some(&b"1"[..]));
    assert_eq!(tree.bad_nodes(), []);
}

#[test]
fn the_writer_refuses_what_no_tree_may_hold_and_goes_on() {
    let mut writer = TreeWriter::new();
    assert!(writer.is_empty());
    writer.push(&file("b")).unwrap();
    for name in ["b", "a", "B"] {
        let error = writer.push(&file(name)).unwrap_err();
        assert_eq!(error, TreeWriteError::OutOfOrder { name: name.into(), last: "b".into() });
    }
    for name in ["", ".", "..", "c/d", "c\0"] {
        assert!(matches!(writer.push(&file(name)), Err(TreeWriteError::Name { .. })), "{name:?}");
    }
    writer.push_encoded(b"c", text_of(&file("c")).as_bytes()).unwrap();
    assert_eq!(writer.len(), 2);
    assert_eq!(writer.finish(), encode(&[file("b"), file("c")]));
    assert_eq!(TreeWriter::new().finish(), b"{\"nodes\":[]}\n");
}

fn a_name() -> impl Strategy<Value = Vec<u8>> {
    let bytes = vec(prop_oneof![any::<u8>(), 0u8..0x80], 1..24);
    let text = any::<String>().prop_map(String::into_bytes);
    prop_oneof![bytes, text].prop_filter("storable", |name| super::node_decode::check_name(name).is_ok())
}

fn a_time() -> impl Strategy<Value = Timestamp> {
    let seconds = prop_oneof![-62_000_000_000i64..253_000_000_000, -10i64..10];
    (seconds, prop_oneof![Just(0), 0u32..1_000_000_000], -1439i32..1440).prop_map(
        |(seconds, nanoseconds, minutes)| Timestamp { seconds, nanoseconds, offset_seconds: minutes * 60 },
    )
}

fn a_node() -> impl Strategy<Value = Node> {
    let kinds = prop::sample::select(vec![
        NodeKind::File,
        NodeKind::Dir,
        NodeKind::Symlink,
        NodeKind::Device,
        NodeKind::CharDevice,
        NodeKind::Fifo,
        NodeKind::Socket,
        NodeKind::Irregular,
    ]);
    let owner = prop_oneof![Just(String::new()), any::<String>()];
    let attribute =
        (any::<String>(), any::<Vec<u8>>()).prop_map(|(name, value)| ExtendedAttribute { name, value });
    let ids = || any::<[u8; 32]>().prop_map(Id);
    let head = (kinds, any::<u32>(), a_time(), a_time(), a_time(), any::<(u32, u32)>(), owner.clone(), owner);
    let tail = (
        any::<[u64; 5]>(),
        any::<Vec<u8>>(),
        vec(attribute, 0..3),
        prop_oneof![Just(""), Just(r#"{"windows.x":[1,"<"]}"#)],
        option::of(vec(ids(), 0..4)),
        option::of(ids()),
        any::<String>(),
    );
    (head, tail).prop_map(|(head, tail)| {
        let (kind, mode, mtime, atime, ctime, (uid, gid), user, group) = head;
        let (counts, link_target, extended_attributes, generic_attributes, content, subtree, error) = tail;
        let [inode, device_id, size, links, device] = counts;
        Node {
            name: Vec::new(),
            kind,
            mode,
            mtime,
            atime,
            ctime,
            uid,
            gid,
            user: user.into(),
            group: group.into(),
            inode,
            device_id,
            size,
            links,
            link_target,
            extended_attributes,
            generic_attributes: generic_attributes.to_owned(),
            device,
            content,
            subtree,
            error,
        }
    })
}

proptest! {
    #[test]
    fn every_tree_comes_back(entries in btree_map(a_name(), a_node(), 0..6)) {
        let named = entries.into_iter().map(|(name, node)| Node { name, ..node });
        let nodes: Vec<Node> = named.collect();
        let text = encode(&nodes);
        let tree = Tree::decode(&text).unwrap();
        prop_assert_eq!(tree.bad_nodes(), &[]);
        prop_assert_eq!(tree.nodes(), &nodes[..]);
        prop_assert_eq!(encode(tree.nodes()), text);
    }

    #[test]
    fn no_damage_to_a_tree_makes_the_reader_panic(at in 0..FOLDERS.len(), byte: u8, cut: bool) {
        let mut text = FOLDERS.to_vec();
        text[at] = byte;
        if cut {
            text.truncate(at);
        }
        if let Ok(tree) = Tree::decode(&text) {
            for node in tree.nodes() {
                prop_assert!(super::node_decode::check_name(&node.name).is_ok());
            }
        }
    }
}
