// The order of the search's results: pages that explain come before the reference.
var Scorer = {
  score: ([docname, , , , score]) => (docname.startsWith("reference/") ? score - 12 : score),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: {0: 5, 1: 0, 2: -5},
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
