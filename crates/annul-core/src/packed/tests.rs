//! The format of packed cells: golden bytes, what comes back, what is refused.

use proptest::prelude::*;

use super::*;

fn position() -> impl Strategy<Value = Position> {
    let seq = prop_oneof![0..2000_u64, 0..=Position::MAX_SEQ];
    (prop_oneof![Just(7), any::<u32>()], seq).prop_map(|(epoch, seq)| Position::new(epoch, seq))
}

fn second() -> impl Strategy<Value = UnixSeconds> {
    prop_oneof![1_800_000_000..1_800_090_000_u64, any::<u64>()].prop_map(UnixSeconds)
}

fn hashed() -> impl Strategy<Value = HashedCell> {
    let cutoffs = (
        proptest::option::of(position()),
        proptest::option::of(position()),
        proptest::option::of((second(), position())),
    );
    let until = prop_oneof![Just(Until::Never), second().prop_map(Until::At)];
    let target = prop_oneof![
        any::<[u8; 16]>(),
        any::<u8>().prop_map(|byte| [&[0; 15][..], &[byte]].concat().try_into().unwrap())
    ];
    (target, 0..TargetKind::ALL.len(), cutoffs, until)
        .prop_filter("something is in force", |(_, _, (always, position, time), _)| {
            always.is_some() || position.is_some() || time.is_some()
        })
        .prop_map(|(target, kind, (always, position, time), until)| {
            let time = time.map(|(time, at)| TimeCutoff { time, at });
            let cell = Some(Cell { always, position, time, until });
            HashedCell { target: TargetHash(target), kind: TargetKind::ALL[kind], cell }
        })
}

fn cells() -> impl Strategy<Value = Vec<HashedCell>> {
    proptest::collection::vec(hashed(), 0..40).prop_map(|mut cells| {
        cells.sort_unstable_by_key(|hashed| hashed.target);
        cells.dedup_by_key(|hashed| hashed.target);
        cells
    })
}

proptest! {
    #[test]
    fn what_is_packed_is_unpacked_in_the_order_of_hashes(cells in cells(), at in position(), reverse in any::<bool>()) {
        let mut given = cells.clone();
        if reverse {
            given.reverse();
        }
        let packed = PackedCells::of(at, given);
        let bytes = [packed.bytes(), b"behind"].concat();
        let (read, behind) = PackedCells::read(packed.packing(), at, &bytes).unwrap();
        prop_assert_eq!(behind, b"behind");
        prop_assert_eq!(read.iter().collect::<Vec<_>>(), cells);
        prop_assert_eq!(read.iter().len(), packed.len());
    }

    #[test]
    fn i15_bytes_read_in_one_way_only(bytes in proptest::collection::vec(any::<u8>(), 0..120), at in position()) {
        for cells in 0..8 {
            if let Some((cells, behind)) = PackedCells::read(packing(cells), at, &bytes) {
                prop_assert_eq!([cells.bytes(), behind].concat(), &bytes[..]);
                prop_assert_eq!(&PackedCells::of(at, cells.iter().collect()), &cells);
            }
        }
    }

    #[test]
    fn the_same_cells_are_counted_from_any_position(cells in cells(), at in position(), other in position()) {
        let packed = PackedCells::of(at, cells);
        prop_assert_eq!(&*packed.counted_from(other), &packed);
    }
}

fn golden(position: u64) -> HashedCell {
    let cell = Cell { always: None, position: Some(Position::new(1, position)), time: None, until: Until::Never };
    HashedCell { target: TargetHash([position as u8; 16]), kind: TargetKind::Subject, cell: Some(cell) }
}

const AT: Position = Position { epoch: 1, seq: 9 };

fn packing(cells: u64) -> Packing {
    Packing { cells, base: UnixSeconds(0) }
}

fn read(cells: u64, bytes: &[u8]) -> Option<PackedCells> {
    PackedCells::read(packing(cells), AT, bytes).map(|(cells, _)| cells)
}

#[test]
fn a_varint_reads_alike_in_the_midst_and_at_the_end() {
    for value in (0..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit, u64::MAX >> bit]) {
        let mut packed = Packed { bytes: Vec::new(), at: AT, base: UnixSeconds(0), last: 0 };
        packed.varint(value);
        for behind in [0, 16] {
            let bytes = [&packed.bytes[..], &[0x80; 16][..behind]].concat();
            let mut unpacked = Unpacked::of(packing(0), AT, &bytes);
            assert_eq!((unpacked.varint(), unpacked.rest.len()), (Some(value), behind), "{value:#x}");
        }
    }
}

#[test]
fn one_cell_takes_the_bytes_that_are_written_down() {
    let one = PackedCells::of(AT, vec![golden(0)]);
    assert_eq!((one.packing(), one.bytes()), (packing(1), &[0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 18][..]));
}

#[test]
fn of_several_cells_about_one_target_the_last_counts() {
    let gone = |cell: HashedCell| HashedCell { cell: None, ..cell };
    let later = HashedCell { target: golden(1).target, ..golden(2) };
    let cells = PackedCells::of(AT, vec![golden(3), golden(1), gone(golden(3)), later]);
    assert_eq!(cells.iter().collect::<Vec<_>>(), [later]);
}

#[test]
fn i15_wrong_counts_orders_and_spellings_are_refused() {
    let two = PackedCells::of(AT, vec![golden(1), golden(2)]);
    assert_eq!(read(2, two.bytes()).unwrap().len(), 2);
    for count in [3, u64::MAX] {
        assert_eq!(read(count, two.bytes()), None, "{count} cells");
    }
    let one = PackedCells::of(AT, vec![golden(0)]);
    assert_eq!(read(2, &[one.bytes(), one.bytes()].concat()), None, "a hash twice");
    let cases: [(&str, &[u8]); 6] = [
        ("no kind", &[0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 18]),
        ("an unknown kind", &[0x2f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 18]),
        ("nothing in force", &[0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("a longer spelling", &[0x22, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 18]),
        ("a sequence below zero", &[0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20]),
        (
            "a number too large",
            &[0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 18],
        ),
    ];
    for (what, bytes) in cases {
        assert_eq!(read(1, bytes), None, "{what}");
    }
}
