public import KVMTypes
internal import Stage2Replay

/// The stage 2 of one VM over the time since it appeared, and whether it had settled when the recording of it ended.
public struct VMCurve: Sendable, Encodable {
  /// One moment.
  public struct Point: Hashable, Sendable, Encodable {
    /// The time since the VM appeared; of one that was there before, since the trace began.
    public let sinceBootNs: UInt64
    /// All that the stage 2 occupied.
    public let totalBytes: UInt64
    /// The mapping objects among it.
    public let mappingTreeBytes: UInt64
    /// What the host counts as SecPageTables for it.
    public let secPageTablesBytes: UInt64
    /// The share of the RAM that faults had shown in use by then.
    public let touchedShare: Double
  }

  /// Whether what a VM occupies had stopped growing.
  public enum Settling: String, Sendable, Encodable {
    /// In the last quarter of its time neither the most bytes that it ever had nor its touched memory grew by more than a
    /// twentieth. Bytes that it gave back and took again are no growth.
    case settled = "yes"
    /// One of them did: the peak is a lower bound.
    case growing = "no"
    /// It was recorded for under a second, or not from its boot on, or by a clock that does not tell how long anything took.
    case unknown
  }

  /// At the end of each interval of the VM's own life (`LifeSeries`) while a vCPU of it ran, where anything changed; the last one
  /// always. Of the interval in which the VM ended, what it had last. None where the trace's clock does not tell how long
  /// anything took.
  public let points: [Point]
  /// Whether it had settled.
  public let settled: Settling
  /// How the points are known: they are of the kernel that was recorded, whatever kernel the peaks are of. Nil where there are none.
  public let basis: Basis?
  /// Whether the VM was there before the trace: the boot is missing.
  public let beganMidLife: Bool
  /// From its appearance until a vCPU of it ran last.
  public let recordedNs: UInt64
  /// The length of the intervals that points are the ends of.
  private let intervalNs: UInt64
  /// The least that it had in the last quarter of that time while it had a stage 2, nil where `settled` is not known.
  let low: Point?

  /// The rule of `Settling`, in words.
  package static let rule =
    "settled: neither the most bytes that a VM ever had nor its touched memory grew by over 5 % in the last quarter of its time"
  /// What a trace tells whose clock does not say how long anything took.
  init(withoutTimeOf vm: VMResult) {
    (points, settled, basis, low, recordedNs, intervalNs) = ([], .unknown, nil, nil, 0, 1)
    beganMidLife = vm.beganBefore
  }

  private static let growth = 1.05
  private static let timeMin: UInt64 = 1_000_000_000

  init(_ vm: VMResult, ramPages: UInt64, pageSize: PageSize, basis: Basis) {
    self.basis = basis
    recordedNs = vm.lastSeen.rawValue - vm.since.rawValue
    beganMidLife = vm.beganBefore
    let life = vm.lifeSeries.extended(to: vm.lastSeen)
    intervalNs = max(life.interval.rawValue, 1)
    var all: [Point] = []
    for (index, sample) in life.samples.enumerated() {
      let time = min(life.end(of: index).rawValue, max(vm.lastSeen.rawValue, vm.since.rawValue))
      all.append(
        Point(
          sinceBootNs: time - min(vm.since.rawValue, time), totalBytes: UInt64(sample.totalBytes),
          mappingTreeBytes: UInt64(sample.mappingTreeBytes),
          secPageTablesBytes: UInt64(sample.secPageTables) << pageSize.shift,
          touchedShare: min(Double(sample.shownPages) / Double(max(ramPages, 1)), 1)))
      if life.end(of: index) > vm.lastSeen { break }
    }
    points = all.indices.filter {
      $0 == 0 || $0 == all.count - 1 || !Self.isSame(all[$0], all[$0 - 1])
    }.map { all[$0] }
    let quarter = all.count * 3 / 4
    let isTold = !beganMidLife && recordedNs >= Self.timeMin
    low = isTold ? Self.least(all, from: quarter, vm, life) : nil
    settled = isTold ? Self.settling(all, from: quarter) : .unknown
  }

  /// The point with the least bytes while the VM had a stage 2: before its teardown, which belongs to no guest's life.
  ///
  /// - Parameter quarter: the index of the first point that counts.
  private static func least(
    _ points: [Point], from quarter: Int, _ vm: VMResult, _ life: LifeSeries
  ) -> Point? {
    points.indices.dropFirst(quarter).filter { index in
      // Of the interval in which a vCPU ran last, the end may lie behind the teardown.
      points[index].totalBytes > 0 && (vm.end == nil || life.end(of: index) <= vm.lastSeen)
    }.map { points[$0] }.min { $0.totalBytes < $1.totalBytes }
  }

  private static func isSame(_ a: Point, _ b: Point) -> Bool {
    a.totalBytes == b.totalBytes && a.mappingTreeBytes == b.mappingTreeBytes
      && a.secPageTablesBytes == b.secPageTablesBytes && a.touchedShare == b.touchedShare
  }

  /// The most until a moment is what counts: memory that was given back may be needed again.
  static func settling(_ points: [Point], from quarter: Int) -> Settling {
    func most(_ points: ArraySlice<Point>, _ figure: (Point) -> Double) -> Double {
      points.map(figure).max() ?? 0
    }
    let figures: [(Point) -> Double] = [{ Double($0.totalBytes) }, { $0.touchedShare }]
    return figures.allSatisfy { most(points[...], $0) <= most(points[..<quarter], $0) * growth }
      ? .settled : .growing
  }

  /// The point at a share of the time, 0 to 1; nil where there is none.
  package func point(at share: Double) -> Point? {
    let time = share * Double(recordedNs)
    return points.last { Double($0.sinceBootNs) <= time } ?? points.first
  }

  /// Where the interval begins at whose end a point is.
  package func begin(of point: Point) -> UInt64 {
    point.sinceBootNs > 0 ? (point.sinceBootNs - 1) / intervalNs * intervalNs : 0
  }

  private enum CodingKeys: String, CodingKey { case points, settled, basis, beganMidLife, recordedNs }
}
