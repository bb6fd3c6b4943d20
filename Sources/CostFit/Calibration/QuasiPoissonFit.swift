/// The coefficients, none of them negative, for times whose variance grows with their mean: least squares with the
/// weight 1/mean, the mean being the fit's own, repeated until it stays (a quasi-Poisson regression with the
/// identity as its link).
///
/// Two things follow. Short operations count as much as long ones for the terms that both have. And an
/// operation's total over the calls that the fit uses is the recorded one, unless its own value is 0.
///
/// Calls that stalled are left out: an interrupt, or a host that ran something else, is not the work of the call, and
/// one of 10 ms outweighs a hundred that show what the work costs.
struct QuasiPoissonFit {
  let fit: NonNegativeFit
  /// What each group's calls are expected to take, in nanoseconds, 1 or above.
  let expected: [Double]

  /// The fit settles in some ten rounds; one that goes to and fro over a call at the limit does not matter.
  private static let roundsMax = 50
  private static let tolerance = 1e-6

  /// A term has a value only if this many calls have it, else it is unknown and those calls are left out of the fit: with
  /// fewer, a call that stalled makes the value, and no standard error tells.
  static let callsPerTerm = EqualWork.settling

  /// Fits to the groups' times. The terms from `shared` on are the operations' own, which every call has.
  init(_ groups: [EqualWork], terms: Int, shared: Int) {
    var groups = groups
    while let term = Self.hidden(groups, shared) {
      for index in groups.indices { groups[index].leaveOut(term) }
    }
    // Medians first, which do not mind stalls, as long as work repeats.
    var expected = groups.map { max($0.median ?? 1, 1) }
    var fit = Self.round(groups, expected, terms)
    for _ in 1..<Self.roundsMax {
      let next = groups.map { max(fit.value($0.row), 1) }
      let isSettled = zip(expected, next).allSatisfy { abs($0 - $1) <= Self.tolerance * $1 }
      expected = next
      if isSettled { break }
      fit = Self.round(groups, expected, terms)
    }
    self.fit = fit
    self.expected = groups.map { max(fit.value($0.row), 1) }
  }

  /// A term that some calls have, but too few.
  private static func hidden(_ groups: [EqualWork], _ shared: Int) -> Int? {
    (0..<shared).first { term in
      let holders = groups.filter { $0.row[term] != 0 && $0.fittedCount > 0 }
      return !holders.isEmpty && holders.reduce(0) { $0 + $1.fittedCount } < callsPerTerm
    }
  }

  private static func round(_ groups: [EqualWork], _ expected: [Double], _ terms: Int) -> NonNegativeFit {
    var equations = NormalEquations(terms: terms)
    for (group, expected) in zip(groups, expected) {
      let times = group.sums(.fit, within: group.stallLimit(expected)).usual
      guard times.count > 0 else { continue }
      equations.add(
        group.row, count: times.count, values: times.time, squares: times.squares, weight: 1 / expected)
    }
    return NonNegativeFit(equations)
  }
}
