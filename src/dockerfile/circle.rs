//! Stages that take files from each other in a circle, or from themselves. No build gets past one, whatever its target
//! (BuildKit frontend, `validations.go`).

use std::collections::BTreeMap;

use super::instruction::FromName;
use super::{Dockerfile, Span};

/// Stages of which each takes files from the next, and the last from the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circle {
    /// The first of them in the file, by its name or `stage-N`.
    pub stage: String,
    /// The instructions that make it one, in the order of the file; at least one.
    pub spans: Vec<Span>,
}

/// A stage that files are taken from, and the instruction that takes them.
type Edge = (usize, Span);

impl Dockerfile {
    /// Finds stages that take files from each other in a circle.
    ///
    /// What stages start from does not count: that is a stage above, always.
    #[must_use]
    pub fn circle(&self) -> Option<Circle> {
        let edges = self.edges();
        let mut marks = vec![Mark::New; edges.len()];
        let mut starts = 0..edges.len();
        starts.find_map(|start| {
            let circle = circle_from(start, &edges, &mut marks)?;
            Some(self.named(&circle))
        })
    }

    /// Returns what each stage takes files from.
    fn edges(&self) -> Vec<Vec<Edge>> {
        let names = self.stages.iter().enumerate();
        let names = names.filter_map(|(index, stage)| Some((stage.name()?, index)));
        // Of several with one name the last counts.
        let names: BTreeMap<&str, usize> = names.collect();
        let find = |from: FromName<'_>| match (from, self.stage_index(from.name())) {
            (FromName::Copy(_), Ok(Some(index))) => Some(index),
            // A number of no stage is another error.
            (FromName::Copy(_), Err(_)) => None,
            (FromName::Copy(name), Ok(None)) | (FromName::Mount(name), _) => {
                names.get(name.to_lowercase().as_str()).copied()
            }
        };
        let edges = self.stages.iter().map(|stage| {
            let edges = stage.statements.iter().flat_map(|statement| {
                let sources = statement.instruction.from_names().into_iter();
                let span = statement.source.span;
                sources.filter_map(find).map(move |index| (index, span))
            });
            edges.collect()
        });
        edges.collect()
    }

    fn named(&self, circle: &[Edge]) -> Circle {
        let mut spans: Vec<Span> = circle.iter().map(|(_, span)| *span).collect();
        spans.sort_by_key(|span| (span.start, span.end));
        spans.dedup();
        let first = circle.iter().map(|(stage, _)| *stage).min();
        let first = first.unwrap_or_default();
        let name = self.stages[first].name().map(str::to_owned);
        Circle {
            stage: name.unwrap_or_else(|| format!("stage-{first}")),
            spans,
        }
    }
}

/// What is known of a stage.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    /// Between the start and where the search is.
    OnWay,
    /// Leads to no circle.
    Done,
}

/// Follows all edges from `start`, with a way of its own instead of the program's stack: there may be as many stages as
/// lines.
fn circle_from(start: usize, edges: &[Vec<Edge>], marks: &mut [Mark]) -> Option<Vec<Edge>> {
    if marks[start] == Mark::Done {
        return None;
    }
    // The stages on the way, each with the number of its edges that were followed; `taken` are the edges between them.
    let mut way: Vec<(usize, usize)> = vec![(start, 0)];
    let mut taken: Vec<Edge> = Vec::new();
    marks[start] = Mark::OnWay;
    while let Some((stage, followed)) = way.last_mut() {
        let Some(edge) = edges[*stage].get(*followed) else {
            marks[*stage] = Mark::Done;
            way.pop();
            taken.pop();
            continue;
        };
        *followed += 1;
        match marks[edge.0] {
            Mark::Done => {}
            Mark::OnWay => {
                let begins = way.iter().position(|(stage, _)| *stage == edge.0)?;
                let mut circle = taken.split_off(begins);
                circle.push(*edge);
                return Some(circle);
            }
            Mark::New => {
                marks[edge.0] = Mark::OnWay;
                way.push((edge.0, 0));
                taken.push(*edge);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::dockerfile::parse;

    /// The stage and the lines of a circle.
    fn circle(text: &str) -> Option<(String, Vec<usize>)> {
        let found = parse(text).unwrap().circle()?;
        let lines = found.spans.iter().map(|span| span.start);
        Some((found.stage, lines.collect()))
    }

    #[test]
    fn a_stage_that_takes_from_itself_is_a_circle() {
        for from in ["COPY --from=Own a /", "RUN --mount=from=own,target=/a b"] {
            let text = format!("FROM x AS own\n{from}\nFROM y\n");
            assert_eq!(circle(&text), Some(("own".to_owned(), vec![2])));
        }
        let found = circle("FROM x\nFROM x\nCOPY --from=1 a /\n");
        assert_eq!(found, Some(("stage-1".to_owned(), vec![3])));
    }

    #[test]
    fn stages_that_take_from_each_other_are_one_with_all_its_lines() {
        let text = "FROM x AS a\nCOPY --from=b a /\nFROM x AS b\nCOPY --from=a a /\nFROM b\nCOPY --from=a b /\n";
        assert_eq!(circle(text), Some(("a".to_owned(), vec![2, 4])));
        // Those on the way to it are none of it.
        let text = "FROM x\nCOPY --from=b a /\nFROM x AS b\nCOPY --from=c a /\nFROM x AS c\nRUN --mount=from=b,target=/x y\n";
        assert_eq!(circle(text), Some(("b".to_owned(), vec![4, 6])));
    }

    #[test]
    fn stages_that_come_later_and_images_are_none() {
        for text in [
            "FROM x AS a\nCOPY --from=b a /\nFROM a AS b\nCOPY --from=c a /\nFROM x AS c\n",
            "FROM x\nRUN --mount=from=0,target=/x y\n",
            "FROM a AS a\nFROM a AS b\nCOPY --from=a a /\nCOPY --from=0 b /\n",
        ] {
            assert_eq!(circle(text), None, "{text}");
        }
    }

    #[test]
    fn many_stages_in_a_chain_need_no_stack() {
        let stages =
            (0..20_000).map(|at| format!("FROM x AS s{at}\nCOPY --from=s{} a /\n", at + 1));
        let text: String = stages.chain(["FROM x AS s20000\n".to_owned()]).collect();
        assert_eq!(circle(&text), None);
    }
}
