public import KVMTypes

/// Replays side by side: one workload under two kernels, or recordings against recordings.
public struct Comparison: Sendable {
  /// What is compared.
  public enum Subject: Sendable {
    /// One recording under two kernels: what the trace decides is exact.
    case kernels
    /// Recordings, each a run of its own: the timing of threads moves every figure.
    case recordings
  }

  /// One side.
  public struct Side: Sendable {
    /// What was replayed, in words.
    public let name: String
    /// The figures of each replay.
    public let replays: [[Metric]]
    /// What somebody has to know of what was replayed: of the kernel, or of each recording.
    public let described: [Described]

    /// A side of these replays.
    public init(_ name: String, _ replays: [[Metric]], of described: [Described] = []) {
      self.name = name
      self.replays = replays
      self.described = described
    }

    /// The replays, by their positions, of which nothing tells a figure.
    func lacking(_ metric: Metric) -> [Int] {
      replays.indices.filter { position in
        let list = replays[position]
        // Of a recording that tells of no VM there is nothing at all.
        return list.first { $0.name == metric.name }.map(\.isUnknown) ?? (metric.isMeasured || list.isEmpty)
      }
    }

    /// A figure in every replay, nil where one lacks it and lacking means unknown.
    func values(_ metric: Metric) -> Figure? {
      if !lacking(metric).isEmpty || metric.isMeasured && replays.isEmpty { return nil }
      let found = replays.map { list in list.first { $0.name == metric.name } }
      return Figure(
        ranges: found.map { ($0?.least ?? 0, $0?.most ?? 0) },
        basis: found.map { $0?.basis ?? metric.basis }.max() ?? .assumed)
    }
  }

  /// A kernel or a recording, with what is known of it.
  public struct Described: Sendable {
    /// What it is called.
    public let name: String
    /// What is known of it, in the same order for all of a comparison.
    public let facts: [Fact]

    /// Something that is compared.
    public init(_ name: String, _ facts: [Fact]) {
      self.name = name
      self.facts = facts
    }
  }

  /// One thing that is known of a kernel or a recording.
  public struct Fact: Sendable {
    /// What it is about.
    public let name: String
    /// It, in words.
    public let value: String
    /// How it is known; nil where it is not.
    public let basis: Basis?

    /// A fact.
    public init(_ name: String, _ value: String, _ basis: Basis?) {
      self.name = name
      self.value = value
      self.basis = basis
    }
  }

  /// A figure of one side.
  public struct Figure: Sendable {
    /// In each replay, from the least to the most that the trace allows.
    public let ranges: [(least: Double, most: Double)]
    /// How it is known.
    public let basis: Basis

    /// The least of all.
    public var least: Double { ranges.map(\.least).min() ?? 0 }
    /// The most of all.
    public var most: Double { ranges.map(\.most).max() ?? 0 }
    /// One value a replay, in the middle where the trace allows several.
    var values: [Double] { ranges.map { ($0.least + $0.most) / 2 } }
    /// The mean over the replays.
    public var mean: Double { NoiseFloor.mean(values) }
  }

  /// What was compared with what.
  public let subject: Subject
  /// The first side.
  public let before: Side
  /// The second side.
  public let after: Side
  /// What a reader must know of the sides, a sentence each.
  public var notes: [String] = []
  /// The notes, of which part figures are, and what durations say, where there are any.
  package var statements: [String] {
    notes + parts.notes + (rows.contains { $0.metric.unit == .nanoseconds } ? [DurationCaveat.ofSeveral] : [])
  }
  private let parts: ComparedParts
  /// The recording that was replayed under both kernels; nil where recordings are compared.
  public var recording: Described?
  /// Every figure that either side knows.
  public let rows: [Row]

  /// Compares two sides.
  public init(_ subject: Subject, _ before: Side, _ after: Side) {
    self.subject = subject
    let parts = ComparedParts([before, after])
    let (before, after) = (parts.comparable(before), parts.comparable(after))
    self.parts = parts
    self.before = before
    self.after = after
    var metrics: [Metric] = []
    var known: Set<String> = []
    for metric in (before.replays + after.replays).joined()
    where !metric.isUnknown && known.insert(metric.name).inserted { metrics.append(metric) }
    rows = metrics.map { metric in
      Row(metric: metric, subject: subject, before: before.values(metric), after: after.values(metric))
    }
  }

  /// Whether the sides have recordings enough to tell a difference from chance.
  public var hasNoiseFloor: Bool {
    subject == .recordings && before.replays.count + after.replays.count > 2
  }

  /// What came of thresholds.
  public struct Checked {
    /// Those that are exceeded.
    public var exceeded: [Threshold] = []
    /// Those that name no figure of either side.
    public var unknown: [Threshold] = []
    /// Those whose figure was not recorded on both sides.
    public var unrecorded: [Threshold] = []
  }

  /// What was found where a threshold is exceeded: `+0.0 % to +105.6 %`.
  public func found(_ threshold: Threshold) -> String {
    rows.first { $0.isCalled(threshold.metric) }?.found(isRelative: threshold.isRelative) ?? "unknown"
  }

  /// The names of the recordings of which nothing tells the figure of a threshold; all where none of either side tells any.
  public func recordings(without threshold: Threshold) -> [String] {
    let metric = rows.first { $0.isCalled(threshold.metric) }?.metric ?? unknown(threshold.metric)
    var names: [String] = []
    for side in [before, after] {
      for position in metric.map(side.lacking) ?? Array(side.replays.indices) {
        let name = recording?.name ?? side.described[position].name
        if !names.contains(name) { names.append(name) }
      }
    }
    return names
  }

  /// A figure that neither side knows.
  private func unknown(_ name: String) -> Metric? {
    (before.replays + after.replays).joined().first { $0.isCalled(name) && $0.isUnknown }
  }

  /// Metrics that somebody may have meant by `name`, the nearest first.
  public func metrics(near name: String) -> [String] {
    NearNames.of(name, among: rows.flatMap { [$0.metric.name, $0.metric.otherName].compactMap(\.self) })
  }

  /// Holds the comparison against thresholds.
  public func check(_ thresholds: [Threshold]) -> Checked {
    var checked = Checked()
    for threshold in thresholds {
      guard let row = rows.first(where: { $0.isCalled(threshold.metric) }) else {
        if unknown(threshold.metric) == nil {
          checked.unknown.append(threshold)
        } else {
          checked.unrecorded.append(threshold)
        }
        continue
      }
      if row.difference == nil {
        checked.unrecorded.append(threshold)
      } else if threshold.fails(row) {
        checked.exceeded.append(threshold)
      }
    }
    return checked
  }
}
