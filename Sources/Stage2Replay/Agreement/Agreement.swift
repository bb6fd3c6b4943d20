internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

/// Holds predicted operations against those that probes recorded.
///
/// Both come as one stream for each thread. A place in a stream is given by how many kvm_entry and how many notifier
/// events the thread had before. At one place those of the same range are matched; a fault has one operation of a kind
/// only, so that with another range is the same operation predicted wrong. What is left over on either side is a mismatch.
struct Agreement {
  private struct Recorded {
    var operation: Stage2Operation
    var place: ThreadPlace
    var isComplete: Bool
    var isMatched = false
    /// How long the call took.
    var duration: Nanoseconds?
    /// A place in the merged trace by which every record that can predict the operation had come; unknown at first.
    var settled: Sequence = .pending
  }

  /// The recorded operations of one thread that no prediction has met yet.
  private struct Stream {
    var entries: [Recorded] = []
    var head = 0

    /// The function of the youngest open call of this kind has returned. Calls hardly nest, so it is among the last.
    mutating func complete(_ kind: OperationKind, _ result: Int32, at time: Nanoseconds) {
      guard
        let index = entries[head...].suffix(8).lastIndex(where: {
          $0.operation.kind == kind && !$0.isComplete
        })
      else { return }
      entries[index].operation.result = result
      if time >= entries[index].operation.time {
        entries[index].duration = Nanoseconds(time.rawValue - entries[index].operation.time.rawValue)
      }
      entries[index].isComplete = true
    }

    /// The oldest operation, if it lies before `place`.
    mutating func popFirst(before place: ThreadPlace) -> Recorded? {
      guard head < entries.count, entries[head].place < place else { return nil }
      head += 1
      defer { compact() }
      return entries[head - 1]
    }

    /// The operation at `place` that no prediction has met and that fits `predicted` best.
    mutating func take(_ predicted: Stage2Operation, at place: ThreadPlace) -> Recorded? {
      var index = head
      var likeness: Int?
      while index < entries.count, entries[index].place == place {
        let operation = entries[index].operation
        if operation.kind == predicted.kind, !entries[index].isMatched {
          if operation.address == predicted.address, operation.size == predicted.size {
            likeness = index
            break
          }
          // A notification may concern several VMs and ranges.
          if likeness == nil, operation.kind.isOfFault { likeness = index }
        }
        index += 1
      }
      guard let likeness else { return nil }
      entries[likeness].isMatched = true
      return entries[likeness]
    }

    /// Takes out the oldest operations as long as they were settled before a place in the merged trace.
    mutating func popFirst(settledBefore sequence: Sequence) -> Recorded? {
      guard head < entries.count, entries[head].settled < sequence else { return nil }
      head += 1
      defer { compact() }
      return entries[head - 1]
    }

    /// All operations that no later record can predict are settled now: those before `place`, or all without one.
    mutating func settle(_ sequence: Sequence, before place: ThreadPlace?) {
      for index in entries[head...].indices where entries[index].settled == .pending {
        if let place, entries[index].place >= place { return }
        entries[index].settled = sequence
      }
    }

    var count: Int { entries.count - head }

    /// Forgets what was passed, once that is most of the array.
    mutating func compact() {
      guard head > 1024, head > entries.count / 2 else { return }
      entries.removeFirst(head)
      head = 0
    }
  }

  /// The streams of all threads.
  private struct StreamTable {
    private var streams: ContiguousArray<Stream> = []
    private var threads: [ThreadID] = []
    private var positions = ThreadTable()
    /// The streams of numbers that Linux does not hand out: a damaged trace has them.
    private var others: [ThreadID: Int] = [:]

    /// The position of a thread's stream, nil where nothing was recorded of it.
    @inline(__always)
    subscript(tid: ThreadID) -> Int? { positions[tid] ?? (others.isEmpty ? nil : others[tid]) }

    subscript(position: Int) -> Stream {
      @inline(__always) _read { yield streams[position] }
      @inline(__always) _modify { yield &streams[position] }
    }

    /// The position of a thread's stream, which may be new.
    mutating func insert(_ tid: ThreadID) -> Int {
      if let known = self[tid] { return known }
      let position = streams.count
      if !positions.insert(tid, position: position) { others[tid] = position }
      streams.append(Stream())
      threads.append(tid)
      return position
    }

    /// The threads and the positions of their streams, in the order of their numbers.
    var inThreadOrder: [(ThreadID, Int)] {
      threads.enumerated().map { ($1, $0) }.sorted { $0.0 < $1.0 }
    }
  }

  /// What was predicted of a thread at its last place without anything that was recorded there.
  private struct Unmet {
    var place: ThreadPlace
    var operations: [Stage2Operation]
  }

  let isActive: Bool
  let probes: ProbeRecording
  private var streams = StreamTable()
  private var unmet: [ThreadID: Unmet] = [:]
  private var scores: [AgreementScore] = Array(
    repeating: AgreementScore(), count: OperationKind.allCases.count)
  private var mismatches: [AgreementMismatch] = []
  /// How many mismatches there are of each kind of operation.
  private var mismatchCounts = Array(repeating: 0, count: OperationKind.allCases.count)
  /// Recorded operations that are kept, and how many may be before they are looked through.
  private var pendingCount = 0
  private var pendingMax = pendingMin
  private static let pendingMin = 1 << 16
  /// How many mismatches are kept of each kind of operation.
  static let mismatchesMax = 1000
  private var hasRecorded: Bool { scores.contains { $0.recorded > 0 } }

  /// The recorded durations of operations that were predicted, with their work, if they are kept: the first ones.
  private var timings: [OperationTiming] = []
  private let keepsTimings: Bool
  private static let timingsMax = 1 << 20

  /// - Parameter isWanted: whether somebody looks at probes.
  init(_ probes: ProbeRecording, isWanted: Bool, keepsTimings: Bool = false) {
    self.probes = probes
    isActive = isWanted && probes.isAny
    self.keepsTimings = keepsTimings
  }

  /// Takes in a probe's event.
  mutating func record(_ record: TraceRecord, place: ThreadPlace) {
    guard isActive else { return }
    if let kind = record.kind.returnedOperation {
      guard let stream = streams[record.tid] else { return }
      streams[stream].complete(kind, Int32(truncatingIfNeeded: record.probedReturn), at: record.time)
      return
    }
    guard let kind = record.kind.operation else { return }
    let probed = record.probedOperation
    var operation = Stage2Operation(
      time: record.time, cpu: record.cpu, tid: record.tid, vm: 0, kind: kind, address: probed.address,
      size: probed.size,
      prot: probes.hasEarlyProtBits ? probed.prot.map(Stage2Prot.init(beforeXNX:)) : probed.prot,
      result: nil, basis: .recorded)
    operation.markOld = probed.markOld
    scores[Int(kind.rawValue)].recorded += 1
    pendingCount += 1
    streams[streams.insert(record.tid)].entries.append(
      Recorded(operation: operation, place: place, isComplete: kind == .mkyoung))
  }

  /// Whether it is time for a sweep.
  var isFull: Bool { pendingCount > pendingMax }

  /// Gives up operations that were not predicted and cannot be any more: what could predict them has left the queue.
  ///
  /// - Parameter openPlaces: where the threads are whose windows are open.
  mutating func sweep(now: Sequence, oldestWaiting: Sequence, openPlaces: [ThreadID: ThreadPlace]) {
    for (tid, stream) in streams.inThreadOrder {
      while let entry = streams[stream].popFirst(settledBefore: oldestWaiting) {
        pendingCount -= 1
        if !entry.isMatched { mismatch(nil, entry.operation) }
      }
      if streams[stream].count == 0 {
        streams[stream] = Stream()
      } else {
        streams[stream].settle(now, before: openPlaces[tid])
      }
    }
    pendingMax = max(2 * pendingCount, Self.pendingMin)
  }

  /// Takes in a prediction; those of a thread come in the order of its events.
  mutating func predict(_ operation: Stage2Operation, place: ThreadPlace, work: Stage2Work? = nil) {
    guard isActive, operation.kind.isProbed else { return }
    scores[Int(operation.kind.rawValue)].predicted += 1
    // What was recorded at an earlier place had no prediction.
    guard let stream = streams[operation.tid] else { return noteUnmet(operation, at: place) }
    while let entry = streams[stream].popFirst(before: place) {
      pendingCount -= 1
      if !entry.isMatched { mismatch(nil, entry.operation) }
    }
    if let entry = streams[stream].take(operation, at: place) {
      compare(operation, entry.operation)
      if keepsTimings, let work, let duration = entry.duration, timings.count < Self.timingsMax {
        timings.append(
          OperationTiming(
            kind: operation.kind, time: entry.operation.time, duration: duration, work: work))
      }
    } else {
      noteUnmet(operation, at: place)
    }
  }

  /// Nothing was recorded that a prediction fits.
  private mutating func noteUnmet(_ operation: Stage2Operation, at place: ThreadPlace) {
    if unmet[operation.tid]?.place != place {
      for earlier in unmet[operation.tid]?.operations ?? [] { mismatch(earlier, nil) }
      unmet[operation.tid] = Unmet(place: place, operations: [])
    }
    unmet[operation.tid]?.operations.append(operation)
  }

  /// Everything was predicted: what is left was not.
  ///
  /// - Parameter notifying: the threads that were in a notification when the events of their processor end, and their places. They may
  ///   perform it, or the rest of it, after that: that it was not recorded contradicts no prediction.
  mutating func finish(notifying: [ThreadID: ThreadPlace]) {
    for (tid, rest) in unmet.sorted(by: { $0.key < $1.key }) {
      for operation in rest.operations {
        if operation.kind.isOfNotifier, notifying[tid] == rest.place {
          scores[Int(operation.kind.rawValue)].predicted -= 1
        } else {
          mismatch(operation, nil)
        }
      }
    }
    unmet = [:]
    for (_, position) in streams.inThreadOrder {
      let stream = streams[position]
      for entry in stream.entries[stream.head...] where !entry.isMatched { mismatch(nil, entry.operation) }
    }
    streams = StreamTable()
    mismatches.sort { $0.operation.time < $1.operation.time }
  }

  /// What came of it; nil where nothing was recorded.
  ///
  /// A function that no probe tells of, or of which the trace does not tell all calls, is not scored: there nothing is right or wrong.
  ///
  /// - Parameters:
  ///   - certainty: which calls the trace tells of.
  ///   - timesCalls: whether the clock tells how long they took.
  func result(_ certainty: Certainty, timesCalls: Bool) -> AgreementResult? {
    guard hasRecorded else { return nil }
    var result = AgreementResult(
      scores: [:], mismatches: [], mismatchCount: 0, timings: timesCalls ? timings : [])
    for kind in OperationKind.allCases {
      var score = scores[Int(kind.rawValue)]
      guard score.recorded > 0 || score.predicted > 0 else { continue }
      score.isRecorded = score.recorded > 0 || probes.records(kind)
      score.isTold = certainty.tells(kind)
      if !score.isRecorded { score.derivedWrong = 0 }
      if score.isScored { result.mismatchCount += mismatchCounts[Int(kind.rawValue)] }
      result.scores[kind] = score
    }
    result.mismatches = mismatches.filter { result.scores[$0.operation.kind]?.isScored ?? false }
    return result
  }

  private mutating func compare(_ predicted: Stage2Operation, _ recorded: Stage2Operation) {
    let kind = Int(predicted.kind.rawValue)
    // The answer of test_clear_young depends on what the hardware did unseen; it is scored by itself.
    let sameResult = predicted.result == recorded.result
    // A return that lies behind the end of what is replayed, or was lost, contradicts nothing.
    let isUntold = recorded.result == nil && predicted.kind != .mkyoung
    guard predicted.address == recorded.address, predicted.size == recorded.size,
      sameResult || isUntold || predicted.kind == .testClearYoung
    else {
      mismatch(predicted, recorded)
      return
    }
    scores[kind].matched += 1
    if predicted.kind == .testClearYoung {
      if sameResult {
        scores[kind].answerMatched += 1
      } else if predicted.basis == .derived, !isUntold {
        scores[kind].derivedWrong += 1
      }
    } else if let prot = recorded.prot {
      scores[kind].protCompared += 1
      if prot == predicted.prot { scores[kind].protMatched += 1 }
      if predicted.protBasis == .derived {
        scores[kind].protDerived += 1
        if prot == predicted.prot { scores[kind].protDerivedMatched += 1 }
      }
    }
  }

  private mutating func mismatch(_ predicted: Stage2Operation?, _ recorded: Stage2Operation?) {
    guard let kind = (predicted ?? recorded)?.kind.rawValue else { return }
    if let predicted, predicted.basis == .derived { scores[Int(kind)].derivedWrong += 1 }
    mismatchCounts[Int(kind)] += 1
    guard mismatchCounts[Int(kind)] <= Self.mismatchesMax else { return }
    mismatches.append(AgreementMismatch(predicted: predicted, recorded: recorded))
  }
}

extension AgreementMismatch {
  /// What was predicted, else what was recorded.
  fileprivate var operation: Stage2Operation { (predicted ?? recorded)! }
}

extension OperationKind {
  /// Whether a probe on it is read: what is predicted of another one is held against nothing.
  var isProbed: Bool { self != .split }

  /// Whether a fault leads to it.
  var isOfFault: Bool {
    switch self {
    case .map, .relaxPerms, .mkyoung: true
    default: false
    }
  }
}

extension EventKind {
  /// The operation whose call a probe recorded.
  var operation: OperationKind? {
    switch self {
    case .probeMap: .map
    case .probeUnmap: .unmap
    case .probeWrprotect: .wrprotect
    case .probeTestClearYoung: .testClearYoung
    case .probeRelaxPerms: .relaxPerms
    case .probeMkyoung: .mkyoung
    default: nil
    }
  }

  /// The operation whose return a probe recorded.
  var returnedOperation: OperationKind? {
    switch self {
    case .probeMapReturn: .map
    case .probeUnmapReturn: .unmap
    case .probeWrprotectReturn: .wrprotect
    case .probeTestClearYoungReturn: .testClearYoung
    case .probeRelaxPermsReturn: .relaxPerms
    default: nil
    }
  }
}
