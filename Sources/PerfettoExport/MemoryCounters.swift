internal import KVMTypes
internal import Stage2Replay

/// The memory of one VM's stage 2 as counters: a value where it changes. They begin with the VM's first map: a VM of which none is seen
/// may have anything mapped, and that nothing tells what is known at the end alone.
struct MemoryCounters {
  private enum Figure: UInt64, CaseIterable {
    case pageMappings, blockMappings, mappingTreeBytes, tablePages, totalBytes

    var name: String {
      switch self {
      case .pageMappings: "page mappings"
      case .blockMappings: "block mappings"
      case .mappingTreeBytes: "mapping tree"
      case .tablePages: "table pages"
      case .totalBytes: "stage 2, total"
      }
    }

    var unit: CounterUnit { self == .mappingTreeBytes || self == .totalBytes ? .sizeBytes : .count }

    /// Whether only pKVM has it.
    var isOfTree: Bool { self != .tablePages && self != .totalBytes }

    func value(in sample: MemorySample) -> Int {
      switch self {
      case .pageMappings: sample.pageMappings
      case .blockMappings: sample.blockMappings
      case .mappingTreeBytes: sample.mappingTreeBytes
      case .tablePages: sample.tablePages
      case .totalBytes: sample.totalBytes
      }
    }
  }

  private let vm: Int
  private let figures: [Figure]
  /// What was written last.
  private var last: MemorySample?
  /// What there was before the first map; nil from then on.
  private var held: [(sample: MemorySample, time: Nanoseconds)]? = []

  init(vm: Int, isPKVM: Bool) {
    self.vm = vm
    figures = Figure.allCases.filter { isPKVM || !$0.isOfTree }
  }

  /// The VM's stage 2 maps something.
  mutating func begin(_ tree: TrackTree) throws {
    guard let before = held else { return }
    held = nil
    for (sample, time) in before { try add(sample, at: time, to: tree) }
  }

  /// The memory is as `sample` from a moment on.
  mutating func add(_ sample: MemorySample, at time: Nanoseconds, to tree: TrackTree) throws {
    if held != nil {
      if held?.last?.sample != sample { held?.append((sample, time)) }
      return
    }
    for figure in figures {
      let value = figure.value(in: sample)
      if let last, figure.value(in: last) == value { continue }
      let uuid = tree.identity.uuid(.counter, UInt64(vm), figure.rawValue)
      if last == nil {
        try tree.describe(counter: uuid, ofVM: vm, name: figure.name, unit: figure.unit, unitName: nil)
      }
      try tree.writer.event(.counter, at: time, on: uuid) { event in
        event.signed(EventField.counterValue, Int64(value))
      }
    }
    last = sample
  }
}

/// The share of each interval of the report's series in which a VM's lock was held, as far as probes recorded it: 100 at most of writers,
/// more where several readers hold it together.
enum LockCounters {
  static func write(_ lock: LockResult, _ grid: TimeGrid, ofVM vm: Int, to tree: TrackTree) throws {
    let modes: [(number: UInt64, name: String, held: (LockSample) -> UInt64, isTold: Bool)] = [
      (100, "mmu_lock held to write", \.writeHeld, lock.writeHold != nil),
      (101, "mmu_lock held to read, of all readers", \.readHeld, lock.readHold != nil),
    ]
    for mode in modes where mode.isTold {
      let uuid = tree.identity.uuid(.counter, UInt64(vm), mode.number)
      try tree.describe(counter: uuid, ofVM: vm, name: mode.name, unit: nil, unitName: "% of the interval")
      func value(_ share: Double, at time: Nanoseconds) throws {
        try tree.writer.event(.counter, at: time, on: uuid) {
          $0.double(EventField.doubleCounterValue, share)
        }
      }
      var end: Int?
      for (interval, sample) in lock.series.sorted(by: { $0.key < $1.key }) {
        if let end, end < interval { try value(0, at: grid.start(of: end)) }
        let share = Double(mode.held(sample)) / Double(max(grid.interval.rawValue, 1)) * 100
        try value(share, at: grid.start(of: interval))
        end = interval + 1
      }
      if let end { try value(0, at: grid.start(of: end)) }
    }
  }
}
