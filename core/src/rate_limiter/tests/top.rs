//! The keys that come most often, against a map that counts all.

use std::collections::HashMap;

use super::*;

/// What is promised of every stream.
fn keeps_its_bounds<const N: usize>(stream: &[u8]) {
    let (mut top, mut truth) = (Top::<u8, N>::new(), HashMap::<u8, u64>::new());
    for key in stream {
        let before: Vec<u8> = top.iter().map(|counted| counted.key).collect();
        let out = top.add(*key);
        *truth.entry(*key).or_default() += 1;
        // What is handed out is what was there and is not, or came and was there.
        if before.contains(key) {
            assert_eq!(out, Some(*key));
        } else if before.len() < N {
            assert_eq!(out, None);
        } else {
            assert_eq!(out, before.last().copied());
        }
        let kept: Vec<_> = top.iter().copied().collect();
        assert!(kept.len() <= N && kept.is_sorted_by(|one, next| one.count >= next.count), "{kept:?}");
        let (total, room) = (top.total(), N as u64);
        assert_eq!(total, truth.values().sum::<u64>());
        assert_eq!(total, kept.iter().map(|counted| counted.count).sum::<u64>());
        for Counted { key, count, error } in &kept {
            assert!(count - error <= truth[key] && truth[key] <= *count, "{kept:?} of {truth:?}");
            assert!(*error <= total / room);
            assert_eq!(kept.iter().filter(|other| other.key == *key).count(), 1);
        }
        for (key, came) in &truth {
            let is_kept = kept.iter().any(|counted| counted.key == *key);
            assert!(is_kept || *came <= total / room, "{key} is missing in {kept:?} of {truth:?}");
        }
        if truth.len() <= N {
            assert!(kept.iter().all(|counted| counted.error == 0), "with room for all, counts are exact");
        }
    }
}

#[test]
fn bounds_hold_for_every_stream_of_six_out_of_four_keys() {
    for number in 0..4_u32.pow(6) {
        let stream: Vec<u8> = (0..6).map(|place| (number / 4_u32.pow(place) % 4) as u8).collect();
        keeps_its_bounds::<1>(&stream);
        keeps_its_bounds::<2>(&stream);
        keeps_its_bounds::<3>(&stream);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bounds_hold_for_long_streams(
        stream in prop::collection::vec(prop_oneof![2 => 0..3_u8, 2 => 0..20_u8, 1 => any::<u8>()], 0..300),
    ) {
        keeps_its_bounds::<1>(&stream);
        keeps_its_bounds::<4>(&stream);
        keeps_its_bounds::<16>(&stream);
        keeps_its_bounds::<64>(&stream);
    }
}

#[test]
fn a_flood_of_made_up_keys_hides_nobody_who_sends_more_than_its_share() {
    let mut top = Top::<u64, 8>::new();
    for made_up in 1_000..8_000 {
        top.add(made_up);
        if made_up % 6 == 0 {
            top.add(7);
        }
    }
    let most = top.iter().find(|counted| counted.key == 7).unwrap();
    let came = (1_000..8_000).filter(|made_up| made_up % 6 == 0).count() as u64;
    assert!(came > top.total() / 8 && most.count - most.error <= came && came <= most.count);
}

#[test]
fn without_room_nothing_is_kept_and_with_it_nothing_is_cloned() {
    assert_eq!(Top::<u8, 0>::new().add(7), Some(7));
    let mut top = Top::<std::boxed::Box<u8>, 1>::default();
    assert!(top.add(1.into()).is_none());
    assert_eq!((top.add(2.into()), top.add(2.into())), (Some(1.into()), Some(2.into())));
    assert_eq!(top.iter().next(), Some(&Counted { key: 2.into(), count: 3, error: 1 }));
}
