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
  /// The least and the most that the trace allows; equal where it decides.
  public var least: Double
  /// The most that the trace allows.
  public var most: Double
  /// How it is known: `assumed` if any decision that it rests on is.
  public var basis: Basis
  /// Whether nothing tells it: its value means nothing then.
  public private(set) var isUnknown = false

  /// The figure `name`, from `least` to `most`.
  public init(
    name: String, otherName: String? = nil, unit: Unit, least: Double, most: Double, basis: Basis = .derived
  ) {
    self.name = name
    self.otherName = otherName
    self.unit = unit
    self.least = least
    self.most = most
    self.basis = basis
  }

  /// The figure `name` of a replay that does not tell it.
  static func unknown(_ name: String, or otherName: String? = nil) -> Self {
    var metric = Self(name: name, otherName: otherName, unit: .count, least: 0, most: 0, basis: .assumed)
    metric.isUnknown = true
    return metric
  }

  /// Whether it is a time, or comes with times: where it lacks it was not recorded. Of all else nothing means none.
  var isOfLock: Bool { name.hasPrefix("lock.") }

  /// Whether the figures of a replay speak of faults and tables: those of a trace that tells neither are its VMs and locks, and of one
  /// that tells of no VM there are none.
  static func tellTables(_ metrics: [Metric]) -> Bool {
    !metrics.isEmpty
      && (!metrics.contains { $0.name == "vms" } || metrics.contains { $0.name == "faults.total" })
  }

  /// The smallest amount by which it moves: a mapping object, an event, a nanosecond.
  var step: Double {
    switch unit {
    case .bytes: 64
    case .count, .pages, .nanoseconds: 1
    case .share: 0
    }
  }

  /// The range that replays of the least and the most span. What only one of them has is nothing in the other.
  static func span(_ lists: [[Metric]]) -> [Metric] {
    var names: [String] = []
    for name in lists.joined().map(\.name) where !names.contains(name) { names.append(name) }
    return names.compactMap { name in
      let found = lists.map { list in list.first { $0.name == name } }
      guard var metric = found.compactMap(\.self).first else { return nil }
      metric.least = found.map { $0?.least ?? 0 }.min() ?? 0
      metric.most = found.map { $0?.most ?? 0 }.max() ?? 0
      metric.basis = found.compactMap { $0?.basis }.max() ?? metric.basis
      metric.isUnknown = found.contains { $0?.isUnknown == true }
      return metric
    }
  }
}
