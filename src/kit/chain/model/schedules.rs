//! Many thousand schedules of the model, most of which nobody would think of.

use proptest::prelude::*;

use super::World;

/// Places in all, with those that join.
const MOST: usize = 12;

#[derive(Debug, Clone)]
enum Happening {
    Steps { at: usize, what: u8, which: usize },
    Kill(usize),
    Break { at: usize, which: usize },
    SinkFails(usize),
    Join,
    Evict(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    let step = (any::<usize>(), any::<u8>(), any::<usize>()).prop_map(|(at, what, which)| Happening::Steps {
        at,
        what,
        which,
    });
    prop_oneof![
        60 => step,
        1 => any::<usize>().prop_map(Happening::Kill),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(at, which)| Happening::Break { at, which }),
        1 => any::<usize>().prop_map(Happening::SinkFails),
        1 => Just(Happening::Join),
        1 => any::<usize>().prop_map(Happening::Evict),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn whoever_survives_has_it_all(
        count in 1usize..9,
        arity in 1usize..=4,
        length in 0u64..25,
        happenings in proptest::collection::vec(happening(), 0..500),
    ) {
        let mut world = World::new(count, arity, length);
        for happening in happenings {
            let all = world.places.len();
            match happening {
                // Turns, so that something moves in most schedules.
                Happening::Steps { at, what, which } => {
                    for turn in 0..3 {
                        world.step(at % all, what.wrapping_add(turn), which);
                    }
                }
                Happening::Kill(at) => world.kill(at % all),
                Happening::Break { at, which } => {
                    let at = at % all;
                    if let Some((index, _)) = world.link(at, which) {
                        world.break_link(at, index);
                    }
                }
                Happening::SinkFails(at) => {
                    let place = &mut world.places[at % all];
                    if place.alive {
                        place.sink_well = false;
                        place.ledger.drop_sink();
                    }
                }
                Happening::Join => {
                    if all < MOST {
                        world.join(arity);
                    }
                }
                Happening::Evict(at) => world.evict(at % all),
            }
        }
        world.run_out();
        for (at, place) in world.places.iter().enumerate().skip(1) {
            let ledger = &place.ledger;
            prop_assert!(!place.alive, "{} still waits at {} of {}", at, ledger.high(), length);
            if place.left {
                prop_assert_eq!((ledger.high(), ledger.end()), (length, Some(length)));
                prop_assert!(!place.sink_well || (place.began, ledger.sink()) == (0, Some(length)));
            }
            // What it did not give to its sink yet is there when it comes back.
            if place.away {
                prop_assert!(ledger.clone().trim() <= ledger.sink().unwrap_or(0));
                prop_assert!(ledger.end().is_none() || ledger.sink() == Some(length));
            }
        }
        prop_assert!(world.places[0].ledger.drained(), "the server waits for nobody");
    }
}
