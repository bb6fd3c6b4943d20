/// Sums of what may not be known: with a part that is unknown, all is.
extension Int? {
  /// The sum, nil as soon as a part is.
  func adding(_ other: Int?) -> Int? {
    guard let self, let other else { return nil }
    return self + other
  }
}

extension Optional {
  /// The counts of both by key, nil as soon as one is.
  func adding<Key: Hashable>(_ other: [Key: Int]?) -> [Key: Int]? where Wrapped == [Key: Int] {
    guard let self, let other else { return nil }
    return self.merging(other, uniquingKeysWith: +)
  }
}
