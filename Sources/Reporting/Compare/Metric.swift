public import KVMTypes

/// One figure of a replay, over all its VMs, that can be held against that of another replay.
public struct Metric: Hashable, Sendable {
  /// What a figure counts.
  public enum Unit: String, Hashable, Sendable {
    case count, bytes, pages, nanoseconds, share
  }

  /// The name, which thresholds use: that of the JSON report in `vms[]`, such as `memory.mappingTreeBytes.peak`.
  public let name: String
  /// A shorter name that thresholds and the JSON form know, too.
  public let otherName: String?
  /// What it counts.
  public let unit: Unit
  /// Whether what was recorded has it or nothing does, as a time: where it lacks it is unknown. Of all else none is 0.
  public let isMeasured: Bool
  /// Whether nothing in the recording tells it: it is not the 0 that it has then.
  public private(set) var isUnknown = false
  /// The least and the most that the trace allows; equal where it decides.
  public var least: Double
  /// The most that the trace allows.
  public var most: Double
  /// How it is known: `assumed` if any decision that it rests on is.
  public var basis: Basis
  /// What it would have, too, had that been recorded, in the order of names: it is the sum of a part.
  public private(set) var lacked: [String] = []

  /// The figure `name`, from `least` to `most`.
  public init(
    name: String, otherName: String? = nil, unit: Unit, least: Double, most: Double, basis: Basis = .derived,
    isMeasured: Bool = false
  ) {
    self.name = name
    self.otherName = otherName
    self.unit = unit
    self.least = least
    self.most = most
    self.basis = basis
    self.isMeasured = isMeasured
  }

  /// The figure `name` of a replay that does not tell it.
  static func unknown(_ name: String, or otherName: String? = nil) -> Self {
    var metric = Self(name: name, otherName: otherName, unit: .count, least: 0, most: 0, basis: .assumed)
    metric.isUnknown = true
    return metric
  }

  /// The same, of a part alone.
  func lacking(_ lacked: [String]) -> Self {
    var metric = self
    metric.lacked = lacked
    return metric
  }

  /// Whether it has this name.
  func isCalled(_ name: String) -> Bool { self.name == name || otherName == name }

  /// The smallest amount by which it moves: a mapping object, an event, a nanosecond.
  var step: Double {
    switch unit {
    case .bytes: 64
    case .count, .pages, .nanoseconds: 1
    case .share: 0
    }
  }

  /// The range that replays of the least and the most span. What only one of them has is nothing in the other, and what either does
  /// not know is unknown.
  static func span(_ lists: [[Metric]]) -> [Metric] {
    var names: [String] = []
    for name in lists.joined().map(\.name) where !names.contains(name) { names.append(name) }
    return names.compactMap { name in
      let found = lists.map { list in list.first { $0.name == name } }
      guard var metric = found.compactMap(\.self).first else { return nil }
      metric.isUnknown = found.contains { $0?.isUnknown == true }
      metric.least = found.map { $0?.least ?? 0 }.min() ?? 0
      metric.most = found.map { $0?.most ?? 0 }.max() ?? 0
      metric.basis = found.compactMap { $0?.basis }.max() ?? metric.basis
      return metric
    }
  }
}
