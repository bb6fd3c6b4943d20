internal import KVMTypes

/// A part of the records, all of whose samples are of one stream.
struct PerfRun {
  private static let gapBit: UInt64 = 1 << 63

  private let place: UInt64
  private let count: Int

  init(_ records: Range<Int>, isBehindGap: Bool) {
    place = UInt64(records.lowerBound) | (isBehindGap ? Self.gapBit : 0)
    count = records.count
  }

  /// Where in the file they lie.
  var records: Range<Int> {
    let begin = Int(place & ~Self.gapBit)
    return begin..<(begin + count)
  }
  /// Whether what stands before is damaged: samples may be missing.
  var isBehindGap: Bool { place & Self.gapBit != 0 }
}

/// Samples in the order of time: those of a CPU, or where rings were written for threads, some of them.
struct PerfLane {
  let cpu: UInt16
  var runs: [PerfRun] = []
  /// How many records were lost before runs whose own records do not tell it, by the positions of these.
  var losses: [Int: UInt64] = [:]
  /// The greatest stamp so far.
  var greatest: UInt64 = 0
  /// How many samples were lost behind the last one.
  var lostAtEnd: UInt64 = 0
}

/// Deals the samples of a perf.data out to lanes, while they are met in the order of the file.
///
/// perf writes what the rings hold one ring after another, in rounds. A ring is in the order of time, and mostly that of a CPU; but
/// with --per-thread a thread's ring has samples of several CPUs, and several rings have samples of one. So a sample goes behind the
/// last one of its CPU if it is no older; otherwise another lane of that CPU begins, or goes on that ends before it. There are then
/// as many lanes of a CPU as rings overlap, each is in order without any sorting, and what joins the streams does the rest. But then a lane
/// need not be one ring, and what a ring lost is missing since a sample that may be in any: so behind a loss another lane begins.
///
/// An index has 16 bytes for each run of samples that follow one another. Where there are very many, as in a file that was sorted
/// by time, a run may have samples of several CPUs: that file then needs but one.
///
/// A ring that is written from its end to its beginning (--overwrite) has the newest sample first. All the same holds for it, with the
/// order of time turned round.
struct PerfLanes {
  /// By how much a sample may be older than the one before, in nanoseconds: an interrupt comes between a stamp and its place in the ring.
  static let jitterNs = PageContinuity.jitterNs
  /// So many lanes can there be: `PerfPageSupply.Room` is what each takes while it is read.
  static let lanesMax = 4096
  /// From so many runs on, they may have samples of several CPUs; there are never more than the latter, whatever the stamps.
  private static let runsOfOneCPUMax = 1 << 20
  private static let runsMax = 1 << 22
  /// A run that is read from its end to its beginning is in memory at once, so many bytes at most and one record.
  private static let backwardBytesMax = 16 << 10

  /// Whether the newest sample comes first.
  let isBackward: Bool

  private(set) var lanes: [PerfLane] = []
  /// The lanes of each CPU, those first that end first.
  private var lanesOfCPU: [UInt16: [Int]] = [:]
  /// The run that goes on, and its lane.
  var openRun: OpenRun?
  private var openLane = 0
  /// Where in `lanesOfCPU` that lane is.
  private var openPlace = 0
  /// Where the first sample stands that is left out, because there are as many runs as can be.
  private(set) var firstLeftOut: Int?
  /// Before which sample in the file something is missing that is so behind the last one in time, where rings are backward ones.
  private(set) var firstGapAtEnd: Int?
  /// Where the first run stands that is in no order, because there are as many lanes as can be.
  private(set) var firstUnordered: Int?
  private var runCount = 0
  /// Whether several rings have samples of one CPU; known when all samples are dealt out.
  private var sharesCPUs = false

  init(isBackward: Bool) { self.isBackward = isBackward }

  /// The lanes in the order of their CPUs.
  var ordered: [PerfLane] {
    lanes.enumerated().sorted { ($0.element.cpu, $0.offset) < ($1.element.cpu, $1.offset) }.map(\.element)
  }

  /// The run that goes on with the samples that are met.
  struct OpenRun {
    let begin: Int
    var end: Int
    let isBehindGap: Bool
    /// The CPU of the first sample.
    let cpu: UInt16
    /// The greatest stamp so far in the lane.
    private(set) var greatest: UInt64
    /// Whether there may be samples of several CPUs, and whether they need not be in order.
    private let mixesCPUs: Bool
    private let mixesTimes: Bool

    fileprivate init(
      _ records: Range<Int>, isBehindGap: Bool, cpu: UInt16, greatest: UInt64, runCount: Int
    ) {
      (begin, end, self.isBehindGap) = (records.lowerBound, records.upperBound, isBehindGap)
      (self.cpu, self.greatest) = (cpu, greatest)
      (mixesCPUs, mixesTimes) = (runCount >= PerfLanes.runsOfOneCPUMax, runCount >= PerfLanes.runsMax)
    }

    /// Whether the run goes on with a sample.
    @inline(__always)
    mutating func takes(cpu: UInt32, time: UInt64) -> Bool {
      let isBehind = time >= greatest
      guard isBehind || time &+ PerfLanes.jitterNs >= greatest || mixesTimes,
        cpu == UInt32(self.cpu) || mixesCPUs && cpu < UInt32(HostLimits.cpusMax)
      else { return false }
      if isBehind { greatest = time }
      return true
    }
  }

  /// Lets the run go on with a sample that ends at `end`; false where it must not.
  mutating func extend(cpu: UInt16, time: UInt64, to end: Int) -> Bool {
    guard var run = openRun, !isBackward || end - run.begin <= Self.backwardBytesMax,
      run.takes(cpu: UInt32(cpu), time: order(time))
    else { return false }
    run.end = end
    openRun = run
    return true
  }

  /// Ends the run that goes on, for a loss that its next samples need not lie behind; false where no more runs can be: the loss then lies in
  /// this one, as far as one goes on.
  mutating func closeAtLoss() -> Bool {
    guard runCount < Self.runsMax else { return openRun == nil }
    close()
    return true
  }

  /// Begins a run with a sample.
  ///
  /// - Parameter lost: how many records were lost before it, as none of its own tells; nil for none.
  @inline(never)
  mutating func begin(
    cpu: UInt16, time: UInt64, at records: Range<Int>, isBehindGap: Bool, lost: UInt64? = nil
  ) {
    guard runCount < Self.runsMax else {
      // In whatever order, as long as no other data stand between.
      if openRun != nil {
        openRun!.end = records.upperBound
      } else {
        firstLeftOut = firstLeftOut ?? records.lowerBound
      }
      return
    }
    close()
    let time = order(time)
    (openLane, openPlace) = lane(cpu: cpu, time: time, at: records.lowerBound)
    openRun = OpenRun(
      records, isBehindGap: isBehindGap, cpu: cpu, greatest: max(lanes[openLane].greatest, time),
      runCount: runCount)
    if let lost { lanes[openLane].losses[lanes[openLane].runs.count] = lost }
  }

  /// Ends the run that goes on, if one does.
  mutating func close() {
    guard let run = openRun else { return }
    lanes[openLane].runs.append(PerfRun(run.begin..<run.end, isBehindGap: run.isBehindGap))
    lanes[openLane].greatest = run.greatest
    Self.move(openPlace, in: &lanesOfCPU[lanes[openLane].cpu]!, lanes)
    openRun = nil
    runCount += 1
  }

  /// Moves the lane at `place` behind those that end before it.
  private static func move(_ place: Int, in own: inout [Int], _ lanes: [PerfLane]) {
    let lane = own[place]
    let count = count(of: own[(place + 1)...], lanes) { $0 < lanes[lane].greatest }
    guard count > 0 else { return }
    own.withUnsafeMutableBufferPointer { own in
      let base = own.baseAddress! + place
      base.update(from: base + 1, count: count)
      base[count] = lane
    }
  }

  /// How many of `own`, which are in the order of their ends, end where `isBefore` says so: they are the first.
  private static func count(
    of own: ArraySlice<Int>, _ lanes: [PerfLane], isBefore: (UInt64) -> Bool
  ) -> Int {
    var (begin, end) = (own.startIndex, own.endIndex)
    while begin < end {
      let middle = (begin + end) / 2
      if isBefore(lanes[own[middle]].greatest) { begin = middle + 1 } else { end = middle }
    }
    return begin - own.startIndex
  }

  /// What grows from a sample to the next.
  private func order(_ time: UInt64) -> UInt64 { isBackward ? ~time : time }

  /// All samples are dealt out.
  ///
  /// - Parameter sharesCPUs: whether rings were written for threads, so that several have samples of one CPU.
  mutating func finish(sharesCPUs: Bool) {
    close()
    if isBackward { turn() }
    self.sharesCPUs = sharesCPUs || lanesOfCPU.values.contains { $0.count > 1 }
    if self.sharesCPUs { for lane in lanes.indices { split(lane) } }
  }

  /// Ends a lane before its last loss, and begins another with what is behind. Where rings share CPUs, a lane need not have been one ring's
  /// until then: the sample behind which that ring lost some may be any earlier one, and the new lane has none before the loss.
  private mutating func split(_ lane: Int) {
    guard let position = lanes[lane].losses.keys.max(), position > 0 else { return }
    var rest = PerfLane(cpu: lanes[lane].cpu)
    rest.runs = Array(lanes[lane].runs[position...])
    rest.losses[0] = lanes[lane].losses.removeValue(forKey: position)
    rest.greatest = lanes[lane].greatest
    lanes[lane].runs.removeSubrange(position...)
    lanes.append(rest)
  }

  /// Turns the lanes of backward rings into the order of time.
  private mutating func turn() {
    for lane in lanes.indices {
      turnGaps(of: lane)
      lanes[lane].runs.reverse()
      // What was lost before a run in the file was so behind it in time.
      let (count, losses) = (lanes[lane].runs.count, lanes[lane].losses)
      lanes[lane].losses = [:]
      for (position, lost) in losses where position > 0 { lanes[lane].losses[count - position] = lost }
      if let lost = losses[0] { lanes[lane].lostAtEnd = lost }
    }
  }

  /// What is missing before a run in the file is so behind it in time: before the run that stands ahead of it in the file.
  private mutating func turnGaps(of lane: Int) {
    let runs = lanes[lane].runs
    for (position, run) in runs.enumerated() {
      let isBehindGap = position + 1 < runs.count && runs[position + 1].isBehindGap
      lanes[lane].runs[position] = PerfRun(run.records, isBehindGap: isBehindGap)
    }
    if let first = runs.first, first.isBehindGap {
      firstGapAtEnd = min(firstGapAtEnd ?? .max, first.records.lowerBound)
    }
  }

  /// Of the CPU's lanes that end before `time` the one that ends last, and its place; a new one where none does.
  private mutating func lane(cpu: UInt16, time: UInt64, at begin: Int) -> (lane: Int, place: Int) {
    let own = lanesOfCPU[cpu, default: []]
    let latest = time.addingSaturated(Self.jitterNs)
    let fitting = Self.count(of: own[...], lanes) { $0 <= latest }
    if fitting > 0 { return (own[fitting - 1], fitting - 1) }
    guard lanes.count < Self.lanesMax else {
      firstUnordered = firstUnordered ?? begin
      let any = own.first ?? lanesOfCPU[lanes[Int(cpu) % lanes.count].cpu]![0]
      return (any, 0)
    }
    lanesOfCPU[cpu, default: []].insert(lanes.count, at: 0)
    lanes.append(PerfLane(cpu: cpu))
    return (lanes.count - 1, 0)
  }

  /// Samples of `cpu` were lost at the end, of any where that is nil: it may have been in the lane that ends first. Where rings share CPUs,
  /// it is not known behind which sample.
  mutating func add(lostAtEnd count: UInt64, cpu: UInt16?) {
    let own = cpu.flatMap { lanesOfCPU[$0] } ?? Array(lanes.indices)
    guard var first = own.min(by: { order(lanes[$0].greatest) < order(lanes[$1].greatest) }) else { return }
    if sharesCPUs {
      lanes.append(PerfLane(cpu: lanes[first].cpu))
      first = lanes.count - 1
    }
    lanes[first].lostAtEnd = lanes[first].lostAtEnd.addingSaturated(count)
  }
}
