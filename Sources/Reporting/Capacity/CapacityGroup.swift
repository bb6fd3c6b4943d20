public import KVMTypes
internal import Stage2Model

/// The VMs of a plan that are alike in being protected or not: what the recordings have of them.
public struct CapacityGroup: Sendable, Encodable {
  /// Whether they are protected guests.
  public let isProtected: Bool
  /// How many VMs were recorded.
  public let samples: Int
  /// What they had at their peaks for each GiB of RAM, and the share of it that they touched, by kind of host.
  public let distribution: [SampleDistribution]
  /// By figure: where that of one more such VM is to be expected.
  public let predicted: [String: PredictedRange]
  /// How many of the VMs had not settled, and of how many that is not known.
  public let unsettled: Int
  /// How many VMs were recorded too shortly, or not from their boot on.
  public let unknownSettling: Int

  init(_ needs: [SampleNeed], _ overhead: VMOverhead, _ request: CapacityRequest, isProtected: Bool) {
    let samples = needs.map(\.sample)
    self.isProtected = isProtected
    self.samples = samples.count
    distribution = SampleDistribution.all(samples)
    unsettled = samples.count { $0.curve.settled == .growing }
    unknownSettling = samples.count { $0.curve.settled == .unknown }
    // Two VMs of the planned kind say more than any number of others, which tell what they touched alone.
    let own = needs.filter(\.isOfPlannedKind)
    let used = own.count > 1 ? own : needs
    let none = CapacityNeed(overhead)
    let everything = SampleNeed.everything(needs, overhead, memoryBytes: request.memoryBytes)
    let pgd = overhead.pgdMargins(request.pgdPages)
    predicted = Dictionary(
      uniqueKeysWithValues: HostFigure.allCases.map { figure in
        let values = used.map { $0.figure(figure) }
        let most = max(figure.value(everything, overhead), values.map(\.high).max() ?? 0)
        let range = PredictedRange(values, possible: min(figure.value(none, overhead), most)...most)
        return (figure.rawValue, figure.hasPGD(overhead) ? range.widened(pgd.less, pgd.more) : range)
      })
  }

  private enum CodingKeys: String, CodingKey {
    case isProtected = "protected", samples, distribution, predicted, unsettled, unknownSettling
  }
}

/// How one figure is distributed over the recorded VMs.
public struct SampleDistribution: Sendable, Encodable {
  /// One VM's value.
  public struct Value: Sendable, Encodable {
    /// The value: bytes for each GiB of RAM, or a share.
    public let value: Double
    /// The recording.
    public let recording: String
    /// The position of the recording, and the VM's number in it.
    public let input: Int
    /// The VM's number in it.
    public let vm: Int

    /// How reports name the VM.
    package var name: String { "\(input):\(vm)" }
  }

  /// What it is of.
  public let figure: String
  /// The kind of host that the VMs ran on: figures of different paths and pages are held apart.
  public let host: String
  /// How many VMs there are.
  public let samples: Int
  /// The smallest; under another kernel than the recorded one by the least that the recordings allow.
  public let least: Value
  /// The middle one; the lower of the two middle ones where their number is even. Of what a recording leaves open it takes the
  /// middle, as `mean` does.
  public let median: Value
  /// The mean of all.
  public let mean: Double
  /// The greatest; by the most that the recordings allow.
  public let most: Value
  /// How they are known, as the least certain VM's.
  public let basis: Basis

  init(_ figure: String, _ samples: [VMSample], _ value: (VMSample, Stage2Peak) -> Double) {
    func sorted(_ value: (VMSample) -> Double) -> [Value] {
      samples.map { Value(value: value($0), recording: $0.recording, input: $0.input, vm: $0.vm) }
        .sorted { ($0.value, $0.input, $0.vm) < ($1.value, $1.input, $1.vm) }
    }
    let low = sorted { value($0, $0.peak) }
    let high = sorted { value($0, $0.peakMost) }
    let middle = sorted { (value($0, $0.peak) + value($0, $0.peakMost)) / 2 }
    self.figure = figure
    host = samples[0].host
    self.samples = samples.count
    least = low[0]
    median = middle[(middle.count - 1) / 2]
    most = high[high.count - 1]
    mean = middle.reduce(0) { $0 + $1.value } / Double(middle.count)
    basis = samples.map(\.basis).max() ?? .assumed
  }

  /// Those of all figures, for each kind of host in the order of the recordings.
  static func all(_ samples: [VMSample]) -> [SampleDistribution] {
    VMSample.hosts(samples).flatMap { host in onOneHost(samples.filter { $0.host == host }) }
  }

  private static func onOneHost(_ samples: [VMSample]) -> [SampleDistribution] {
    [
      Self("touchedShare", samples) { sample, _ in sample.touchedShare },
      Self("mappingTreeBytesPerGiB", samples) { $0.perGiB($1.mappingTreeBytes) },
      Self("tableBytesPerGiB", samples) { $0.perGiB($1.tableBytes + $1.pgdBytes) },
      Self("memcacheBytesPerGiB", samples) { $0.perGiB($1.memcacheBytes) },
      Self("hypBytesPerGiB", samples) { $0.perGiB($1.hypBytes) },
      Self("totalBytesPerGiB", samples) { $0.perGiB($1.totalBytes) },
    ]
  }
}
