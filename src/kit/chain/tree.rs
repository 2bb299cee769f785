//! Who feeds whom, and who does when somebody is gone: the server's decisions, positions alone. `model.rs` drives them
//! through many thousand failures.

use super::plan;

/// A place in the tree; the server is place 0.
#[derive(Debug, Clone)]
struct Knot {
    parent: usize,
    /// Takes part: feeds and is fed.
    alive: bool,
    /// It and all behind it have the whole stream: never fed again.
    fed: bool,
    /// It joined later than others, and whoever is in front may have acknowledged all before it did.
    late: bool,
    /// Of the link that feeds it; a link of another epoch is over.
    epoch: u64,
    /// Links that broke in a row without bringing anything.
    tries: u32,
    /// How far it was when the last link broke.
    had: u64,
}

/// What a broken link leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// Not the link of today.
    Old,
    /// These feed others than before, or over another link: tell them.
    Mended(Vec<usize>),
    /// Nobody reaches this node.
    Hopeless,
}

/// Links that break in a row before another node has to feed.
const TRIES: u32 = 3;

pub struct Tree {
    knots: Vec<Knot>,
}

impl Tree {
    /// Nodes 1 to `count` in the shape of `arity`.
    pub fn new(count: usize, arity: usize) -> Self {
        let knot = |position: usize| Knot {
            parent: if position == 0 { 0 } else { plan::front(position, arity) },
            alive: true,
            fed: false,
            late: false,
            epoch: 1,
            tries: 0,
            had: 0,
        };
        Tree { knots: (0..=count).map(knot).collect() }
    }

    /// Who `position` feeds: position and epoch, and how often it was tried in vain.
    pub fn children(&self, position: usize) -> Vec<(usize, u64, u32)> {
        let knots = self.knots.iter().enumerate().skip(1);
        knots
            .filter(|(_, knot)| knot.parent == position && knot.alive && !knot.fed)
            .map(|(at, knot)| (at, knot.epoch, knot.tries))
            .collect()
    }

    /// One more node, behind the last one that feeds fewer than `arity`. Gives its position and who feeds it.
    pub fn append(&mut self, arity: usize) -> (usize, usize) {
        let position = self.knots.len();
        let able = |at: &usize| self.knots[*at].alive && !self.knots[*at].fed && self.children(*at).len() < arity;
        let parent = (1..position).rev().find(able).unwrap_or(0);
        self.knots.push(Knot { parent, alive: true, fed: false, late: true, epoch: 1, tries: 0, had: 0 });
        (position, parent)
    }

    /// Who feeds it; `None` for what is no node.
    pub fn parent_of(&self, position: usize) -> Option<usize> {
        self.knots.get(position).filter(|_| position > 0).map(|knot| knot.parent)
    }

    /// The next one in front that is alive; whoever is dead on the way was behind it.
    fn ancestor(&self, position: usize) -> usize {
        let mut at = self.knots[position].parent;
        while at != 0 && !self.knots[at].alive {
            at = self.knots[at].parent;
        }
        at
    }

    /// The same among those who still have to feed.
    fn heir(&self, position: usize) -> usize {
        let mut at = self.ancestor(position);
        while at != 0 && self.knots[at].fed {
            at = self.ancestor(at);
        }
        at
    }

    /// A node is gone: whoever it fed is fed by the next one in front of it. Gives who has to be told.
    pub fn gone(&mut self, position: usize) -> Vec<usize> {
        if !std::mem::replace(&mut self.knots[position].alive, false) {
            return Vec::new();
        }
        // Who fed it need not wait for it any more.
        let mut told = vec![self.ancestor(position)];
        let orphans = self.children(position);
        let heir = self.heir(position);
        if !orphans.is_empty() && !told.contains(&heir) {
            told.push(heir);
        }
        for (orphan, ..) in orphans {
            let knot = &mut self.knots[orphan];
            (knot.parent, knot.tries) = (heir, 0);
            knot.epoch += 1;
        }
        told
    }

    /// A node has the whole stream, and so has everybody behind it. Gives who has to be told.
    pub fn complete(&mut self, position: usize) -> Vec<usize> {
        let mut found = vec![position];
        while let Some(at) = found.pop() {
            self.knots[at].fed = true;
            // What it said counts for those it feeds itself; for what they feed, only where that was so from the beginning.
            let covered = |knot: &Knot| knot.parent == at && !knot.fed && (at == position || !knot.late);
            found.extend((1..self.knots.len()).filter(|&child| covered(&self.knots[child])));
        }
        vec![self.ancestor(position)]
    }

    /// The link that feeds `position` is over; `has` is how far that node is. The same one tries again, then the next
    /// one in front.
    pub fn broken(&mut self, position: usize, epoch: u64, has: u64) -> Broken {
        let Some(knot) = self.knots.get_mut(position).filter(|knot| knot.alive && !knot.fed && knot.epoch == epoch)
        else {
            return Broken::Old;
        };
        knot.tries = if has > knot.had { 1 } else { knot.tries + 1 };
        (knot.had, knot.epoch) = (has, epoch + 1);
        let before = knot.parent;
        if knot.tries <= TRIES {
            return Broken::Mended(vec![before]);
        }
        knot.tries = 0;
        if before == 0 {
            return Broken::Hopeless;
        }
        let heir = self.heir(before);
        self.knots[position].parent = heir;
        Broken::Mended(vec![before, heir])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(tree: &Tree, position: usize) -> Vec<usize> {
        tree.children(position).into_iter().map(|child| child.0).collect()
    }

    #[test]
    fn orphans_go_to_the_next_one_in_front() {
        let mut tree = Tree::new(4, 1);
        assert_eq!(tree.gone(2), [1]);
        assert_eq!((fed(&tree, 1), fed(&tree, 2)), (vec![3], vec![]));
        assert_eq!(tree.gone(1), [0]);
        assert_eq!(fed(&tree, 0), [3]);
        assert!(tree.gone(1).is_empty());
        let mut tree = Tree::new(7, 2);
        assert_eq!(tree.gone(1), [0]);
        assert_eq!(fed(&tree, 0), [2, 3, 4]);
    }

    #[test]
    fn a_link_is_tried_again_then_somebody_else_feeds() {
        let mut tree = Tree::new(3, 1);
        assert_eq!(tree.broken(3, 9, 0), Broken::Old);
        for epoch in 1..=3 {
            assert_eq!(tree.broken(3, epoch, 0), Broken::Mended(vec![2]));
        }
        assert_eq!(tree.broken(3, 4, 10), Broken::Mended(vec![2]), "it had brought something");
        for epoch in 5..=6 {
            assert_eq!(tree.broken(3, epoch, 10), Broken::Mended(vec![2]));
        }
        assert_eq!(tree.broken(3, 7, 10), Broken::Mended(vec![2, 1]));
        assert_eq!((fed(&tree, 1), fed(&tree, 2)), (vec![2, 3], vec![]));
        for epoch in 8..=10 {
            assert_eq!(tree.broken(3, epoch, 10), Broken::Mended(vec![1]));
        }
        assert_eq!(tree.broken(3, 11, 10), Broken::Mended(vec![1, 0]));
        for epoch in 12..=14 {
            tree.broken(3, epoch, 10);
        }
        assert_eq!(tree.broken(3, 15, 10), Broken::Hopeless);
    }

    #[test]
    fn who_comes_late_stands_at_the_end() {
        let mut tree = Tree::new(2, 1);
        assert_eq!(tree.append(1), (3, 2));
        assert_eq!(tree.gone(3), [2]);
        assert_eq!(tree.append(1), (4, 2));
        tree.complete(4);
        assert_eq!(tree.append(1), (5, 2), "who has it all feeds nobody any more");
        let mut tree = Tree::new(4, 2);
        assert_eq!([tree.append(2), tree.append(2), tree.append(2)], [(5, 4), (6, 5), (7, 6)]);
        let mut tree = Tree::new(1, 1);
        tree.gone(1);
        assert_eq!(tree.append(1), (2, 0));
    }

    /// All in front may have acknowledged the end before it came.
    #[test]
    fn who_comes_at_the_end_is_fed_until_its_own_feeder_has_it_all() {
        let late = || {
            let mut tree = Tree::new(2, 1);
            assert_eq!(tree.append(1), (3, 2));
            tree
        };
        let mut tree = late();
        tree.complete(1);
        assert_eq!((fed(&tree, 1), fed(&tree, 2)), (vec![], vec![3]));
        assert_eq!(tree.gone(2), [1, 0], "1 has it all, and may be gone");
        assert_eq!(fed(&tree, 0), [3]);
        let mut tree = late();
        tree.complete(2);
        assert_eq!(fed(&tree, 2), Vec::<usize>::new());
    }

    #[test]
    fn who_has_it_all_is_not_fed_again() {
        let mut tree = Tree::new(4, 1);
        assert_eq!(tree.complete(2), [1]);
        assert_eq!(fed(&tree, 1), Vec::<usize>::new());
        assert_eq!([tree.gone(3), tree.gone(2)], [[2], [1]]);
        assert_eq!(tree.gone(1), [0]);
        assert_eq!(fed(&tree, 0), Vec::<usize>::new());
    }
}
